"""Write the members of a package into a directory instead of an archive."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poncho._redact import redact
from poncho._trees import make_directories
from poncho.errors import BuildError, StoreError
from poncho.pack import tarfmt
from poncho.pack.composing import Batch
from poncho.pack.layout import Chunk
from poncho.pack.model import Member
from poncho.pack.sink import Packed, Tar
from poncho.store import atomic_directory


class Tree:
    """A sink that writes files into the directory ``root``. ``epoch`` is the time of all of them."""

    def __init__(self, root: Path, epoch: int) -> None:
        self._root = os.fspath(root)
        self._epoch = epoch
        self._made: set[str] = set()
        self._making = threading.Lock()

    def stored(self, text: bytes, begin: int, end: int) -> str | None:
        """Nothing is kept here."""
        return None

    def whole(self, batch: Batch, tar: Tar) -> Packed:
        """Write whole members."""
        view, owner = tar()
        at = 0
        for item in batch.looked():
            first = at + item.size - tarfmt.padded(item.member.size)
            self._write(item.member, view[first : first + item.member.size], 0)
            at += item.size
        return Packed((), Chunk(0, batch.size, 0), owner)

    def part(self, member: Member, size: int, begin: int, end: int, tar: Tar) -> Packed:
        """Write a part of a file."""
        view, owner = tar()
        head = size - tarfmt.padded(member.size)
        first = max(0, head - begin)
        offset = begin + first - head
        self._write(member, view[first : first + member.size - offset], offset)
        return Packed((), Chunk(0, end - begin, 0, begin > 0), owner)

    def _write(self, member: Member, content: memoryview, offset: int) -> None:
        path = f"{self._root}/{member.path}"
        self._directory(path if member.directory else os.path.dirname(path))
        if member.directory:
            return
        if member.link is not None:
            os.symlink(member.link, path)
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        stream = os.open(path, flags, member.mode)  # less the umask
        try:
            while content:
                written = os.pwrite(stream, content, offset)
                content, offset = content[written:], offset + written
            os.utime(stream, (self._epoch, self._epoch))
        finally:
            os.close(stream)

    def _directory(self, path: str) -> None:
        if path not in self._made:
            with self._making:
                make_directories(path)
                self._made.add(path)


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Yield a private directory to fill, that becomes ``target``. Raises StoreError unless that is new or empty."""
    if target.is_dir():
        try:
            target.rmdir()
        except OSError as error:
            raise StoreError(f"{target}: exists and is not empty", hint="name a new directory, or empty it") from error
    with atomic_directory(target) as hidden:
        if hidden is None:
            raise StoreError(f"{target}: was made by another process meanwhile", hint="name another directory")
        yield hidden


def settle(root: Path) -> None:
    """Relocate the environment in ``root`` to where it lies, so that it can be used from there, read-only too.

    Raises BuildError when it cannot be: the path is too long for its files, for example.
    """
    runner = root / "bin/poncho_package_run"
    done = subprocess.run(
        ["/bin/sh", os.fspath(runner), "-e", os.fspath(root), "--relocate"],
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = redact(done.stderr.decode("utf-8", "replace").strip()).removeprefix("poncho_package_run: ")
        raise BuildError(f"{root}: {said}", hint="name a directory with a shorter path")
