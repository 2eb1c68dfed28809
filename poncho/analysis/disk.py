"""Directories as they were when an analysis first looked at them: each is read once, and what was read is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

# By path: the entries of a directory, each with what it is: ``f`` file, ``d`` directory, ``l`` link to a directory.
_seen: dict[str, Mapping[str, str]] = {}


_once: list[Callable[[], None]] = []
_Function = TypeVar("_Function", bound=Callable[..., Any])


def once(function: _Function) -> _Function:
    """Let a function that looks at the disk answer each question once, until ``forget``."""
    remembering = cache(function)
    _once.append(remembering.cache_clear)
    return cast(_Function, remembering)


def listing(folder: str) -> Mapping[str, str]:
    """Return the entries of a directory and what they are; none where it cannot be read."""
    known = _seen.get(folder)
    if known is None:
        known = _seen[folder] = MappingProxyType(read(folder))
    return known


def read(folder: str) -> dict[str, str]:
    """Read a directory anew, as ``listing`` returns it."""
    found: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir():
                        found[entry.name] = "l" if entry.is_symlink() else "d"
                    elif entry.is_file():
                        found[entry.name] = "f"
                except OSError:
                    continue  # a link that leads nowhere
    except (OSError, ValueError):
        pass
    return found


def is_file(path: Path) -> bool:
    """Tell whether a file is there."""
    return listing(str(path.parent)).get(path.name) == "f"


def is_directory(path: Path) -> bool:
    """Tell whether a directory is there."""
    return listing(str(path.parent)).get(path.name, "f") != "f"


def has(folder: str, name: str) -> bool:
    """Tell whether a directory has an entry."""
    return name in listing(folder)


def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk a tree as ``os.walk`` does, sorted; links to directories are not followed."""
    entries = listing(top)
    folders = sorted(name for name, kind in entries.items() if kind == "d")
    yield top, folders, sorted(name for name, kind in entries.items() if kind == "f")
    for name in folders:
        yield from walk(os.path.join(top, name))


def seen() -> Mapping[str, Mapping[str, str]]:
    """Return everything that was looked at since ``forget``."""
    return MappingProxyType(_seen)


@contextmanager
def remembering() -> Iterator[None]:
    """Know what was read for as long as one analysis lasts: a long-running caller's next one sees the disk anew."""
    forget()
    try:
        yield
    finally:
        forget()  # what is kept to the end of the process costs time there


def forget() -> None:
    """Forget what was read."""
    _seen.clear()
    for clear in _once:
        clear()
