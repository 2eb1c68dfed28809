"""Full disks: one line that says how many bytes the build needs, whichever step or tool ran out of room."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from poncho.errors import DiskFullError
from poncho.lock.model import Lock
from poncho.preview import needed_bytes
from poncho.store import BuilderCache
from poncho.store.atomic import exact_bytes


@dataclass(slots=True)
class Space:
    """Around a build: turns "no space left" of any kind into DiskFullError with the need, once all is cleaned up.

    Tell it the lock as soon as there is one. ``output`` is None when only the caches are written to.
    """

    cache: BuilderCache
    output: Path | None = None
    offline: bool = False
    _lock: Lock | None = field(default=None, init=False)
    _before: int | None = field(default=None, init=False)

    def __enter__(self) -> Space:
        self._before = _free(self.cache.root)
        return self

    def learn(self, lock: Lock) -> None:
        """Take from a lock how much the build needs below the cache, should that be asked for."""
        self._lock = lock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = str(error.filename) if error.filename else None
            raise self._explained(DiskFullError("no space left", path=place)) from error
        if isinstance(error, DiskFullError):
            raise self._explained(error) from error

    def _explained(self, error: DiskFullError) -> DiskFullError:
        place = Path(error.path) if error.path else self.cache.root
        output = self.output is not None and error.needed is not None and _below(place, self.output.parent)
        root = self.output.parent if self.output is not None and output else self.cache.root
        free = _free(root) if output else self._before
        needed = error.needed if output else self._estimate()
        if needed is not None and (free is None or needed > free):
            need = f"{'up to' if output else 'about'} {exact_bytes(needed)}"
        else:
            # Not known yet, or known too little of: it is more than there was at the beginning.
            need, needed = f"more than {exact_bytes(free or 0)}", free
        where = "the package" if output else "the build"
        inodes = " (or it has no room for another file)" if _no_inodes(root) else ""
        variable = "" if output else ", or set PONCHO_CACHE_DIR to a directory on a larger one"
        subject = self.output if output else root
        return DiskFullError(
            f"{subject}: no space left: {where} needs {need} there, and {exact_bytes(free or 0)} were free{inodes}",
            hint=f"free space on that file system{variable}",
            path=error.path,
            needed=needed,
            context={**error.context, "free": free, "cause": error.message},
        )

    def _estimate(self) -> int | None:
        if self._lock is None:
            return None
        return needed_bytes(self._lock, cache=self.cache, offline=self.offline)


def _free(root: Path) -> int | None:
    """Return the bytes that we may still write on the file system of ``root`` (or of its nearest parent that is there)."""
    for place in (root, *root.parents):
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize
    return None


def _no_inodes(root: Path) -> bool:
    try:
        found = os.statvfs(root)
    except OSError:
        return False
    return found.f_files > 0 and found.f_favail < 16


def _below(path: Path, directory: Path) -> bool:
    return path == directory or directory in path.parents
