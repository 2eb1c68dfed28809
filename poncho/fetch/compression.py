"""Read compressed files as streams: gzip, bz2, xz and zst, all of them refusing a file that ends too early."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from poncho.errors import FetchError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = {
    "gzip": (".gz", ".gzip", ".tgz"),
    "bz2": (".bz2", ".tbz", ".tbz2"),
    "xz": (".xz", ".txz"),
    "zst": (".zst", ".zstd", ".tzst"),
}
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
)
# What the decompressors raise for bytes that are not theirs, damaged or cut off.
DAMAGED: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zstd.ZstdError)


def sniff(path: Path) -> str | None:
    """Return the compression that the first bytes of a file show; None when they show none that is known."""
    with path.open("rb") as stream:
        head = stream.read(8)
    # zstd may begin with skippable frames (RFC 8878, 3.1.2); pzstd writes them.
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return "zst"
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def open_decompressed(path: Path, compression: str | None) -> BinaryIO:
    """Open ``path`` for reading its decompressed content; ``compression`` None reads it as it is.

    Reading raises one of ``DAMAGED`` or OSError without errno (bz2) for damaged content. Raises FetchError for a
    compression that is not known.
    """
    match compression:
        case None:
            return path.open("rb")
        case "gzip":
            return cast(BinaryIO, gzip.open(path, "rb"))
        case "bz2":
            return cast(BinaryIO, bz2.open(path, "rb"))
        case "xz":
            return cast(BinaryIO, lzma.open(path, "rb"))
        case "zst":
            return cast(BinaryIO, zstd.open(path, "rb"))
    raise FetchError(f"{compression}: unknown compression", hint=f"known are {', '.join(SUFFIXES)}")


def describe_content(path: Path) -> str:
    """Return what a file seems to be, for the message about one that is not what was expected."""
    with path.open("rb") as stream:
        head = stream.read(512)
    text = head.lstrip().lower()
    if not head:
        return "an empty file"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML)"
    if head.startswith(b"PK\x03\x04"):
        return "a zip file"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    if head[257:262] == b"ustar":
        return "a tar file"
    found = sniff(path)
    return f"{found}-compressed" if found else "something else"
