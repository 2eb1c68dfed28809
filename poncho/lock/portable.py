"""A lock as it may lie in a package: what was on the building machine is named by its content, and not by its place."""

from __future__ import annotations

from dataclasses import replace

from poncho.lock.model import Lock, LockedPip
from poncho.spec.portable import portable_requirement


def portable(lock: Lock) -> Lock:
    """Return ``lock`` without paths of local code and local wheels; name, version and sha256 stay."""
    return replace(lock, pip=tuple(map(_without_place, lock.pip)))


def _without_place(item: LockedPip) -> LockedPip:
    local = item.url is not None and item.url.startswith("file:")
    return replace(item, requirement=portable_requirement(item.requirement), url=None if local else item.url)
