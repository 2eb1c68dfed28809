"""Decompress the blocks of a squashfs image, each to no more than it may hold."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import zstandard

from poncho.errors import PackageError
from poncho.package.archive import damaged


def inflater(path: Path, kind: int) -> Callable[[bytes, int], bytes]:
    """Return what decompresses one block to at most so many bytes; ``kind`` is the image's number for its compressor.

    What it returns raises PackageError for a damaged block; this does so for a compressor that is not read here.
    """

    def zlib_block(data: bytes, limit: int) -> bytes:
        worker = zlib.decompressobj()
        return _whole(worker.decompress(data, limit + 1), worker.eof, limit)

    def xz_block(data: bytes, limit: int) -> bytes:
        worker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=64 << 20)
        return _whole(worker.decompress(data, limit + 1), worker.eof, limit)

    def zstd_block(data: bytes, limit: int) -> bytes:
        if zstandard.frame_content_size(data) > limit:
            raise ValueError
        return _whole(zstandard.ZstdDecompressor().decompress(data, max_output_size=limit), True, limit)

    found = {1: zlib_block, 4: xz_block, 6: zstd_block}.get(kind)
    if found is None:
        raise PackageError(
            f"{path}: compressed by a method that PONCHO does not read", hint="make it with gzip or zstd"
        )

    def checked(data: bytes, limit: int) -> bytes:
        try:
            return found(data, limit)
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, ValueError, MemoryError) as error:
            raise damaged(path, "a block cannot be decompressed") from error

    return checked


def _whole(data: bytes, ended: bool, limit: int) -> bytes:
    if not ended or len(data) > limit:
        raise ValueError
    return data
