"""Locks of the kernel on files: shared or exclusive, gone when their holder is gone, however it ended."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)


class Flock:
    """An flock(2) on the file or directory ``path``; a file is made when it is missing.

    ``works`` is False once the file system turned out to have no such locks: then nothing is ever held.
    """

    def __init__(self, path: Path, *, directory: bool = False) -> None:
        self.path = path
        self.works = True
        flags = os.O_RDONLY | os.O_DIRECTORY if directory else os.O_RDWR | os.O_CREAT
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)

    def shared(self, *, wait: bool = True) -> bool:
        """Take the lock together with others; return whether it is held. A lock that is held is changed."""
        return self._take(fcntl.LOCK_SH, wait)

    def exclusive(self, *, wait: bool = True) -> bool:
        """Take the lock alone; return whether it is held. A lock that is held is changed, and may be lost meanwhile."""
        return self._take(fcntl.LOCK_EX, wait)

    def is_current(self) -> bool:
        """Return whether ``path`` is still what was locked: who deletes it, may have done so before we had the lock."""
        try:
            there, ours = os.stat(self.path), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def close(self) -> None:
        """Let go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Flock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, how: int, wait: bool) -> bool:
        try:
            fcntl.flock(self._descriptor, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self.works = False
            return False
        return True
