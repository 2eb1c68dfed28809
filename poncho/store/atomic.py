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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from poncho._cleanup import register
from poncho._words import human_bytes
from poncho.errors import BuildError, DiskFullError, StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_FILES = ((stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
_TAKEN = (*_NOT_EMPTY, errno.ENOTDIR)
# So often a tree is looked through that others put something into.
_PASSES = 10_000


@contextmanager
def atomic_file(target: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yield a private sibling path to write; rename it to ``target`` on success, delete it on any failure.

    ``mode`` is what the file gets, less the umask. Raises StoreError when the directory is missing or cannot be
    written or something stands there that is no file, BuildError when the disk is full.
    """
    check_replaceable(target)
    private = _private_sibling(target)
    forget = register(lambda: private.unlink(missing_ok=True))
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
        if error.errno in _FULL:
            raise disk_full(target, error) from error
        raise
    finally:
        with suppress(OSError):  # where it could not be made, it may not even be asked for
            private.unlink()
        forget()


@contextmanager
def atomic_directory(target: Path, *, into_empty: bool = False) -> Iterator[Path | None]:
    """Yield a private sibling directory to fill; rename it to ``target`` on success, delete it on any failure.

    Yields None when ``target`` exists already: there is nothing to do. The loser of a race uses the winner's.
    ``into_empty``: an empty directory may be there and is replaced; then the loser of a race gets StoreError.
    """
    try:
        is_filled = os.path.isdir(target) and not (into_empty and not any(target.iterdir()))
    except OSError as error:
        raise _cannot_write(target, error) from error
    if is_filled:
        yield None
        return
    private = _private_sibling(target)
    forget = register(lambda: discard(private))
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            private.mkdir(mode=0o700)
        except OSError as error:
            raise _cannot_write(target, error) from error
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
        if error.errno in _FULL:
            raise disk_full(target, error) from error
        raise
    finally:
        if os.path.lexists(private):
            discard(private)
        forget()


def check_replaceable(target: Path) -> None:
    """Raise StoreError where a device, a pipe or a stream stands at ``target``: who may, root, would delete it by the rename."""
    try:
        mode = os.stat(target).st_mode
        # /dev/stdout and its like lead to whatever is open, which may be a file.
        stream = os.path.islink(target) and os.readlink(target).startswith("/proc/")
    except (OSError, ValueError):
        return
    if stream or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        what = "stream" if stream else next((word for test, word in _NO_FILES if test(mode)), "device")
        raise StoreError(f"{target}: is a {what}, not a file", hint="name a file: it appears whole, by a rename")


def remove_tree(path: Path) -> None:
    """Delete a directory tree, read-only directories included; what does not exist is no error.

    Another process may delete it at the same time.
    """

    def make_writable_and_retry(
        function: Callable[..., object], name: str, info: tuple[Any, BaseException, Any]
    ) -> None:
        error = info[1]
        if isinstance(error, FileNotFoundError):
            return
        if function is os.open or (isinstance(error, OSError) and error.errno in _NOT_EMPTY):
            raise _LeftError from error
        parent = os.path.dirname(name)
        try:
            os.chmod(parent, os.stat(parent).st_mode | stat.S_IRWXU)
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, stat.S_IRWXU)
            function(name)
        except FileNotFoundError:
            pass

    try:
        shutil.rmtree(path, onerror=make_writable_and_retry)
    except (RecursionError, _LeftError):
        _remove_flattened(os.fspath(path))


class _LeftError(Exception):
    """A directory could not be opened, or something came into it that another process is deleting."""


def _remove_flattened(root: str) -> None:
    for left in reversed(range(_PASSES)):
        try:
            _flatten(root)
        except FileNotFoundError:
            return
        except OSError as error:
            # Another process, which does the same, has moved something to the top meanwhile.
            if error.errno not in _NOT_EMPTY or not left:
                raise


def _flatten(root: str) -> None:
    """Delete a tree by moving each directory to the top first: deeper than files can be open, or functions call themselves."""
    number, waiting = 0, [root]
    mark = f".gone-{secrets.token_hex(8)}"
    while waiting:
        place = waiting.pop()
        with suppress(FileNotFoundError):
            os.chmod(place, stat.S_IRWXU)
            with os.scandir(place) as entries:
                children = list(entries)
            for child in children:
                with suppress(FileNotFoundError):
                    if not child.is_dir(follow_symlinks=False):
                        os.unlink(child.path)
                    elif place == root:
                        waiting.append(child.path)
                    else:
                        number += 1
                        os.chmod(child.path, stat.S_IRWXU)
                        os.rename(child.path, f"{root}/{mark}-{number}")
                        waiting.append(f"{root}/{mark}-{number}")
            if place != root:
                os.rmdir(place)
    os.rmdir(root)


def discard(path: Path) -> None:
    """Delete a directory of a name that is used once, and that others may still write into.

    Its name is taken away first, so that they fail. Called again after an interruption, it goes on with what is left.
    What does not exist is no error.
    """
    gone = path.with_name(f".{path.name}.gone.tmp")
    for _ in range(3):
        with suppress(OSError):  # not there; or a file system without room to rename, where it is deleted as it is
            os.rename(path, gone)
        for place in (gone, path):
            with suppress(OSError):
                remove_tree(place)
        if not os.path.lexists(gone) and not os.path.lexists(path):
            return
    remove_tree(gone)
    remove_tree(path)


def take_away(path: Path) -> None:
    """Delete whatever is at ``path``; what does not exist is no error."""
    if os.path.isdir(path) and not os.path.islink(path):
        discard(path)
    else:
        path.unlink(missing_ok=True)


def disk_full(target: Path, error: OSError, *, needed: int | None = None) -> DiskFullError:
    """Return the error that names what could not be written and where space is missing.

    ``needed`` is how many bytes it takes in all, where that is known.
    """
    why = os.strerror(error.errno or errno.ENOSPC)
    return DiskFullError(
        f"{target}: no space left to write it ({why})" + (f": it needs about {exact_bytes(needed)}" if needed else ""),
        hint=f"free space on the file system of {target.parent.absolute()}, or write to another one (what builds keep "
        "lies in PONCHO_CACHE_DIR)",
        path=str(target),
        needed=needed,
    )


def exact_bytes(count: int) -> str:
    """Return a size for people and for programs: ``1.2 GB (1234567890 bytes)``."""
    return f"{human_bytes(count)} ({count} bytes)"


def _private_sibling(target: Path) -> Path:
    return target.parent / f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"


def _cannot_write(target: Path, error: OSError) -> StoreError | BuildError:
    if error.errno in _FULL:
        return disk_full(target, error)
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
