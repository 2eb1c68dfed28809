"""Memory that is used again. A fresh page costs more than what is done with it, so packing asks for few of them."""

from __future__ import annotations

import ctypes
from collections import deque

from poncho.pack.layout import MIB

# A batch of small files with their headers; or a piece of a large one; or a compressed chunk.
_SIZE = 3 * MIB + MIB // 8


class Lease:
    """A piece of memory: ``data``, and ``view`` of it. Its bytes go to others when nobody refers to the lease any more."""

    __slots__ = ("_pool", "address", "data", "view")

    def __init__(self, data: bytearray, address: int, pool: deque[tuple[bytearray, int]] | None) -> None:
        self.data = data
        self.view = memoryview(data)
        self.address = address
        self._pool = pool

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.append((self.data, self.address))


class Buffers:
    """Gives leases on memory, to any thread."""

    def __init__(self) -> None:
        self._free: deque[tuple[bytearray, int]] = deque()

    def take(self, size: int) -> Lease:
        """Return memory of at least ``size`` bytes, with whatever was in it before."""
        if size > _SIZE:
            return Lease(*_made(size), None)
        try:
            return Lease(*self._free.pop(), self._free)
        except IndexError:
            return Lease(*_made(_SIZE), self._free)


def _made(size: int) -> tuple[bytearray, int]:
    data = bytearray(size)
    return data, ctypes.addressof(ctypes.c_char.from_buffer(data))
