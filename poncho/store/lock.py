"""One process at a time: an advisory lock on a file, where the file system has such locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poncho.errors import StoreError


@contextmanager
def exclusive(path: Path, *, timeout: float = 3600.0) -> Iterator[None]:
    """Hold an exclusive lock on the file ``path`` (made when missing) while the block runs.

    ``timeout`` is in seconds. The lock saves double work; correctness comes from the rename that publishes. So a file
    system without locks is no error. Raises StoreError that names the lock when the time is over.
    """
    # It takes longer to load than many a command that needs no lock takes in all.
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=timeout)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"{path}: locked by another process for more than {timeout:.0f} s",
            hint="wait for the other build to end, or use another PONCHO_CACHE_DIR",
        ) from error
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
