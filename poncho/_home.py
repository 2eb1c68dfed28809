"""Where a user's own files are; also for one who has no home, as containers start by a number that nobody knows."""

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
