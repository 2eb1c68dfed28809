"""Files made below one directory, each reached by a walk that follows no link.

Every step opens the next directory relative to the last one with ``O_NOFOLLOW``, so that whatever an archive did
before cannot lead a later member outside; and every file is made with ``O_EXCL``, so that nothing is written twice or
written through.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from poncho.fetch.names import UnsafeNameError, check_link

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LATEST_TIME = 1 << 33


class Tree:
    """A directory that is being filled. ``parts`` are paths below it, as ``member_parts`` returns them.

    All methods raise UnsafeNameError where a name is taken already or a parent is no directory. Modes are 0755 and
    0644: no archive decides about setuid bits or write access here.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _DIRECTORY)
        # Members come in runs from one directory, so one open parent saves nearly all walks.
        self._parent_parts: tuple[str, ...] = ()
        self._parent = os.dup(self._root)

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._parent)
        os.close(self._root)

    def directory(self, parts: tuple[str, ...]) -> None:
        """Make a directory and its parents; one that exists is no error."""
        self._open_parent(parts)

    def file(self, parts: tuple[str, ...], *, executable: bool) -> BinaryIO:
        """Make a new file and return it open for writing."""
        parent = self._open_parent(parts[:-1])
        try:
            descriptor = os.open(parts[-1], _NEW_FILE, 0o600, dir_fd=parent)
        except FileExistsError:
            raise UnsafeNameError("is there twice") from None
        os.fchmod(descriptor, 0o755 if executable else 0o644)
        return open(descriptor, "wb", buffering=0)

    def symlink(self, parts: tuple[str, ...], target: str) -> None:
        """Make a symbolic link whose target stays inside."""
        check_link(parts, target)
        parent = self._open_parent(parts[:-1])
        try:
            os.symlink(target, parts[-1], dir_fd=parent)
        except FileExistsError:
            raise UnsafeNameError("is there twice") from None

    def hardlink(self, parts: tuple[str, ...], source: tuple[str, ...]) -> None:
        """Make a second name for a regular file that this tree holds already."""
        descriptor = -1
        try:
            descriptor = self._walk(source[:-1], create=False)
            if not stat.S_ISREG(os.stat(source[-1], dir_fd=descriptor, follow_symlinks=False).st_mode):
                raise UnsafeNameError("is a hard link to something that is no regular file")
            parent = self._open_parent(parts[:-1])
            os.link(source[-1], parts[-1], src_dir_fd=descriptor, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise UnsafeNameError("is a hard link to something that the archive does not hold before it") from None
        except FileExistsError:
            raise UnsafeNameError("is there twice") from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _open_parent(self, parts: tuple[str, ...]) -> int:
        if parts != self._parent_parts:
            descriptor = self._walk(parts, create=True)
            os.close(self._parent)
            self._parent, self._parent_parts = descriptor, parts
        return self._parent

    def _walk(self, parts: tuple[str, ...], *, create: bool) -> int:
        descriptor = os.dup(self._root)
        try:
            for part in parts:
                following = _step(descriptor, part, create=create)
                os.close(descriptor)
                descriptor = following
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def set_time(stream: BinaryIO, seconds: float) -> None:
    """Set the modification time of an open file; times that no file can have are left out."""
    if 0 <= seconds < _LATEST_TIME:  # false for NaN too
        stream.flush()
        os.utime(stream.fileno(), (int(seconds), int(seconds)))


def _step(descriptor: int, part: str, *, create: bool) -> int:
    made = False
    while True:
        try:
            following = os.open(part, _DIRECTORY, dir_fd=descriptor)
        except FileNotFoundError:
            if not create or made:
                raise
            os.mkdir(part, 0o700, dir_fd=descriptor)
            made = True
        except OSError as error:
            if not stat.S_ISDIR(os.stat(part, dir_fd=descriptor, follow_symlinks=False).st_mode):
                raise UnsafeNameError(f"lies below {part}, which is no directory but a link or a file") from error
            raise
        else:
            if made:
                os.fchmod(following, 0o755)
            return following
