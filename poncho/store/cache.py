"""Where the builder keeps what it can use again: one directory, one sub-directory for each kind, keyed by content.

Who uses what lies in it holds the lock ``.builders`` together with others (``scratch`` and ``in_use`` do); who deletes what
they may be reading holds it alone.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from poncho._cleanup import deferred, register
from poncho.store.atomic import discard
from poncho.store.flock import Flock
from poncho.store.place import BUILDERS, cache_root, cannot_make, claim, is_claimed

# How long a directory of temporary work that nobody holds stays, where the kernel's locks do not say who is gone.
_FORGOTTEN = 7 * 86400.0
_JUST_MADE = 60.0
# The names of temporary work: of ``scratch``, of what is put aside to be deleted, and of ``discard``.
_TEMPORARY = re.compile(r"[a-z]+-(?:[0-9a-f]{8}|[0-9a-f]{12})\Z|\..+\.gone\.tmp\Z")


@dataclass(frozen=True, slots=True)
class BuilderCache:
    """The builder's cache directory. Safe to delete at any time when no build runs; safe to share between builds."""

    root: Path

    @classmethod
    def default(cls) -> BuilderCache:
        """Return the cache in ``PONCHO_CACHE_DIR`` (or ``PONCHO_CACHE``), else the user's cache directory (XDG).

        Raises StoreError for a user who has no home.
        """
        return cls(cache_root())

    def directory(self, kind: str) -> Path:
        """Return (and make) the directory for one kind of thing: ``conda``, ``base``, ``git``, ``http``, ….

        Raises StoreError when it cannot be made, or when the cache is a directory in which something else lies.
        """
        claim(self.root)
        path = self.root / kind
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_make(path, error) from error
        return path

    def check(self) -> None:
        """Raise StoreError when it is a directory in which something else lies."""
        is_claimed(self.root)

    @contextmanager
    def scratch(self, prefix: str) -> Iterator[Path]:
        """Yield a private directory for temporary work beside the caches; deleted at the end, whatever happens.

        What builders that were killed left is deleted first.
        """
        directory = self.directory("tmp")
        with self.in_use():
            self.sweep()
            path = directory / f"{prefix}-{secrets.token_hex(4)}"
            forget = register(lambda: discard(path))
            try:
                with deferred():
                    try:
                        path.mkdir(mode=0o700)
                        lock = Flock(path, directory=True)
                    except OSError as error:
                        raise cannot_make(path, error) from error
                with lock:
                    lock.exclusive(wait=False)
                    yield path
            finally:
                discard(path)
                forget()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let nothing be deleted from the caches while the block runs, but what is safe to lose."""
        with self._builders() as lock:
            lock.shared()
            yield

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Yield whether no builder runs; none begins while the block runs. False where that cannot be told."""
        with self._builders() as lock:
            yield lock.exclusive(wait=False)

    def sweep(self) -> int:
        """Delete the temporary work of builders that were killed; return how many directories that were."""
        count = 0
        now = time.time()
        for path in self._leftovers():
            with suppress(OSError):
                if now - path.stat().st_mtime < _JUST_MADE:
                    continue
                with Flock(path, directory=True) as lock:
                    gone = lock.exclusive(wait=False)
                    if gone or (not lock.works and now - path.stat().st_mtime > _FORGOTTEN):
                        discard(path)
                        count += 1
        return count

    def _leftovers(self) -> list[Path]:
        try:
            with os.scandir(self.root / "tmp") as found:
                return [
                    Path(entry.path)
                    for entry in found
                    if _TEMPORARY.match(entry.name) and entry.is_dir(follow_symlinks=False)
                ]
        except OSError:
            return []

    def _builders(self) -> Flock:
        path = self.directory(".") / BUILDERS
        try:
            return Flock(path)
        except OSError as error:
            raise cannot_make(path, error) from error
