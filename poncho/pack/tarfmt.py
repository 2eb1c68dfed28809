"""Tar headers: POSIX ustar, with GNU's ``L``/``K`` members for long names: every tar reads these, busybox's too."""

from __future__ import annotations

import os
from typing import Final

BLOCK: Final = 512
FILE: Final = b"0"
LINK: Final = b"2"
DIRECTORY: Final = b"5"

_OWNER = b"0000000\x000000000\x00"
_REST = b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00"


def padding(size: int) -> bytes:
    """Return the zeros that fill ``size`` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def header(path: str, kind: bytes, *, mode: int = 0, size: int = 0, mtime: int = 0, link: str = "") -> bytes:
    """Return the header blocks of one member: owner 0, no names, everything else as given."""
    name = os.fsencode(path)
    target = os.fsencode(link)
    if kind == DIRECTORY:
        name += b"/"
    before = b""
    prefix = b""
    if len(target) > 100:
        before += _long(b"K", target)
        target = target[:100]
    if len(name) > 100:
        prefix, name, fits = _split(name)
        if not fits:
            before += _long(b"L", name)
            name = name[:100]
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
    head = b"%b%07o\x00%b%b%011o\x00" % (name.ljust(100, b"\0"), mode, _OWNER, length, mtime)
    tail = b"%b%b%b%b" % (kind, link.ljust(100, b"\0"), _REST, prefix)
    checksum = sum(head) + sum(tail) + 8 * 32
    return (b"%b%06o\x00 %b" % (head, checksum, tail)).ljust(BLOCK, b"\0")
