"""Where the builder keeps what it can use again: one directory, one sub-directory for each kind, keyed by content."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from poncho.errors import StoreError
from poncho.store.atomic import remove_tree


@dataclass(frozen=True, slots=True)
class BuilderCache:
    """The builder's cache directory. Safe to delete at any time when no build runs; safe to share between builds."""

    root: Path

    @classmethod
    def default(cls) -> BuilderCache:
        """Return the cache in ``PONCHO_CACHE_DIR``, else the user's cache directory (XDG)."""
        named = os.environ.get("PONCHO_CACHE_DIR")
        return cls(Path(named).absolute() if named else Path(platformdirs.user_cache_dir("poncho")))

    def directory(self, kind: str) -> Path:
        """Return (and make) the directory for one kind of thing: ``conda``, ``base``, ``git``, ``http``, ….

        Raises StoreError when it cannot be made.
        """
        path = self.root / kind
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot make the cache directory ({error.strerror})",
                hint="set PONCHO_CACHE_DIR to a directory that you may write to",
            ) from error
        return path

    @contextmanager
    def scratch(self, prefix: str) -> Iterator[Path]:
        """Yield a private directory for temporary work beside the caches; deleted at the end, whatever happens."""
        path = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self.directory("tmp")))
        try:
            yield path
        finally:
            remove_tree(path)
