"""Words for people: counts with their noun, bytes, durations, and text of others that is safe to show."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the right form: ``1 package``, ``2 packages``, ``1 repository``."""
    if number != 1:
        if noun.endswith("y") and noun[-2:-1] not in "aeiou":
            noun = f"{noun[:-1]}ies"
        else:
            noun = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun}"


def human_bytes(count: float) -> str:
    """Return a number of bytes as people read it: ``1.2 GB`` (powers of 1000)."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        # What would be rounded to 1000 is one of the next unit.
        if size < (999.5 if unit in ("B", "kB") else 999.95) or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit in ("B", "kB") else f"{size:.1f} {unit}"


def human_seconds(seconds: float) -> str:
    """Return a duration as people read it: ``0.4 s``, ``42 s``, ``3 min 05 s``, ``2 h 03 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def shown(text: str) -> str:
    r"""Return ``text`` fit for a terminal or a page: what is no printable character is escaped (``\x1b``, ``\u202e``).

    Bytes that are no UTF-8 (surrogates, PEP 383) come out as ``\xff``.
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in text)


def url_fault(error: ValueError) -> str:
    """Return what ``urllib.parse`` found wrong with a URL, in parentheses; never in its words, which quote passwords."""
    said = str(error)
    for word, fault in (("NFKC", "its host has characters that no host has"), ("IPv", "its brackets hold no address")):
        if word in said:
            return f" ({fault})"
    return " (its port is no number up to 65535)" if "ort " in said else ""


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return ascii(char)[1:-1]
