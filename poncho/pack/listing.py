"""List what lies in directories, with what the system says of each: alone, or beside the builder in a process of its own.

This file is also what that process runs: it imports nothing of PONCHO. Its arguments are a file descriptor and a root. On
standard input it gets directories below the root (relative, each closed by a slash and followed by a NUL); from the descriptor
the numbers of those that are its own to list, in four bytes (little endian) each, until there are no more. It answers with
what ``marshal`` makes of ``{number: {directory: rows}}``, all directories below included.
"""

from __future__ import annotations

import marshal
import os
import signal
import stat
import sys
from collections.abc import Iterator, Sequence

# Name, mode, size, time of change in seconds, and what tells a file from all others: device, inode, size, mtime, ctime.
Row = tuple[str, int, int, int, str]

GONE = 0  # the mode of what was there no more when it was asked for
_KIND = 0o170000  # stat.S_IFMT, without a call for each file
_TOKEN = 4


def rows(place: str) -> list[Row]:
    """Return what lies in a directory. Raises OSError when that, or something in it, cannot be asked for."""
    # Not os.scandir(): it makes an object for each name, of which nothing but the name is of use here. From an open directory
    # the system finds a file in two thirds of the time that it needs for a long path.
    directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    found: list[Row] = []
    add, stat_at = found.append, os.stat
    try:
        for name in os.listdir(directory):
            try:
                info = stat_at(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                add((name, GONE, 0, 0, ""))
                continue
            stamp = f"{info.st_dev} {info.st_ino} {info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}"
            add((name, info.st_mode, info.st_size, int(info.st_mtime), stamp))
    finally:
        os.close(directory)
    return found


def below(root: str, start: str) -> dict[str, list[Row]]:
    """Return the rows of the directory ``start`` of ``root`` and of all below it, by their relative paths."""
    found: dict[str, list[Row]] = {}
    left = [start]
    while left:
        inner = left.pop()
        found[inner] = listed = rows(f"{root}/{inner}")
        left += (f"{inner}{name}/" for name, mode, *_ in listed if mode & _KIND == stat.S_IFDIR)
    return found


def taken(tokens: int) -> Iterator[int]:
    """Yield numbers out of a pipe, from which others take some, too."""
    while token := os.read(tokens, _TOKEN):
        yield int.from_bytes(token, "little")


def tokens_for(count: int) -> bytes:
    """Return what is to be written to such a pipe."""
    return b"".join(number.to_bytes(_TOKEN, "little") for number in range(count))


def _serve(tokens: int, root: str, units: Sequence[str]) -> None:
    found = {number: below(root, units[number]) for number in taken(tokens)}
    with open(1, "wb") as answer:
        answer.write(marshal.dumps(found))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the builder, which closes the pipe then
    with open(0, "rb") as asked:
        _serve(int(sys.argv[1]), sys.argv[2], os.fsdecode(asked.read()).split("\0")[:-1])
