"""Open files that a child process is given beside its standard streams."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def for_child(descriptor: int) -> Iterator[int]:
    """Yield a number for ``pass_fds`` under which a child process has an open file.

    The own number may be 0, 1 or 2, where the caller of the library has closed its standard streams: there the child
    has others.
    """
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        yield copy
    finally:
        os.close(copy)
