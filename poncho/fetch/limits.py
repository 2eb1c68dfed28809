"""How much an archive may unpack to, so that a small hostile file cannot fill the disk or the memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

from poncho.errors import FetchError

_HINT = (
    "if you trust this file, set PONCHO_MAX_EXTRACT_BYTES to the most bytes that it may unpack to (and "
    "PONCHO_MAX_EXTRACT_MEMBERS to the most members)"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for one archive.

    ``total_bytes`` counts what is unpacked, holes of sparse files included. ``ratio`` is unpacked bytes for each byte
    of the file, and counts only beyond ``ratio_floor`` unpacked bytes (gzip reaches 1,030 on zeros; measured data
    stays below 100); None switches it off. ``header_bytes`` bounds what one member may need besides its content (pax
    headers, sparse maps).
    """

    total_bytes: int = 1 << 40
    members: int = 5_000_000
    ratio: float | None = 400.0
    ratio_floor: int = 256 << 20
    header_bytes: int = 1 << 20

    @classmethod
    def from_environment(cls) -> Limits:
        """Return the default limits, as changed by ``PONCHO_MAX_EXTRACT_BYTES`` (which lifts the ratio too) and
        ``…_MEMBERS``.

        Raises FetchError when one of them is no positive whole number.
        """
        standard = cls()
        size = _positive("PONCHO_MAX_EXTRACT_BYTES")
        members = _positive("PONCHO_MAX_EXTRACT_MEMBERS")
        return cls(
            total_bytes=size or standard.total_bytes,
            members=members or standard.members,
            ratio=None if size else standard.ratio,
        )


class Meter:
    """Count what one archive unpacks to; raise as soon as a limit is passed."""

    def __init__(self, limits: Limits, compressed_size: int, label: str) -> None:
        self.limits = limits
        self._compressed = max(compressed_size, 1)
        self._label = label
        self._streamed = 0
        self._declared = 0
        self._members = 0

    def stream(self, count: int) -> None:
        """Count bytes that came out of the decompressor."""
        self._streamed += count
        self._check(self._streamed)

    def member(self, size: int) -> None:
        """Count one member that will take ``size`` bytes on disk, before anything of it is written."""
        self._members += 1
        if self._members > self.limits.members:
            raise FetchError(f"{self._label}: holds more than {self.limits.members:,} members", hint=_HINT)
        self._declared += size
        self._check(self._declared)

    def _check(self, total: int) -> None:
        limits = self.limits
        if total > limits.total_bytes:
            raise FetchError(f"{self._label}: unpacks to more than {limits.total_bytes:,} bytes", hint=_HINT)
        if limits.ratio is not None and total > limits.ratio_floor and total > limits.ratio * self._compressed:
            raise FetchError(
                f"{self._label}: {self._compressed:,} bytes unpack to more than {total:,}: this looks like a "
                "decompression bomb",
                hint=_HINT,
            )


def _positive(name: str) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) == 0:
        raise FetchError(f"{name}={text}: is not a positive whole number", hint=f"unset {name}, or correct it")
    return int(text)
