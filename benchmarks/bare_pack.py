"""The least that packing can cost: read each file, hash it, compress, write. Makes no package, but a heap of compressed bytes.

    python benchmarks/bare_pack.py PREFIX OUTPUT

As many processes as there are cores take pieces of two mebibytes from a list and do with them what a package of ours needs for
its bytes alone: sha256 of each file, ISA-L's level 2, two CRCs, a write. No tar headers, no order, no search for the prefix, no
records, nothing about who brought what. So nobody who hashes and compresses with the same libraries can be much faster.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from isal import isal_zlib

BATCH = 2 << 20
PIECE = 3 << 20
LARGE = 1 << 20
LEVEL = 2
RAW = -15

File = tuple[str, int]


def files_below(root: str) -> Iterator[File]:
    """Yield (path, size) of each regular file."""
    for directory, _, names in os.walk(root):
        for name in names:
            path = f"{directory}/{name}"
            info = os.lstat(path)
            if stat.S_ISREG(info.st_mode):
                yield path, info.st_size


def batches(files: Iterator[File]) -> list[list[File]]:
    """Return the files in pieces of work."""
    found: list[list[File]] = [[]]
    size = 0
    for path, length in files:
        if size >= BATCH:
            found.append([])
            size = 0
        found[-1].append((path, length))
        size += length
    return found


class Press:
    """Takes files in, and writes them compressed."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._view = memoryview(bytearray(PIECE))
        self._filled = 0

    def take(self, path: str, size: int) -> None:
        """Read and hash one file; write what is full."""
        if self._filled + min(size, LARGE) > PIECE or size > LARGE:
            self.write()
        stream = os.open(path, os.O_RDONLY)
        digest = hashlib.sha256()
        while size > 0:
            found = os.readv(stream, [self._view[self._filled : min(PIECE, self._filled + size)]])
            if not found:
                sys.exit(f"{path}: has become shorter")
            digest.update(self._view[self._filled : self._filled + found])
            self._filled += found
            size -= found
            if self._filled == PIECE:
                self.write()
        os.close(stream)
        digest.hexdigest()

    def write(self) -> None:
        """Compress what was taken in, and write it."""
        data = self._view[: self._filled]
        self._filled = 0
        if data:
            packed = isal_zlib.compress(data, LEVEL, RAW)
            isal_zlib.crc32(data)
            isal_zlib.crc32(packed)
            os.write(self._output, packed)


def work(orders: int, pieces: list[list[File]], output: int) -> None:
    """Do pieces until there are none."""
    press = Press(output)
    while order := os.read(orders, 4):
        for path, size in pieces[int.from_bytes(order, "little")]:
            press.take(path, size)
        press.write()


def main() -> None:
    """Do it with one process for each core."""
    prefix, output = sys.argv[1:]
    pieces = batches(files_below(prefix))
    orders, feed = os.pipe()
    if os.fork() == 0:
        os.close(orders)
        for number in range(len(pieces)):
            os.write(feed, number.to_bytes(4, "little"))
        os._exit(0)
    os.close(feed)
    # All append to one file, in whatever order they come.
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    children = []
    for _ in range(len(os.sched_getaffinity(0)) - 1):
        child = os.fork()
        if child == 0:
            work(orders, pieces, target)
            os._exit(0)
        children.append(child)
    work(orders, pieces, target)
    for child in children:
        if os.waitpid(child, 0)[1]:
            sys.exit("a process failed")
    print(Path(output).stat().st_size)


if __name__ == "__main__":
    main()
