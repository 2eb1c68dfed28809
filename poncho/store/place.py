"""Where the builder's cache lies."""

from __future__ import annotations

import os
from pathlib import Path

from poncho.errors import StoreError


def cache_root() -> Path:
    """Return the directory in ``PONCHO_CACHE_DIR`` (or ``PONCHO_CACHE``), else the user's cache directory (XDG).

    Raises StoreError for a user who has no home.
    """
    named = os.environ.get("PONCHO_CACHE_DIR") or os.environ.get("PONCHO_CACHE")
    if named:
        return Path(named).absolute()
    import platformdirs

    try:
        found = Path(platformdirs.user_cache_dir("poncho"))
    except RuntimeError:
        found = Path("~")
    if not found.is_absolute():  # "~" as it is: what some versions return
        raise StoreError(
            "there is no home directory to keep a cache in", hint="set PONCHO_CACHE_DIR to a directory, or HOME"
        )
    return found


def answers_root(kind: str) -> Path:
    """Return (and make) the directory in the builder's cache for answers of one kind. Raises StoreError and OSError."""
    found = cache_root() / kind
    found.mkdir(parents=True, exist_ok=True)
    return found
