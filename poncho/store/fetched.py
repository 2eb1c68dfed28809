"""Packages that the runner fetched by URL and keeps in ``<store>/.fetched`` (docs/store.md): which they are, which may go."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = ".fetched"
_SIGNATURE = re.compile(rb"PONCHO-PACKAGE 1\n([0-9a-f]{32})\n")
_HEAD = 4096
# A download that nobody has gone on with for so long, in seconds.
_LEFT = 2 * 86400


@dataclass(frozen=True, slots=True)
class Fetched:
    """One kept package: its file, the sha256 of the file, the package's name in a store, its bytes."""

    path: Path
    sha256: str
    name: str
    size: int

    def is_source_of(self, names: Iterable[str]) -> bool:
        """Return whether it was unpacked into one of these entries of the store."""
        return any(name.startswith(self.name) for name in names)


def fetched(root: Path) -> list[Fetched]:
    """Return the packages kept in the store ``root``, by name; what goes away meanwhile is left out."""
    found = []
    for path in _files(root, ".package"):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            match = _SIGNATURE.search(stream.read(_HEAD))
            # Others' packages have a short name.
            name = match[1].decode() if match else path.stem[:12]
            found.append(Fetched(path, path.stem, name, path.stat().st_blocks * 512))
    return found


def _files(root: Path, suffix: str) -> list[Path]:
    try:
        return sorted(root / DIRECTORY / name for name in os.listdir(root / DIRECTORY) if name.endswith(suffix))
    except OSError:
        return []


def drop_fetched(root: Path, names: Iterable[str], locked: Callable[[str], AbstractContextManager[bool]]) -> int:
    """Delete kept packages that belong to no entry in ``names``, old partial downloads too; return the bytes freed.

    ``locked`` holds a runner's lock of a name, and yields False when a runner holds it: that package stays.
    """
    freed = 0
    names = tuple(names)
    for package in fetched(root):
        if package.is_source_of(names):
            continue
        with locked(package.sha256) as fetching, locked(package.name) as unpacking:
            if fetching and unpacking:
                with contextlib.suppress(OSError):
                    package.path.unlink()
                    freed += package.size
    for path in _files(root, ".part"):
        with contextlib.suppress(OSError), locked(path.stem) as mine:
            if mine and time.time() - path.stat().st_mtime > _LEFT:
                freed += path.stat().st_blocks * 512
                path.unlink()
    for path in _files(root, ""):
        if not path.name.startswith("url-"):
            continue
        with contextlib.suppress(OSError):
            recorded = path.read_text(errors="replace").partition("\n")[0]
            if not (root / DIRECTORY / f"{recorded}.package").exists():
                path.unlink()
    return freed
