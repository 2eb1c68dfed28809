"""What tells that a file or directory is as it was: inode, size, and times that have settled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

# A file's times do not tell a change from one that came this soon after it: some file systems count in steps of two
# seconds. What is younger is compared by content.
_SETTLED = 2_000_000_000
NOTHING = [0, 0, 0, 0]


def times_of(path: str, started: int) -> list[int]:
    """Return what changes when a file does, in an analysis that ``started`` then (ns); zeros where that tells nothing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return list(NOTHING)
    if max(status.st_mtime_ns, status.st_ctime_ns) > started - _SETTLED:
        return list(NOTHING)
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def is_as_it_was(path: str, times: Sequence[Any]) -> bool:
    """Tell whether a file or directory has the times that ``times_of`` gave; zeros are nobody's."""
    inode, size, modified, changed = times
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    return bool(
        status.st_mtime_ns == modified
        and status.st_ctime_ns == changed
        and status.st_ino == inode
        and status.st_size == size
    )


def code_of_analysis() -> list[Any]:
    """Return what changes when this analyser does: sizes and times of its own files."""
    here = os.path.dirname(__file__)
    found = []
    for folder in (here, os.path.join(here, "data")):
        with os.scandir(folder) as entries:
            found += sorted(
                (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries if entry.is_file()
            )
    return found
