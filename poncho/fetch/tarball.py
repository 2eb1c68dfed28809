"""Read a tar stream from front to back, member by member, with bounded memory and no trust.

``tarfile`` parses the headers (ustar, GNU, pax, sparse); everything that is done with them is done here.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from poncho.errors import FetchError
from poncho.fetch.limits import Meter
from poncho.fetch.names import UnsafeNameError, member_parts, printable
from poncho.fetch.tree import Tree, set_time

_CHUNK = 256 << 10
_ZEROS = bytes(_CHUNK)
_END = bytes(tarfile.BLOCKSIZE)
# What tarfile is known to let through for headers that were made to hurt.
_UNREADABLE = (
    tarfile.TarError,
    ValueError,
    OverflowError,
    RecursionError,
    LookupError,
    AttributeError,
    TypeError,
    MemoryError,
)


class _Forward:
    """A stream as ``tarfile`` wants to see it, which never goes back and bounds what headers may take.

    Going back one byte is what ``tarfile`` does to see that a member is whole; any other step back comes from
    a hostile size (CVE-2025-8194) and is refused.
    """

    def __init__(self, stream: BinaryIO, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter
        self._position = 0
        self._last = b""
        self._again = b""
        self._spent = 0
        self.block = b""

    def begin_member(self) -> None:
        """Give the next header its whole allowance."""
        self._spent = 0

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes for a header, less at the end of the stream."""
        limit = self._meter.limits.header_bytes
        self._spent += size
        if size < 0 or self._spent > limit:
            raise UnsafeNameError(f"has a header of more than {limit:,} bytes")
        data = self.take(size)
        if size == tarfile.BLOCKSIZE:
            self.block = data
        return data

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes of content, less at the end of the stream."""
        data, self._again = self._again[:size], self._again[size:]
        while len(data) < size:
            more = self._stream.read(min(size - len(data), _CHUNK))
            if not more:
                break
            self._meter.stream(len(more))
            data = data + more if data else more
        self._position += len(data)
        if data:
            self._last = data[-1:]
        return data

    def tell(self) -> int:
        """Return the position in the decompressed stream."""
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Go forward to ``position``, or back by one byte."""
        if position == self._position - 1 and self._last and not self._again:
            self._again, self._position = self._last, position
        if whence != io.SEEK_SET or position < self._position:
            raise tarfile.ReadError("a size in it is negative or overlaps")
        while self._position < position:
            if not self.take(min(position - self._position, _CHUNK)):
                break
        return self._position


def unpack_tar(stream: BinaryIO, tree: Tree, meter: Meter, label: str) -> None:
    """Write every member of the tar in ``stream`` into ``tree``.

    Raises FetchError that names the member and the reason; what the decompressor raises goes through.
    """
    forward = _Forward(stream, meter)
    try:
        source = cast(BinaryIO, forward)
        with tarfile.open(fileobj=source, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            for member in _members(tar, forward):
                meter.member(_size_on_disk(member))
                try:
                    _place(tar, member, tree, forward)
                except UnsafeNameError as error:
                    raise FetchError(f"{label}: member {printable(member.name)!r} {error}", hint=_HINT) from error
                forward.begin_member()
    except UnsafeNameError as error:
        raise FetchError(f"{label}: a member {error}", hint=_HINT) from error
    except _UNREADABLE as error:
        raise FetchError(
            f"{label}: is no whole tar file ({str(error) or type(error).__name__})",
            hint="it is damaged, or `type` and `compression` do not fit it",
        ) from error
    # tarfile takes a damaged header for the end of the archive.
    if forward.block != _END:
        raise FetchError(
            f"{label}: is cut off or damaged: its end is missing", hint="fetch it again, or have it made again"
        )
    # Only reading to the very end checks the decompressor's own checksum.
    while forward.take(_CHUNK):
        pass


_HINT = "nothing was unpacked; ask whoever made the archive, or unpack it by hand and look"


def _members(tar: tarfile.TarFile, forward: _Forward) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        # tarfile keeps every member; a million of them is a gigabyte.
        tar.members = []  # type: ignore[attr-defined, unused-ignore]
        forward.block = b""
        yield member


def _size_on_disk(member: tarfile.TarInfo) -> int:
    if member.size < 0:
        raise tarfile.ReadError("a size in it is negative")
    return member.size if member.isreg() else 0


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, tree: Tree, forward: _Forward) -> None:
    parts = member_parts(member.name)
    if member.isdir():
        tree.directory(parts)
    elif not parts:
        raise UnsafeNameError("stands for the archive's own root")
    elif member.issym():
        tree.symlink(parts, member.linkname)
    elif member.islnk():
        source = member_parts(member.linkname)
        if not source:
            raise UnsafeNameError("is a hard link to a directory")
        tree.hardlink(parts, source)
    elif member.isreg():
        _write(tar, member, parts, tree, forward)
    elif member.isdev():
        raise UnsafeNameError("is a device or FIFO")
    else:
        raise UnsafeNameError(f"is of the unknown type {member.type!r}")


def _write(
    tar: tarfile.TarFile, member: tarfile.TarInfo, parts: tuple[str, ...], tree: Tree, forward: _Forward
) -> None:
    with tree.file(parts, executable=bool(member.mode & 0o111)) as output:
        if member.issparse():
            _write_sparse(tar, member, output, forward)
        else:
            forward.seek(member.offset_data)
            left = member.size
            while left:
                data = forward.take(min(left, _CHUNK))
                if not data:
                    raise tarfile.ReadError("it ends in the middle of a member")
                output.write(data)
                left -= len(data)
        set_time(output, member.mtime)


def _write_sparse(tar: tarfile.TarFile, member: tarfile.TarInfo, output: BinaryIO, forward: _Forward) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise tarfile.ReadError("a sparse member has no content")
    left = member.size
    while left:
        forward.begin_member()
        data = source.read(min(left, _CHUNK))
        if not data:
            raise tarfile.ReadError("it ends in the middle of a sparse member")
        if data == _ZEROS[: len(data)]:
            output.seek(len(data), io.SEEK_CUR)
        else:
            output.write(data)
        left -= len(data)
    output.truncate(member.size)
