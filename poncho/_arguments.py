"""What callers of the library give: taken as it is meant, or refused in the library's own words."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from poncho.errors import UsageError

T = TypeVar("T")


def several(given: Iterable[T]) -> tuple[T, ...]:
    """Return one word (or path) or several as a tuple: a text alone is one, not its letters."""
    if isinstance(given, (str, os.PathLike)):
        return (given,)  # type: ignore[return-value]  # what callers give who run no type checker
    if isinstance(given, Iterable):
        return tuple(given)
    raise UsageError(f"a list of words is needed, not {kind(given)}", hint='write ["numpy", "scipy"]')


def as_path(given: object, what: str) -> Path:
    """Return a path that is given as text or as a path object. Raises UsageError, which calls it ``what``."""
    if isinstance(given, (str, os.PathLike)) and isinstance(os.fspath(given), str):
        return Path(given)
    raise UsageError(f"{what} must be a path, not {kind(given)}", hint='write "env.tar.gz", or pass a pathlib.Path')


def kind(given: object) -> str:
    """Return what a value is, for people: ``None``, or the name of its type."""
    return "None" if given is None else f"{type(given).__name__} ({given!r})"[:80]
