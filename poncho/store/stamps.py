"""Tell whether a directory tree is as it was left, without reading its files: one digest for each directory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

# Relative directory → digest of what is in it: names, and for files mode, size, inode and time of the last change of the
# content. Not the time of the last change of the inode: another link to the file changes it.
Stamps: TypeAlias = Mapping[str, str]


def take_stamps(root: Path) -> dict[str, str]:
    """Return the stamps of all directories below ``root``."""
    found: dict[str, str] = {}
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        found[directory], below = _stamp(os.fspath(root), directory)
        waiting += below
    return found


def renew_stamps(root: Path, stamps: Stamps, changed: Iterable[str]) -> dict[str, str]:
    """Return ``stamps`` with those of ``changed`` directories, and of directories new in them, taken anew."""
    found = dict(stamps)
    todo = set(changed)
    while todo:
        directory = todo.pop()
        if os.path.isdir(f"{root}/{directory}"):
            found[directory], below = _stamp(os.fspath(root), directory)
            todo.update(one for one in below if one not in found)
        else:
            found.pop(directory, None)
    return found


def _stamp(root: str, directory: str) -> tuple[str, list[str]]:
    lines = []
    below = []
    lead = f"{directory}/" if directory else ""
    with os.scandir(f"{root}/{directory}") as entries:
        for entry in entries:
            name = entry.name
            if entry.is_symlink():
                lines.append(f"{name}\0{os.readlink(entry.path)}")
            elif entry.is_dir(follow_symlinks=False):
                lines.append(f"{name}\0/")
                below.append(lead + name)
            else:
                status = entry.stat(follow_symlinks=False)
                lines.append(f"{name}\0{status.st_mode} {status.st_size} {status.st_ino} {status.st_mtime_ns}")
    lines.sort()
    text = "\0\0".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest(), below
