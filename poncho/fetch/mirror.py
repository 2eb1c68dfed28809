"""A bare repository in the cache for each remote: it holds the commits that were asked for, and no address, no
credentials.

A commit that came whole has a ref of its own (``refs/poncho/commit/SHA``), which also keeps it. What a branch or tag
meant when it was last looked up is a ref too, for offline builds.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from poncho import _json
from poncho._types import Event, Reporter
from poncho.errors import FetchError
from poncho.fetch.gitcommand import GitCommand
from poncho.fetch.gitfailure import DamagedMirrorError, GitFailedError
from poncho.fetch.remote import Remote, check_ref
from poncho.store import BuilderCache, atomic_directory, atomic_file, exclusive
from poncho.store.atomic import take_away

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ABBREVIATED = re.compile(r"[0-9a-f]{4,39}")
_COMMITS = "refs/poncho/commit"
_EVERYTHING = ("+refs/heads/*:refs/poncho/heads/*", "+refs/tags/*:refs/poncho/tags/*")
_NOTES = "poncho.json"
# No name of a ref: they never begin with a dot.
_FULL = ".full"

_T = TypeVar("_T")


class Mirror:
    """The cached copy of one remote. Its methods are called by one process at a time (``with_mirror`` sees to it)."""

    def __init__(self, remote: Remote, path: Path, *, offline: bool, reporter: Reporter) -> None:
        self.remote = remote
        self.path = path
        self.git = GitCommand(path, reporter)
        self._offline = offline
        self._reporter = reporter

    def resolve(self, ref: str | None) -> str:
        """Return the object that ``ref`` means at the remote now: 40 hexadecimal digits, not yet fetched.

        ``ref`` is a full ref name, a branch, a tag (a branch goes first, as with ``git clone --branch``), a commit or
        the first digits of one; None is the remote's HEAD. Raises FetchError.
        """
        if ref is None:
            ref = "HEAD"
        else:
            check_ref(ref)
        if _COMMIT.fullmatch(ref):
            return ref
        if self._offline:
            return self._resolve_offline(ref)
        patterns = [ref] if ref == "HEAD" or ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        found = self._list(*patterns, *(f"{pattern}^{{}}" for pattern in patterns))
        names = [pattern for pattern in patterns if pattern in found]
        if not names:
            return self._resolve_unlisted(ref)
        if len(names) > 1:
            message = f"{self.remote.url}: {ref} is a branch and a tag; the branch is taken"
            self._reporter(Event("warning", "data", message))
        commit = found.get(f"{names[0]}^{{}}", found[names[0]])
        if not _COMMIT.fullmatch(commit):
            raise FetchError(f"{self.remote.url}: uses sha256 object names, which locks do not know yet")
        self._remember(ref, commit)
        return commit

    def fetch(self, commit: str, depth: int | None) -> str:
        """Make ``commit`` (a commit, or a tag that leads to one) complete here, and return the commit.

        Only that commit is transferred when the server allows it, with ``depth`` - 1 of its ancestors when given.
        Raises FetchError.
        """
        here = self._complete(commit)
        if here:
            return here
        if self._offline:
            self.check()
            raise FetchError(
                f"{self.remote.url}: commit {commit} is not in the cache, and this build is offline",
                hint="run once without --offline, with the same PONCHO_CACHE_DIR",
            )
        shallow = [] if self._is_full() else [f"--depth={depth or 1}"]
        refused: GitFailedError | None = None
        try:
            self._fetch(*shallow, refspecs=(f"+{commit}:{_COMMITS}/{commit}",))
        except GitFailedError as error:
            if error.passing or error.denied:
                raise self._explained(error) from error
            refused = error
            self._fetch_all()
        here = self._complete(commit)
        if here is None:
            self.check()
            raise FetchError(
                f"{self.remote.url}: has no commit {commit}",
                hint="it was never pushed there, or was removed by a forced push",
                context={"tail": refused.tail if refused else ""},
            ) from refused
        return here

    def check(self) -> None:
        """Raise DamagedMirrorError unless all that is here is sound. It reads all of it: for when something has failed."""
        found = self.git.damage()
        if found is not None:
            raise DamagedMirrorError(found.cause) from found

    def _explained(self, error: GitFailedError, *, suspect: bool = False) -> FetchError:
        """Return what is said of a failure at the remote. Raises DamagedMirrorError when it was what is here.

        That is looked at when git names it, or with ``suspect``.
        """
        if suspect or str(self.path) in error.tail:
            self.check()
        return error.explain(self.remote)

    def _resolve_unlisted(self, ref: str) -> str:
        if _ABBREVIATED.fullmatch(ref):
            if not self._is_full() or self._expand(ref) is None:
                self._fetch_all()
            commit = self._expand(ref)
            if commit:
                return commit
            self.check()
            raise FetchError(
                f"{self.remote.url}: {ref} is no branch or tag, and no or more than one commit begins so",
                hint="give more digits of the commit",
            )
        known = self._list("HEAD", "refs/heads/*", "refs/tags/*")
        if not known:
            raise FetchError(f"{self.remote.url}: the repository is empty", hint="push a commit to it, or leave it out")
        if ref == "HEAD":
            raise FetchError(f"{self.remote.url}: its HEAD leads to no commit", hint="give a branch as `ref`")
        names = sorted({re.sub(r"^refs/(heads|tags)/|\^\{\}$", "", name) for name in known} - {"HEAD"})
        near = difflib.get_close_matches(ref, names, n=3) or names[:5]
        raise FetchError(
            f"{self.remote.url}: has no branch, tag or commit {ref}",
            hint=f"it has {', '.join(near)}{', …' if len(names) > len(near) else ''}",
            context={"ref": ref},
        )

    def _resolve_offline(self, ref: str) -> str:
        commit = self._notes().get(ref) or (self._expand(ref) if _ABBREVIATED.fullmatch(ref) else None)
        if commit is None:
            self.check()
            raise FetchError(
                f"{self.remote.url}: what {ref} means is not in the cache, and this build is offline",
                hint="run once without --offline, with the same PONCHO_CACHE_DIR, or give the full commit",
            )
        return commit

    def _list(self, *patterns: str) -> dict[str, str]:
        try:
            text = self.git.remote(self.remote, "ls-remote", "--quiet", "--", self.remote.url, *patterns)
        except GitFailedError as error:
            raise self._explained(error) from error
        pairs = (line.split("\t", 1) for line in text.splitlines() if "\t" in line)
        return {name: commit for commit, name in pairs}

    def _fetch(self, *options: str, refspecs: Sequence[str]) -> None:
        self.git.remote(
            self.remote,
            "fetch",
            "--progress",
            "--no-tags",
            "--no-write-fetch-head",
            "--force",
            *options,
            "--",
            self.remote.url,
            *refspecs,
        )

    def _fetch_all(self) -> None:
        """Bring every branch and tag with all its history: for old servers, and to find abbreviated commits."""
        unshallow = ["--unshallow"] if (self.path / "shallow").exists() else []
        try:
            self._fetch("--prune", *unshallow, refspecs=_EVERYTHING)
        except GitFailedError as error:
            raise self._explained(error, suspect=not error.passing and not error.denied) from error
        self._remember(_FULL, "")

    def _is_full(self) -> bool:
        return _FULL in self._notes() and not (self.path / "shallow").exists()

    def _complete(self, commit: str) -> str | None:
        """Return the commit that an object leads to, when all of it is here."""
        found = self._parse(f"{commit}^{{commit}}")
        if found is None:
            return None
        if self._parse(f"{_COMMITS}/{found}") != found:
            try:
                # What git itself asks after a fetch: is everything there that this commit needs?
                self.git.local("rev-list", "--quiet", "--objects", "--max-count=1", found)
            except GitFailedError:
                return None
            self.git.local("update-ref", f"{_COMMITS}/{found}", found)
        return found

    def _expand(self, abbreviated: str) -> str | None:
        return self._parse(f"{abbreviated}^{{commit}}")

    def _parse(self, revision: str) -> str | None:
        try:
            found = self.git.local("rev-parse", "--verify", "--quiet", "--end-of-options", revision).strip()
        except GitFailedError:
            return None
        return found if _COMMIT.fullmatch(found) else None

    def _notes(self) -> dict[str, str]:
        """Return what names meant when they were last looked up (a ref cannot hold that: its object comes later)."""
        try:
            notes = _json.loads((self.path / _NOTES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def _remember(self, name: str, commit: str) -> None:
        try:
            with atomic_file(self.path / _NOTES) as path:
                text = json.dumps({**self._notes(), name: commit}, sort_keys=True)
                path.write_text(text, encoding="utf-8")
        except IsADirectoryError as error:
            raise DamagedMirrorError(f"{_NOTES} is a directory") from error


def with_mirror(
    remote: Remote, cache: BuilderCache, work: Callable[[Mirror], _T], *, offline: bool, reporter: Reporter
) -> _T:
    """Do ``work`` with the mirror of ``remote``, made when missing, which no other process uses meanwhile.

    Where the mirror turns out to be damaged, ``work`` is done once more with a new one, which takes its place. Raises
    FetchError, StoreError.
    """
    directory = cache.directory("git")
    path = directory / f"{remote.key}.git"
    with exclusive(directory / f"{remote.key}.lock"):
        try:
            return work(_opened(remote, path, offline=offline, reporter=reporter))
        except (GitFailedError, DamagedMirrorError) as error:
            if isinstance(error, GitFailedError) and error.status < 0:
                raise _failed(remote, error) from error  # it was killed, which says nothing of the mirror
            why = _why(error)
            if offline:
                raise FetchError(
                    f"{remote.url}: its copy in the cache is damaged ({why}), and this build is offline",
                    hint="run once without --offline, with the same PONCHO_CACHE_DIR: then it is fetched anew",
                    context={"url": remote.url, "path": str(path), "tail": getattr(error, "tail", why)},
                ) from error
            message = f"{remote.url}: its copy in the cache is damaged ({why}); it is fetched anew"
            reporter(Event("warning", "data", message, item=remote.url))
        with _set_aside(path):
            try:
                return work(_opened(remote, path, offline=offline, reporter=reporter))
            except (GitFailedError, DamagedMirrorError) as error:
                raise _failed(remote, error) from error


@contextmanager
def _set_aside(path: Path) -> Iterator[None]:
    """Take a mirror away while the block runs, and for good when it succeeds.

    Who works with it all the same, where the file system has no locks, finds it gone, and fetches it anew, too.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with suppress(FileNotFoundError):
        path.rename(aside)
    try:
        yield
    except BaseException:
        # The remote may be out of reach, or have lost what lies sound beside the damage.
        with suppress(OSError):
            take_away(path)
            aside.rename(path)
        raise
    take_away(aside)


def _opened(remote: Remote, path: Path, *, offline: bool, reporter: Reporter) -> Mirror:
    if os.path.lexists(path) and not os.path.isdir(path):
        raise DamagedMirrorError("it is no directory")
    with atomic_directory(path) as private:
        if private is not None:
            try:
                GitCommand().local("init", "--quiet", "--bare", "--template=", "--", str(private))
            except GitFailedError as error:
                raise FetchError(f"{path}: git cannot make a repository there", context={"tail": error.tail}) from error
    with suppress(OSError):
        os.utime(path)  # a prune goes by when it was last of use
    return Mirror(remote, path, offline=offline, reporter=reporter)


def _why(error: GitFailedError | DamagedMirrorError) -> str:
    said = error.cause if isinstance(error, GitFailedError) else str(error)
    return said.removeprefix("error: ")


def _failed(remote: Remote, error: GitFailedError | DamagedMirrorError) -> FetchError:
    return FetchError(
        f"{remote.url}: git cannot work with what was fetched: {_why(error)}",
        hint="check the memory of this machine and the disk that PONCHO_CACHE_DIR is on, or use another directory",
        context={"url": remote.url, "tail": getattr(error, "tail", str(error))},
    )
