"""From a commit in a mirror to plain files: no ``.git``, no hooks, no foreign filters, nothing that leads outside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poncho._trees import walk
from poncho._types import Event, Reporter
from poncho.errors import FetchError
from poncho.fetch.gitcommand import GitCommand
from poncho.fetch.gitfailure import GitFailedError
from poncho.fetch.mirror import Mirror
from poncho.fetch.names import UnsafeNameError, check_link, member_parts, printable

_LINK = "120000"
_SUBMODULE = "160000"
_LFS = (
    "filter.lfs.process=git-lfs filter-process",
    "filter.lfs.smudge=git-lfs smudge -- %f",
    "filter.lfs.clean=git-lfs clean -- %f",
    "filter.lfs.required=true",
)


@dataclass(frozen=True, slots=True)
class Submodule:
    """A submodule as a commit has it: where it goes, where it comes from, which commit of it."""

    path: str
    url: str
    commit: str


def check_out(mirror: Mirror, commit: str, destination: Path, *, lfs: bool, scratch: Path, reporter: Reporter) -> None:
    """Write the files of ``commit`` into the existing directory ``destination``.

    ``scratch`` is a directory for the index. Git LFS files are fetched when ``lfs`` is set; otherwise their pointers
    stay, with a warning. Raises FetchError for trees with names or links that are not safe.
    """
    _check_names(mirror, commit)
    if lfs:
        _fetch_lfs(mirror, commit)
    index = scratch / f"index-{commit}"
    environment = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(destination)}
    try:
        mirror.git.local("read-tree", "--no-recurse-submodules", commit, environment=environment)
        mirror.git.local(
            "checkout-index",
            "--all",
            "--force",
            "--quiet",
            f"--prefix={destination}/",
            config=_LFS if lfs else (),
            environment=environment,
        )
    except GitFailedError as error:
        mirror.check()
        raise FetchError(
            f"{mirror.remote.url}: commit {commit[:12]} cannot be checked out: {error.last_line}",
            context={"tail": error.tail},
        ) from error
    finally:
        index.unlink(missing_ok=True)
    if not lfs and _uses_lfs(destination):
        message = f"{mirror.remote.url}: uses Git LFS; its large files stay pointers without `lfs`"
        reporter(Event("warning", "data", message))


def submodules(mirror: Mirror, commit: str) -> tuple[Submodule, ...]:
    """Return the submodules of ``commit``, sorted by path.

    Raises FetchError for one that ``.gitmodules`` does not explain.
    """
    entries = {path: name for mode, name, path in _tree(mirror.git, commit) if mode == _SUBMODULE}
    if not entries:
        return ()
    try:
        text = mirror.git.local(
            "config", "--blob", f"{commit}:.gitmodules", "--null", "--get-regexp", r"^submodule\..*\.(path|url)$"
        )
    except GitFailedError:
        mirror.check()
        text = ""
    facts: dict[str, dict[str, str]] = {}
    for line in text.split("\0"):
        key, _, value = line.partition("\n")
        name, _, what = key.removeprefix("submodule.").rpartition(".")
        facts.setdefault(name, {})[what] = value
    urls = {fact["path"].rstrip("/"): fact["url"] for fact in facts.values() if {"path", "url"} <= fact.keys()}
    missing = sorted(entries.keys() - urls.keys())
    if missing:
        raise FetchError(
            f"{mirror.remote.url}: .gitmodules does not say where the submodule {printable(missing[0])} comes from",
            hint="set `submodules` to false if it is not needed",
        )
    return tuple(Submodule(path, urls[path], entries[path]) for path in sorted(entries))


def finish(root: Path, seconds: int, remote_url: str) -> None:
    """Give all files below ``root`` one time (seconds since 1970) and modes 0644 or 0755, after a look at every link.

    Raises FetchError for a symbolic link that is absolute or leads outside: it would mean something else on every node.
    """
    for directory, names, files in reversed(list(walk(root))):  # what is done to a directory comes after what is in it
        for name in (*files, *names):
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                inside = Path(path).relative_to(root)
                try:
                    check_link(inside.parts, os.readlink(path))
                except UnsafeNameError as error:
                    raise FetchError(
                        f"{remote_url}: the symbolic link {printable(str(inside))} {error}: refused",
                        hint="it would not work on another machine; remove it from the repository, or take the files "
                        "that are needed by http",
                    ) from error
            elif not stat.S_ISDIR(mode):
                os.chmod(path, 0o755 if mode & 0o100 else 0o644)
            else:
                os.chmod(path, 0o755)
            os.utime(path, (seconds, seconds), follow_symlinks=False)
    os.utime(root, (seconds, seconds))


def commit_time(mirror: Mirror, commit: str) -> int:
    """Return when ``commit`` was made, in seconds since 1970; 0 for a time that no file can have."""
    text = mirror.git.local("show", "--no-patch", "--no-show-signature", "--format=%ct", commit).strip()
    seconds = int(text) if text.isascii() and text.isdigit() else 0
    return seconds if seconds < 1 << 33 else 0


def _tree(git: GitCommand, commit: str) -> Iterator[tuple[str, str, str]]:
    """Yield mode, object and path of everything in a commit's tree."""
    for line in git.local("ls-tree", "-r", "-z", "--full-tree", commit).split("\0"):
        if line:
            facts, _, path = line.partition("\t")
            mode, _, name = facts.split(" ")
            yield mode, name, path


def _check_names(mirror: Mirror, commit: str) -> None:
    """Refuse what git itself refuses in most versions, without asking which version this is."""
    links: set[tuple[str, ...]] = set()
    seen: set[tuple[str, ...]] = set()
    for mode, _, path in _tree(mirror.git, commit):
        try:
            parts = member_parts(path)
            if any(part.lower().rstrip(". ") in (".git", "git~1") for part in parts):
                raise UnsafeNameError("would be a .git of its own")
            if parts in seen:
                raise UnsafeNameError("is there twice")
            seen.add(parts)
            if mode == _LINK:
                links.add(parts)
            if links and any(parts[:length] in links for length in range(1, len(parts))):
                raise UnsafeNameError("lies below a symbolic link")
        except UnsafeNameError as error:
            raise FetchError(
                f"{mirror.remote.url}: {printable(path)!r} in commit {commit[:12]} {error}: refused"
            ) from error


def _fetch_lfs(mirror: Mirror, commit: str) -> None:
    try:
        mirror.git.remote(
            mirror.remote,
            "lfs",
            "fetch",
            "origin",
            commit,
            config=(
                f"remote.origin.url={mirror.remote.url}",
                "lfs.fetchrecentalways=false",
                "lfs.concurrenttransfers=4",
            ),
        )
    except GitFailedError as error:
        raise FetchError(
            f"{mirror.remote.url}: Git LFS files cannot be fetched: {error.last_line}",
            hint="check that the server has them, and that you may read them",
            context={"tail": error.tail},
        ) from error


def _uses_lfs(destination: Path) -> bool:
    attributes = destination / ".gitattributes"
    if attributes.is_symlink() or not attributes.is_file():
        return False
    with attributes.open("rb") as stream:
        return b"filter=lfs" in stream.read(1 << 20)
