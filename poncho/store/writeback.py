"""Let the disk begin early, so that the ``fsync`` before a file is published has little left to wait for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

_WRITE = 2  # SYNC_FILE_RANGE_WRITE, linux/fs.h: begin to write what is dirty, wait for nothing
_function: Callable[..., int] | None = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _function is not None:
    _function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]  # type: ignore[attr-defined]


def start_writeback(stream: int, offset: int, size: int) -> None:
    """Begin to write ``size`` bytes at ``offset`` of an open file to the disk; where that cannot be asked for, do nothing."""
    if _function is not None:
        _function(stream, offset, size, _WRITE)
