"""What a file system can hold and nobody expects in an environment."""

from __future__ import annotations

import os
from pathlib import Path


def deep(root: Path, levels: int, *, files: bool = False) -> None:
    """Make ``root`` with that many directories in each other, and a file in the last one, or in all of them.

    Each is entered by its name: a path of more than 4096 bytes could not be given.
    """
    root.mkdir(exist_ok=True)
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(levels):
        if files:
            _write(place)
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=place)
        os.close(place)
        place = inner
    _write(place)
    os.close(place)


def _write(place: int) -> None:
    stream = os.open("f.py", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=place)
    os.write(stream, b"x = 1\n")
    os.close(stream)
