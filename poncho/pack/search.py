"""Find the prefix in a file's bytes: fast, and only where it really is a path of its own."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence

from poncho.pack.buffers import Lease

# Below this size the search is shorter than a change of threads.
_SMALL = 16384
# A path of this length is not met by chance, as /env is in /usr/bin/env.
_TELLING = 12
_WORD_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_NAME_BYTES = _WORD_BYTES | frozenset(b"-.+~%@")
# A compiler's options stand right before a path: -I/opt/env/include.
_OPTIONS = (b"-I", b"-L", b"-B", b"-F", b"-R", b"-isystem", b"-iquote", b"-idirafter")


def _load() -> Callable[[bytes | int, int, bytes, int], int | None] | None:
    """Return glibc's memmem: four times faster than ``bytes.find``, and other threads run meanwhile."""
    try:
        function = ctypes.CDLL(None).memmem
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    return function


_memmem = _load()


def contains(data: bytes, needle: bytes) -> bool:
    """Tell whether ``needle`` occurs in ``data`` at all."""
    if len(data) < _SMALL or _memmem is None:
        return needle in data
    return _memmem(data, len(data), needle, len(needle)) is not None


def find_in(lease: Lease, needle: bytes, start: int, end: int) -> int:
    """Return the offset of ``needle`` in the lease's bytes from ``start`` to ``end``, -1 when it is not there."""
    if end - start < _SMALL or _memmem is None:
        return lease.data.find(needle, start, end)
    found = _memmem(lease.address + start, end - start, needle, len(needle))
    return -1 if found is None else found - lease.address


def occurrences(data: bytes, needles: Sequence[bytes], *, anywhere: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, needle) where a needle stands as a whole path or the head of one, in order, never overlapping.

    ``/opt/env`` is not found in ``/opt/env2`` nor in ``/srv/opt/env``, nor is ``/env`` in ``/usr/bin/env``. With ``anywhere``
    what comes before does not matter: conda has put the prefix there itself.
    """
    at = 0
    while True:
        hits = [(offset, -len(needle), needle) for needle in needles if (offset := data.find(needle, at)) >= 0]
        if not hits:
            return
        # Of two that begin at one place the longer is meant.
        for offset, _, needle in sorted(hits):
            if (anywhere or _begins(data, offset, needle)) and _ends(data, offset + len(needle)):
                yield offset, needle
                at = offset + len(needle)
                break
        else:
            at = min(hits)[0] + 1


def replace(data: bytes, needles: Sequence[bytes], new: bytes, *, anywhere: bool = False) -> bytes:
    """Return ``data`` with ``new`` in place of every occurrence."""
    parts: list[bytes] = []
    done = 0
    for offset, needle in occurrences(data, needles, anywhere=anywhere):
        parts += (data[done:offset], new)
        done = offset + len(needle)
    return b"".join((*parts, data[done:])) if parts else data


def holds(data: bytes, needles: Sequence[bytes]) -> bool:
    """Tell whether a needle stands in ``data`` as a path."""
    return any(contains(data, needle) for needle in needles) and next(occurrences(data, needles), None) is not None


def mentions(data: bytes, needles: Sequence[bytes]) -> bool:
    """Tell whether a needle stands in binary ``data``, where the byte before a path can be anything."""
    for needle in needles:
        at = data.find(needle) if contains(data, needle) else -1
        while at >= 0:
            if _ends(data, at + len(needle)) and (len(needle) >= _TELLING or _begins(data, at, needle)):
                return True
            at = data.find(needle, at + 1)
    return False


def _begins(data: bytes, offset: int, needle: bytes) -> bool:
    if offset == 0 or data[offset - 1] not in (_WORD_BYTES if len(needle) >= _TELLING else _NAME_BYTES):
        return True
    before = data[max(0, offset - 12) : offset]
    for option in _OPTIONS:
        if before.endswith(option):
            rest = before[: -len(option)]
            if not rest or rest[-1] not in _NAME_BYTES:
                return True
    # \n/opt/env in a string literal or a JSON document
    return before[-2:] in (b"\\n", b"\\t", b"\\r")


def _ends(data: bytes, end: int) -> bool:
    if end >= len(data) or data[end] not in _NAME_BYTES:
        return True
    # A full stop ends a sentence; in env.bak it does not.
    return data[end] == ord(".") and (end + 1 >= len(data) or data[end + 1] not in _NAME_BYTES)
