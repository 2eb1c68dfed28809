"""Publish a file or a directory by one rename, so that what exists is complete.

Work is done in a private sibling: the rename then never crosses a file system. Of two processes that publish the same
directory, the one that comes second uses the first one's (the pattern is pex's ``atomic_directory``).
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from poncho.errors import BuildError, StoreError

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


@contextmanager
def atomic_file(target: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yield a private sibling path to write; rename it to ``target`` on success, delete it on any failure.

    ``mode`` is what the file gets, less the umask. Raises StoreError when the directory is missing or cannot be
    written, BuildError when the disk is full.
    """
    private = _private_sibling(target)
    try:
        try:
            private.touch(mode=0o600)
        except OSError as error:
            raise _cannot_write(target, error) from error
        yield private
        os.chmod(private, mode & ~_umask())
        with private.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(private, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(target, error) from error
        raise
    finally:
        private.unlink(missing_ok=True)


@contextmanager
def atomic_directory(target: Path, *, into_empty: bool = False) -> Iterator[Path | None]:
    """Yield a private sibling directory to fill; rename it to ``target`` on success, delete it on any failure.

    Yields None when ``target`` exists already: there is nothing to do. The loser of a race uses the winner's.
    ``into_empty``: an empty directory may be there and is replaced; then the loser of a race gets StoreError.
    """
    if target.is_dir() and not (into_empty and not any(target.iterdir())):
        yield None
        return
    private = _private_sibling(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        private.mkdir(mode=0o700)
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        yield private
        os.chmod(private, 0o777 & ~_umask())
        try:
            os.rename(private, target)
        except OSError as error:
            if error.errno in (*_TAKEN, errno.EBUSY) and into_empty:
                raise StoreError(f"{target}: cannot be replaced, it is in use or not empty any more") from error
            if error.errno not in _TAKEN or not target.is_dir():
                raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(target, error) from error
        raise
    finally:
        if private.exists():
            remove_tree(private)


def remove_tree(path: Path) -> None:
    """Delete a directory tree, read-only directories included; what does not exist is no error."""

    def make_writable_and_retry(function: Callable[..., object], name: str, info: object) -> None:
        parent = os.path.dirname(name)
        try:
            os.chmod(parent, os.stat(parent).st_mode | stat.S_IRWXU)
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, stat.S_IRWXU)
            function(name)
        except FileNotFoundError:
            pass

    shutil.rmtree(path, onerror=make_writable_and_retry)


def disk_full(target: Path, error: OSError) -> BuildError:
    """Return the error that names what could not be written and where space is missing."""
    return BuildError(
        f"{target}: no space left to write it ({os.strerror(error.errno or errno.ENOSPC)})",
        hint=f"free space on the file system of {target.parent}, or set PONCHO_CACHE_DIR to a larger one",
        context={"path": str(target)},
    )


def _private_sibling(target: Path) -> Path:
    return target.parent / f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"


def _cannot_write(target: Path, error: OSError) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{target.parent}: no such directory", hint=f"create it first: mkdir -p {target.parent}")
    if isinstance(error, NotADirectoryError):
        return StoreError(f"{target.parent}: is not a directory")
    return StoreError(
        f"{target}: cannot be written ({error.strerror})", hint="choose a directory that you may write to"
    )


def _umask() -> int:
    # There is no way to read it without setting it; /proc gives it without the race.
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o022
