"""Compressors that turn one piece of tar into one independent gzip member or zstd frame. They let go of the GIL.

Measured on 1.16 GB of a scientific environment, two threads: ISA-L 2: 1.0 s, 412 MB; libdeflate 4: 3.5 s, 372 MB;
libdeflate 6: 4.9 s, 361 MB; zlib (conda-pack's level 4, one thread): 376 MB.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable
from typing import TypeAlias

import deflate
import zstandard
from isal import isal_zlib

from poncho.pack.layout import GZIP_HEAD, Format
from poncho.pack.model import DEFAULT_LEVEL

Compressor: TypeAlias = "Callable[[bytes | bytearray | memoryview], bytes]"

_ZSTD_DEFAULT = 3
_LIBDEFLATE_FROM = 4
_RAW = -15


def crc32(data: bytes | bytearray | memoryview) -> int:
    """Return the CRC-32 that gzip uses; ISA-L's is five times as fast as zlib's."""
    return isal_zlib.crc32(data)


def compressor(form: Format, level: int | None) -> Compressor:
    """Return the function that compresses one piece at the given level (None: the format's default)."""
    if form == "tar":
        return bytes
    if form == "tar.zst":
        return _zstd(_ZSTD_DEFAULT if level is None else level)
    return _gzip(DEFAULT_LEVEL if level is None else level)


def _gzip(level: int) -> Compressor:
    if level == 0:

        def raw(data: bytes | bytearray | memoryview) -> bytes:
            worker = zlib.compressobj(0, zlib.DEFLATED, _RAW)
            return worker.compress(data) + worker.flush()

    elif level < _LIBDEFLATE_FROM:

        def raw(data: bytes | bytearray | memoryview) -> bytes:
            return isal_zlib.compress(data, level, _RAW)

    else:

        def raw(data: bytes | bytearray | memoryview) -> bytes:
            return bytes(deflate.deflate_compress(data, level))

    def member(data: bytes | bytearray | memoryview) -> bytes:
        return b"".join((GZIP_HEAD, raw(data), struct.pack("<II", crc32(data), len(data) & 0xFFFFFFFF)))

    return member


def _zstd(level: int) -> Compressor:
    # A compressor must not be used by two threads at once.
    local = threading.local()

    def frame(data: bytes | bytearray | memoryview) -> bytes:
        worker: zstandard.ZstdCompressor | None = getattr(local, "worker", None)
        if worker is None:
            worker = local.worker = zstandard.ZstdCompressor(level=level, write_checksum=True)
        return worker.compress(data)

    return frame
