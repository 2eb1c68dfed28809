"""Tar headers: POSIX ustar, with GNU's ``L``/``K`` members for long names: every tar reads these, busybox's too."""

from __future__ import annotations

import os
from typing import Final
from zlib import adler32

BLOCK: Final = 512
SHORT: Final = 100  # bytes of a name that need no further blocks
FILE: Final = b"0"
LINK: Final = b"2"
DIRECTORY: Final = b"5"

_OWNER = b"0000000\x000000000\x00"
_REST = b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00"
# The checksum counts its own field as eight spaces; only what differs between headers is added up for each.
_CONSTANT_SUM = sum(_OWNER) + sum(_REST) + 8 * 32


def padding(size: int) -> bytes:
    """Return the zeros that fill ``size`` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def padded(size: int) -> int:
    """Return how many bytes ``size`` bytes of content take: whole blocks."""
    return size + -size % BLOCK


def header(path: str, kind: bytes, *, mode: int = 0, size: int = 0, mtime: int = 0, link: str = "") -> bytes:
    """Return the header blocks of one member: owner 0, no names, everything else as given."""
    name = os.fsencode(path)
    target = os.fsencode(link)
    if kind == DIRECTORY:
        name += b"/"
    before = b""
    prefix = b""
    if len(target) > SHORT:
        before += _long(b"K", target)
        target = target[:SHORT]
    if len(name) > SHORT:
        prefix, name, fits = _split(name)
        if not fits:
            before += _long(b"L", name)
            name = name[:SHORT]
    return before + _block(name, prefix, kind, mode, size, mtime, target)


def _split(name: bytes) -> tuple[bytes, bytes, bool]:
    at = name.find(b"/", max(0, len(name) - 101))
    if 0 < at <= 155 and at < len(name) - 1:
        return name[:at], name[at + 1 :], True
    return b"", name, False


def _long(kind: bytes, text: bytes) -> bytes:
    data = text + b"\0"
    return _block(b"././@LongLink", b"", kind, 0, len(data), 0, b"") + data + padding(len(data))


def _block(name: bytes, prefix: bytes, kind: bytes, mode: int, size: int, mtime: int, link: bytes) -> bytes:
    # 11 octal digits end at 8 GiB; beyond it GNU's base-256 form.
    length = b"%011o\x00" % size if size < 1 << 33 else (size | 1 << 95).to_bytes(12, "big")
    permissions, time = b"%07o\x00" % mode, b"%011o\x00" % mtime
    checksum = _CONSTANT_SUM + kind[0] + _sum(name + permissions + length + time) + _sum(link + prefix)
    return b"%b%b%b%b%b%06o\x00 %b%b%b%b" % (
        name.ljust(SHORT, b"\0"),
        permissions,
        _OWNER,
        length,
        time,
        checksum,
        kind,
        link.ljust(SHORT, b"\0"),
        _REST,
        prefix.ljust(167, b"\0"),
    )


def _sum(data: bytes) -> int:
    # The lower half of Adler-32 is 1 and the sum of all bytes, modulo 65521: which at most 256 bytes do not reach.
    return (adler32(data) & 0xFFFF) - 1
