"""Ages and sizes, as people write and read them."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def age(text: str) -> float:
    """Return seconds: of ``12h``, ``30d``, ``8w``; a bare number is days."""
    match = re.fullmatch(r"(\d{1,9})([smhdw]?)", text.lower(), re.ASCII)
    if not match:
        raise ArgumentTypeError(f"{text!r} is no age: a number and one of s, m, h, d, w (days without one)")
    return int(match[1]) * _SECONDS[match[2] or "d"]


def duration(text: str) -> int:
    """Return seconds: ``90m``, ``2h``, ``1d``, or ``[DAYS-]HOURS:MINUTES[:SECONDS]``."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text.lower(), re.ASCII)
    if match:
        return int(match[1]) * _SECONDS[match[2]]
    match = re.fullmatch(r"(?:(\d{1,9})-)?(\d{1,9}):([0-5]?\d)(?::([0-5]?\d))?", text, re.ASCII)
    if not match:
        raise ArgumentTypeError(f"{text!r} is no time: 90m, 2h, 1d or HOURS:MINUTES:SECONDS")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def threads(text: str) -> int:
    """Return a number of threads; 0 is one per processor."""
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII):
        raise ArgumentTypeError(f"{text!r} is no number of threads: 1, 2, … or 0 for one per processor")
    return int(text)


def size(text: str) -> int:
    """Return bytes: of ``500M``, ``20G``, ``1GiB``; units are powers of 1024."""
    match = re.fullmatch(r"(\d{1,18})([kmgt]?)(i?b)?", text.lower(), re.ASCII)
    if not match:
        raise ArgumentTypeError(f"{text!r} is no size: a number and one of K, M, G, T")
    return int(match[1]) * _BYTES[match[2]]


def human(count: int) -> str:
    """Return bytes for people: ``1.5 GiB``."""
    left = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if left < 1024:
            return f"{left:.0f} {unit}" if unit == "B" else f"{left:.1f} {unit}"
        left /= 1024
    return f"{left:.1f} TiB"
