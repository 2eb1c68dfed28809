"""A remote file that is read in pieces, so that a wheel's table of contents costs some kilobytes, not the wheel."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import requests

Get = Callable[[str, dict[str, str]], requests.Response]

_BLOCK = 16 * 1024
_MOST_WHOLE = 32 * 1024 * 1024


class RangedFile(io.RawIOBase):
    """A seekable file over HTTP range requests (RFC 9110, section 14), 16 KiB at a time.

    A server that does not know ranges sends the whole file, which is taken up to 32 MiB. Raises OSError for a file
    that cannot be had.
    """

    def __init__(self, get: Get, url: str) -> None:
        super().__init__()
        self._get = get
        self._url = url
        self._position = 0
        self._blocks: dict[int, bytes] = {}
        self.size = self._begin()

    def _begin(self) -> int:
        response = self._get(self._url, {"Range": f"bytes=-{_BLOCK}"})
        try:
            if response.status_code == 206:
                found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", "").strip())
                if not found:
                    raise OSError("the server does not say which part of the file it sent")
                first, last, size = map(int, found.groups())
                data = response.raw.read(_BLOCK + 1)
                if len(data) != last + 1 - first or last + 1 != size:
                    raise OSError("the server sent another part of the file than it said")
                self._tail(first, data, size)
                return size
            if response.status_code != 200:
                raise OSError(f"HTTP {response.status_code}")
            data = response.raw.read(_MOST_WHOLE + 1)
            if len(data) > _MOST_WHOLE:
                raise OSError("the server sends no part of it, and the whole is larger than 32 MiB")
            for start in range(0, len(data), _BLOCK):
                self._blocks[start // _BLOCK] = data[start : start + _BLOCK]
            return len(data)
        finally:
            response.close()

    def _tail(self, first: int, data: bytes, size: int) -> None:
        """Keep the blocks that the end of the file holds whole."""
        start = -(-first // _BLOCK) * _BLOCK
        for at in range(start, size, _BLOCK):
            self._blocks[at // _BLOCK] = data[at - first : at - first + _BLOCK]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            first, last = number * _BLOCK, min((number + 1) * _BLOCK, self.size) - 1
            response = self._get(self._url, {"Range": f"bytes={first}-{last}"})
            try:
                data = response.raw.read(_BLOCK + 1) if response.status_code == 206 else b""
            finally:
                response.close()
            if len(data) != last + 1 - first:
                raise OSError("the server sent another part of the file than was asked for")
            self._blocks[number] = data
        return self._blocks[number]

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that any part can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the place in the file."""
        return self._position

    def readall(self) -> bytes:
        """Return everything up to the end."""
        return self.read(self.size)

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes from here."""
        end = self.size if size is None or size < 0 else min(self.size, self._position + size)
        parts: list[bytes] = []
        while self._position < end:
            number, inside = divmod(self._position, _BLOCK)
            part = self._block(number)[inside : inside + end - self._position]
            parts.append(part)
            self._position += len(part)
        return b"".join(parts)
