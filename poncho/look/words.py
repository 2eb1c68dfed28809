"""Say things about packages so that nothing in a package can say them otherwise."""

from __future__ import annotations

from poncho._words import shown

__all__ = ["count", "shown", "size"]

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Return a number of bytes as people read it: ``1.34 GB`` (powers of 1000, three digits)."""
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    if unit == "B" or value >= 99.95:
        return f"{value:.0f} {unit}"
    return f"{value:.1f} {unit}" if value >= 9.995 else f"{value:.2f} {unit}"


def count(number: int, noun: str) -> str:
    """Return ``1 file`` or ``33,017 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
