"""No warnings of the parser about other people's code."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_lock = Lock()
_inside = 0
_until_all_are_out = ExitStack()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep what the parser finds odd in other people's code to itself. Inside of another one this costs nothing.

    Filters are those of the process: of several threads the first sets them, and the last puts back what was there.
    """
    if _quiet.get():
        yield
        return
    _enter()
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
        _leave()


def _enter() -> None:
    global _inside
    with _lock:
        if not _inside:
            _until_all_are_out.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if not _inside:
            _until_all_are_out.close()
