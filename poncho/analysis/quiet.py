"""No warnings of the parser about other people's code."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep what the parser finds odd in other people's code to itself. Inside of another one this costs nothing."""
    if _quiet.get():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = _quiet.set(True)
        try:
            yield
        finally:
            _quiet.reset(token)
