"""A lock as it may lie in a package: what was on the building machine is named by its content, and not by its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from poncho._frozen import Frozen
from poncho.lock.model import Lock, LockedGit, LockedPip
from poncho.spec.portable import portable_requirement


def portable(lock: Lock) -> Lock:
    """Return ``lock`` without paths of local code, wheels and repositories; names, versions and digests stay."""
    git = {name: _named(source) for name, source in lock.git.items()}
    return replace(lock, pip=tuple(map(_without_place, lock.pip)), git=Frozen(git))


def _named(source: LockedGit) -> LockedGit:
    local = source.remote.startswith(("/", "file:"))
    return replace(source, remote=PurePosixPath(source.remote).name) if local else source


def _without_place(item: LockedPip) -> LockedPip:
    local = item.url is not None and item.url.startswith("file:")
    return replace(item, requirement=portable_requirement(item.requirement), url=None if local else item.url)
