"""Git sources: a branch, tag or commit becomes one commit, and that commit becomes plain files.

The files carry no ``.git``: its bytes differ from clone to clone and may hold credentials, and a package has no use
for history. So ``depth`` only bounds what is transferred when a commit has to be searched; by default that is the
commit alone.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from poncho._types import Event, Reporter, silent
from poncho.errors import FetchError
from poncho.fetch.gitcommand import GitCommand, require_lfs
from poncho.fetch.gitfailure import GitFailedError
from poncho.fetch.mirror import Mirror, with_mirror
from poncho.fetch.names import UnsafeNameError, member_parts
from poncho.fetch.remote import Remote
from poncho.fetch.worktree import Submodule, check_out, commit_time, finish, submodules
from poncho.lock.model import LockedGit
from poncho.spec.model import GitSource
from poncho.store import BuilderCache, atomic_directory
from poncho.store.atomic import take_away

_DEEPEST = 16


def resolve_git(
    source: GitSource | LockedGit, *, cache: BuilderCache, offline: bool = False, reporter: Reporter = silent
) -> LockedGit:
    """Say which commit ``source`` means now, without fetching more than that takes.

    A full commit is taken as it is, without asking. Raises FetchError: no network, no such repository, no such ref,
    an address that is not allowed.
    """
    if isinstance(source, LockedGit):
        return source
    remote = Remote.parse(source.remote)
    ref = source.ref
    commit = with_mirror(remote, cache, lambda mirror: mirror.resolve(ref), offline=offline, reporter=reporter)
    if remote.local and source.ref is None and _has_changes(remote.path):
        message = (
            f"{remote.url}: has changes that are not committed; the package gets commit {commit[:12]} without them"
        )
        reporter(Event("warning", "data", message))
    return _lock(source, commit)


def fetch_git(
    source: GitSource | LockedGit,
    destination: Path,
    *,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter = silent,
) -> LockedGit:
    """Put the files of ``source`` into the new directory ``destination``, whole or not at all, and say which commit
    they are.

    Without a submodule's own ``.git`` too; times are those of the commit, modes 0644 and 0755. The cache is asked
    first: a commit in it needs no network. Credentials come from the address, credential helpers, ssh agent or netrc;
    none is kept anywhere.

    Raises FetchError: no network, no such repository, ref or commit, a subdirectory that is not there, git or git-lfs
    missing, an address that is not allowed, links that lead outside. Raises BuildError when the disk is full.
    """
    remote = Remote.parse(source.remote)
    if source.lfs:
        require_lfs()
    reporter(Event("start", "data", remote.url, item=remote.url))
    with atomic_directory(destination) as private:
        if private is None:
            raise FetchError(f"{destination}: exists already", context={"path": str(destination)})
        wanted = source.commit if isinstance(source, LockedGit) else None
        builder = _Builder(source, cache, offline, reporter)
        commit, seconds = builder.place(remote, wanted, private, level=0)
        finish(private, seconds, remote.url)
        _check_subdirectory(private, source.subdirectory, remote, commit)
    reporter(Event("done", "data", f"{remote.url} at {commit[:12]}", item=remote.url))
    return replace(source, commit=commit) if isinstance(source, LockedGit) else _lock(source, commit)


class _Builder:
    """One fetch, with its submodules."""

    def __init__(self, source: GitSource | LockedGit, cache: BuilderCache, offline: bool, reporter: Reporter) -> None:
        self._source = source
        self._cache = cache
        self._offline = offline
        self._reporter = reporter

    def place(self, remote: Remote, commit: str | None, destination: Path, *, level: int) -> tuple[str, int]:
        """Write a commit (None: the one that the source's ref means) into ``destination``; return it with its time."""
        if level > _DEEPEST:
            raise FetchError(f"{remote.url}: submodules are nested more than {_DEEPEST} deep")
        source = self._source

        def work(mirror: Mirror) -> tuple[str, int, tuple[Submodule, ...]]:
            _empty(destination)  # of what a damaged mirror gave
            found = mirror.fetch(commit or mirror.resolve(source.ref), source.depth)
            check_out(mirror, found, destination, lfs=source.lfs, scratch=scratch, reporter=self._reporter)
            seconds = commit_time(mirror, found)
            return found, seconds, submodules(mirror, found) if source.submodules else ()

        with self._cache.scratch("git") as scratch:
            found, seconds, parts = with_mirror(
                remote, self._cache, work, offline=self._offline, reporter=self._reporter
            )
        if not source.submodules and (destination / ".gitmodules").is_file():
            message = f"{remote.url}: has submodules; their directories stay empty without `submodules`"
            self._reporter(Event("warning", "data", message))
        # The lock of this mirror is free again: a submodule may come from the same remote.
        for part in parts:
            place = destination / part.path
            if not stat.S_ISDIR(os.lstat(place).st_mode):
                raise FetchError(f"{remote.url}: the submodule {part.path} has no directory of its own")
            self.place(remote.submodule(part.url), part.commit, place, level=level + 1)
        return found, seconds


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        take_away(path)


def _has_changes(tree: Path) -> bool:
    """Tell whether a working tree differs from its last commit; False for one that cannot be asked, or is another user's.

    Asking may run programs that the repository's own configuration names (filters).
    """
    try:
        if (tree / ".git").stat().st_uid != os.geteuid():
            return False
        said = GitCommand(tree / ".git").local(f"--work-tree={tree}", "status", "--porcelain", "--untracked-files=no")
    except (OSError, GitFailedError):
        return False
    return bool(said)


def _lock(source: GitSource, commit: str) -> LockedGit:
    return LockedGit(
        remote=source.remote,
        commit=commit,
        ref=source.ref,
        depth=source.depth,
        submodules=source.submodules,
        lfs=source.lfs,
        subdirectory=source.subdirectory,
    )


def _check_subdirectory(root: Path, subdirectory: str | None, remote: Remote, commit: str) -> None:
    if subdirectory is None:
        return
    try:
        place = root.joinpath(*member_parts(subdirectory))
    except UnsafeNameError as error:
        raise FetchError(f"subdirectory {subdirectory!r} {error}", hint="give a path inside the repository") from error
    if not place.exists():
        names = sorted(path.name for path in root.iterdir())[:8]
        raise FetchError(
            f"{remote.url}: there is no {subdirectory} in commit {commit[:12]}", hint=f"it has {', '.join(names)}"
        )
