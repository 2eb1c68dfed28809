"""Where a user's own files are, and where the process is; also for one who has no home, as containers start by a number that
nobody knows, and where the directory was deleted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# The name that Debian's passwd has for it: nothing is there, and nothing is made there.
_NOWHERE = Path("/nonexistent")


def home(environ: Mapping[str, str]) -> Path:
    """Return the home directory, a path where nothing is for a user who has none. ``Path.home`` raises RuntimeError."""
    found = environ.get("HOME") or os.path.expanduser("~")
    return Path(found) if os.path.isabs(found) else _NOWHERE


def expanded(text: str) -> Path:
    """Return a path with ``~`` and ``~user`` replaced where that is known. ``Path.expanduser`` raises RuntimeError."""
    return Path(os.path.expanduser(text))


def working_directory() -> Path:
    """Return the working directory, a path where nothing is when it was deleted. ``Path.cwd`` raises FileNotFoundError."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return _NOWHERE


def for_children() -> str | None:
    """Return where programs start that are given no directory: None is here, which they could not name if it was deleted."""
    return "/" if working_directory() is _NOWHERE else None
