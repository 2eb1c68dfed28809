"""Read a file where others may have put anything: a regular one is read, of a size that metadata can have, and nothing else.

A pipe is waited for until somebody writes, and a device such as ``/dev/zero`` has no end.
"""

from __future__ import annotations

import errno
import os
import stat

LIMIT = 256 << 20  # bytes: no record, list of files or module comes near it


def opener(path: str | os.PathLike[str], flags: int = os.O_RDONLY, *, large: bool = False) -> int:
    """Open a regular file for reading, as ``open(…, opener=opener)`` asks. Raises OSError for all that is none.

    A file that is too large for metadata is refused, too, but with ``large``.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        if status.st_size > LIMIT and not large:
            raise OSError(errno.EFBIG, "larger than 256 MiB", os.fspath(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a regular file. Raises OSError for one that cannot be read, is none, or is too large."""
    descriptor = opener(path)
    try:
        size = os.fstat(descriptor).st_size
        data = os.read(descriptor, size + 1)
        # Mostly that is all. A signal may cut it short, a file may grow, and what the kernel makes up has no size.
        while len(data) != size and len(data) <= LIMIT and (more := os.read(descriptor, 1 << 20)):
            data += more
    finally:
        os.close(descriptor)
    if len(data) > LIMIT:
        raise OSError(errno.EFBIG, "larger than 256 MiB", os.fspath(path))
    return data


def read_text(path: str | os.PathLike[str], errors: str = "strict") -> str:
    """Return a regular file's text in UTF-8. Raises OSError as ``read_bytes`` does, and ValueError for what is no text."""
    return read_bytes(path).decode("utf-8", errors)


def is_name(text: str) -> bool:
    """Tell whether a text can be the path of a file, which has no NUL in it and is what a file system can hold."""
    try:
        return "\0" not in text and bool(os.fsencode(text))
    except UnicodeEncodeError:
        return False
