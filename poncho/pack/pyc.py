"""Compiled Python files that are valid wherever and whenever they are unpacked, and know nothing of the build machine.

A ``.pyc`` is valid by its source's time stamp or by a hash (PEP 552). Packed files all carry one time stamp, so the
ones by time become unchecked hashes. The path of the source is in the code object (``co_filename``), once, as a
marshalled string with its length before it; the import system puts the real path in its place when it loads the file.
"""

from __future__ import annotations

import _imp
from collections.abc import Sequence
from functools import lru_cache

from poncho.pack.compress import Bytes
from poncho.pack.search import holds

# CPython 3.7's first magic number with a field of flags; above 20000 are Python 2's.
_FLAGS_SINCE, _PYTHON_2 = 3390, 20000
_UNCHECKED, _CHECKED = 1, 3
HEAD = 16
_SHORT = b"zZ"
_LONG = b"aAutsi"


def portable(
    data: bytes, source_path: str, source: Bytes | None, source_mtime: int, needles: Sequence[bytes]
) -> bytes | None:
    """Return the file's content made portable, or None when it must be left out: stale, or the prefix is in its
    constants.

    ``source_path`` is relative to the prefix; ``source`` is the source's content, None when there is no such file.
    """
    head = None if source is None else portable_head(data[:HEAD], source, source_mtime)
    if head is None:
        return None
    if head != data[:HEAD]:
        data = head + data[HEAD:]
    relative = source_path.encode("utf-8", "surrogateescape")
    for needle in needles:
        if needle in data:
            data = _relative_filename(data, needle + b"/" + relative, relative)
    return None if holds(data, needles) else data


def portable_head(head: bytes, source: Bytes, source_mtime: int) -> bytes | None:
    """Return what the file's first 16 bytes must be, or None when it must be left out: it is not of this ``source``."""
    magic = int.from_bytes(head[:2], "little")
    if len(head) < HEAD or head[2:4] != b"\r\n" or not _FLAGS_SINCE <= magic < _PYTHON_2:
        return None
    flags = int.from_bytes(head[4:8], "little")
    # _imp.source_hash is importlib.util.source_hash with the magic number of the file's own Python.
    if flags == 0:
        stamp = source_mtime.to_bytes(8, "little", signed=True)[:4]
        if head[8:] != stamp + (len(source) & 0xFFFFFFFF).to_bytes(4, "little"):
            return None
        source_hash = _imp.source_hash(int.from_bytes(head[:4], "little"), source)
        return head[:4] + _UNCHECKED.to_bytes(4, "little") + source_hash
    if flags == _CHECKED:
        if head[8:] != _imp.source_hash(int.from_bytes(head[:4], "little"), source):
            return None
        return head[:4] + _UNCHECKED.to_bytes(4, "little") + head[8:]
    return head


def is_unchecked(head: bytes) -> bool:
    """Tell whether a file that begins so is valid whatever its source is now."""
    return int.from_bytes(head[4:8], "little") == _UNCHECKED


def source_of(path: str) -> str | None:
    """Return the path of the source that ``path`` was compiled from (PEP 3147, or beside it); None for other files."""
    return _source_of(path) if path.endswith(".pyc") else None


@lru_cache(maxsize=1 << 16)  # asked several times for each file
def _source_of(path: str) -> str:
    directory, _, name = path.rpartition("/")
    above, _, last = directory.rpartition("/")
    if last == "__pycache__" or directory == "__pycache__":
        stem = name.split(".", 1)[0]
        return f"{above}/{stem}.py" if above else f"{stem}.py"
    return path[:-1]


def _relative_filename(data: bytes, absolute: bytes, relative: bytes) -> bytes:
    at = data.find(absolute)
    while at >= 0:
        if data[at - 1] == len(absolute) and data[at - 2] & 0x7F in _SHORT:
            head = data[: at - 1] + bytes((len(relative),))
        elif int.from_bytes(data[at - 4 : at], "little") == len(absolute) and data[at - 5] & 0x7F in _LONG:
            head = data[: at - 4] + len(relative).to_bytes(4, "little")
        else:
            return data
        data = head + relative + data[at + len(absolute) :]
        at = data.find(absolute, len(head))
    return data
