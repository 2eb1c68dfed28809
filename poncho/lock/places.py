"""Local code in a lock: absolute in memory, relative to the lock's own directory in its text where it lies below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from poncho._frozen import Frozen
from poncho.lock.model import Lock, LockedGit, LockedPip
from poncho.spec.requirements import absolute_local, is_local


def relative(lock: Lock, base: Path) -> Lock:
    """Return the lock with local code, wheels and repositories below ``base`` (absolute) named as ``./path``."""

    def below(path: str) -> str:
        found = Path(path)
        inside = found.is_absolute() and found.is_relative_to(base) and found != base
        return f"./{found.relative_to(base).as_posix()}" if inside else path

    return _changed(lock, below)


def absolute(lock: Lock, base: Path) -> Lock:
    """Return the lock with local code, wheels and repositories as absolute paths; relative ones start from ``base``."""
    return _changed(lock, lambda path: absolute_local(path, base))


def is_local_remote(remote: str) -> bool:
    """Tell whether a git remote is a path; in a lock that travels it is a mere name, told by neither ``:`` nor ``/``."""
    return remote.startswith(("/", "./", "../")) or not set("/:") & set(remote)


def _changed(lock: Lock, change: Callable[[str], str]) -> Lock:
    pip = tuple(_pip(item, change) for item in lock.pip)
    git = {name: _git(source, change) for name, source in lock.git.items()}
    return replace(lock, pip=pip, git=Frozen(git))


def _pip(item: LockedPip, change: Callable[[str], str]) -> LockedPip:
    if not is_local(item.requirement):
        return item
    # The path says it all; a file:// URL beside it would say where this machine has it.
    return replace(item, requirement=change(item.requirement), url=None)


def _git(source: LockedGit, change: Callable[[str], str]) -> LockedGit:
    return replace(source, remote=change(source.remote)) if is_local_remote(source.remote) else source
