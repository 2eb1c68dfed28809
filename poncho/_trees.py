"""Directories in directories, as deep as a path can be: deeper than functions can call themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator


def walk(top: str | os.PathLike[str], *, regular: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield what ``os.walk`` does, which calls itself for each level before Python 3.12; links are not followed.

    What is taken out of the list of directories is not entered; what cannot be read is passed over. With ``regular``, so is what
    is neither a directory nor a regular file: pipes, devices, links to them.
    """
    waiting = [os.fspath(top)]
    while waiting:
        place = waiting.pop()
        directories: list[str] = []
        files: list[str] = []
        links: set[str] = set()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if _is(entry.is_dir):
                        directories.append(entry.name)
                        if entry.is_symlink():
                            links.add(entry.name)
                    elif not regular or _is(entry.is_file):
                        files.append(entry.name)
        except OSError:
            continue
        yield place, directories, files
        waiting += (os.path.join(place, name) for name in reversed(directories) if name not in links)


def make_directories(path: str) -> None:
    """Make a directory and those above it that are missing, as ``os.makedirs`` does, which calls itself for each of them."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for one in reversed(missing):
        try:
            os.mkdir(one)
        except FileExistsError:
            if not os.path.isdir(one):
                raise


def _is(asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except OSError:
        return False
