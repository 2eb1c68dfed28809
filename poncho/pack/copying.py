"""Copy blocks from the cache to the package, in a process of its own.

A thread would do, if it did not wait for the interpreter's lock several times for each block while the rest of packing, which
is Python, holds it: measured, the two then take longer than one after the other.

This file is also what that process runs, alone: it imports nothing of PONCHO. On standard input it gets lines, ``> PATH`` (the
file to write to, its bytes in hexadecimal digits), ``@ OFFSET`` (where to write next), ``KEY SIZE`` (the block to copy there, and
how large its tar must be), and ``=``. It answers ``=`` with one line: ``PACKED:CRC`` for each block that was copied since the
last one, and ``!N`` at the first that could not be, with N the number of the error, 0 when the block is missing or damaged.
Blocks after that one are not copied.
"""

from __future__ import annotations

import io
import os
import signal
import struct
import sys
import time

from isal import isal_zlib

HEAD = struct.Struct("<8sIII")
MAGIC = b"PONCHOB1"
HEAD_SIZE = HEAD.size + 4
# The time of change of what is kept says when it was last of use, to about this many seconds.
_OFTEN = 3600.0
_AT_FIRST = 4 << 20


def check(data: bytes | bytearray | memoryview) -> tuple[int, int] | None:
    """Return (size of the tar, CRC-32 of the compressed bytes) of a block's file, None when it is damaged."""
    crc = isal_zlib.crc32
    if len(data) <= HEAD_SIZE or crc(data[: HEAD.size]) != int.from_bytes(data[HEAD.size : HEAD_SIZE], "little"):
        return None
    magic, packed, size, expected = HEAD.unpack_from(data)
    sound = magic == MAGIC and packed == len(data) - HEAD_SIZE and crc(data[HEAD_SIZE:]) == expected
    return (size, expected) if sound else None


def path_of(root: str, key: str) -> str:
    """Return where what has a key lies: blocks, and looks."""
    return f"{root}/{key[:2]}/{key}"


def touch(stream: int, info: os.stat_result) -> None:
    """Note that a block, or a look, is of use."""
    if time.time() - info.st_mtime > _OFTEN:
        try:
            os.utime(stream)
        except OSError:
            pass


def serve(root: str, commands: io.BufferedIOBase, answers: io.BufferedIOBase) -> None:
    """Do what the lines say, until they end. Raises OSError when the file to write to cannot be opened."""
    buffer = bytearray(_AT_FIRST)
    output = -1
    offset = 0
    said: list[str] = []
    failed = False
    for command in commands:
        first, _, second = command.decode().strip().partition(" ")
        if first == "=":
            answers.write(" ".join(said).encode() + b"\n")
            answers.flush()
            said, failed = [], False
        elif first == ">":
            output = os.open(bytes.fromhex(second), os.O_WRONLY | os.O_CLOEXEC)
        elif first == "@":
            offset = int(second)
        elif not failed:
            try:
                found = _read(path_of(root, first), buffer)
                facts = None if found is None else check(found)
                if found is None or facts is None or facts[0] != int(second):
                    failed = True
                    said.append("!0")
                    continue
                packed = found[HEAD_SIZE:]
                said.append(f"{len(packed)}:{facts[1]}")
                while packed:
                    written = os.pwrite(output, packed, offset)
                    packed, offset = packed[written:], offset + written
            except OSError as error:
                failed = True
                said[-1:] = [f"!{error.errno or 0}"]


def _read(path: str, buffer: bytearray) -> memoryview | None:
    try:
        stream = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        info = os.fstat(stream)
        if info.st_size > len(buffer):
            return None  # no block is: whoever asked for it makes it anew
        found = os.readv(stream, [memoryview(buffer)[: info.st_size]])
        touch(stream, info)
    except OSError:
        return None
    finally:
        os.close(stream)
    return memoryview(buffer)[:found] if found == info.st_size else None


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the builder, which closes the pipe then
    with open(0, "rb") as commands, open(1, "wb") as answers:
        serve(sys.argv[1], commands, answers)
