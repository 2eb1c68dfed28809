"""Read squashfs 4.0 images strictly and within limits; nothing is mounted, written or executed.

The format is that of the kernel's ``fs/squashfs/squashfs_fs.h``. No library is used: those that there are read all inodes
first, believe every size, and follow directories that contain themselves.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from poncho.errors import PackageError
from poncho.pack import squashfs as form
from poncho.pack.layout import SIGNATURE, Facts, read_comment
from poncho.package.archive import damaged, truncated
from poncho.package.blocks import inflater
from poncho.package.tarstream import Kind, TarMember, refused

MAGIC = b"hsqs"

_SUPER = Struct("<4sIIIIHHHHHHQQQQQQQQ")
_INODE = Struct("<HHHHII")
_DIRECTORY, _LONG_DIRECTORY = Struct("<IIHHI"), Struct("<IIIIHHI")
_FILE, _LONG_FILE = Struct("<IIII"), Struct("<QQQIIII")
_LINK = Struct("<II")
_ENTRIES, _ENTRY = Struct("<III"), Struct("<HhHH")
_FRAGMENT = Struct("<QII")
_METADATA = 8192
_NO_FRAGMENT = 0xFFFFFFFF
_STORED = 1 << 24
_DEPTH = 200
_PAD = 4096
_LINK_LIMIT = 65536
_BLOCKS = 1 << 22  # of one file: half a terabyte with blocks as we write them
_KINDS = {4: "a device", 5: "a device", 6: "a pipe", 7: "a socket"}


@dataclass(frozen=True, slots=True)
class _Inode:
    kind: Kind
    mode: int
    size: int
    start: int
    offset: int = 0
    fragment: int = _NO_FRAGMENT
    blocks: tuple[int, ...] = ()
    link: bytes = b""
    mtime: int = 0


class Image:
    """One image. Iterating gives its members as an archive of the same environment would have them; ``content`` is the
    current one's. ``digest`` and ``facts`` are what PONCHO's header says, None where there is none.

    ``exact`` also refuses what mksquashfs does not write for PONCHO. Raises PackageError for what is damaged or hostile.
    """

    def __init__(self, path: Path, stream: BinaryIO, *, exact: bool = False) -> None:
        self._path = path
        self._stream = stream
        self._exact = exact
        self._size = size = stream.seek(0, io.SEEK_END)
        head = self._at(0, 4096, short=True)
        if len(head) < _SUPER.size:
            raise truncated(path)
        fields = _SUPER.unpack_from(head)
        (_, self._inodes, self._time, self._block, self._fragments, kind, log, _, _, major, _, root, used) = fields[:13]
        self._inode_table, self._directory_table, self._fragment_table = fields[15:18]
        if major != 4 or self._block != 1 << log or not 4096 <= self._block <= 1 << 20:
            raise damaged(path, "not a squashfs image of version 4")
        if used > size:
            raise truncated(path)
        if exact and (size - used >= _PAD or self._at(used, size - used).strip(b"\0")):
            raise damaged(path, "there is something behind its end")
        self._inflate = inflater(path, kind)
        self._root = root
        self.digest: str | None = None
        self.facts: Facts | None = None
        self._read_header(head)
        self._current: _Inode | None = None
        self._metadata = lru_cache(64)(self._read_metadata)
        self._piece = lru_cache(16)(self._read_piece)

    def __iter__(self) -> Iterator[TarMember]:
        """Yield the members; those below ``poncho/fit`` under the path that they belong to."""
        fit: set[bytes] = set()
        links: set[bytes] = set()
        for member, inode in self._walk():
            name = member.name
            if self.digest is not None:
                if name == form.HEADER.encode() or (member.kind == "directory" and (name + b"/").startswith(_FIT)):
                    continue
                if name.startswith(_FIT):
                    if member.kind != "file":
                        raise refused(name, "only files may lie there")
                    fit.add(name[len(_FIT) :])
                    member = replace(member, name=name[len(_FIT) :])
                elif member.kind == "link" and member.link == os.fsencode(form.link_target(os.fsdecode(name))):
                    links.add(name)
                    continue
                elif member.kind == "directory" and inode.size:
                    if member.mode != 0o755:
                        raise refused(name, "is a directory with another mode than packages have")
                    continue
            self._current = inode
            yield member
        if fit != links:
            raise damaged(
                self._path, f"{os.fsdecode(min(fit ^ links))!r} and what lies in poncho/fit do not belong together"
            )

    def content(self) -> Iterator[bytes]:
        """Yield the current member's content, in pieces of at most a mebibyte."""
        inode, self._current = self._current, None
        if inode is not None and inode.kind == "file":
            yield from self._content(inode)

    def read(self, path: str, limit: int) -> bytes | None:
        """Return the content of one file, None when there is no such file. Nothing else is looked at."""
        inode = self._inode(self._root)
        for part in os.fsencode(path).split(b"/"):
            if inode.kind != "directory":
                return None
            found = next((reference for name, reference in self._entries(inode) if name == part), None)
            if found is None:
                return None
            inode = self._inode(found)
        if inode.kind != "file":
            return None
        if inode.size > limit:
            raise PackageError(f"{path}: too large to be one of PONCHO's files", hint="do not use this file")
        return b"".join(self._content(inode))

    def _read_header(self, head: bytes) -> None:
        at = form.header_offset(head)
        text = head[at : at + 512]
        if not text.startswith(b"\n" * 8 + SIGNATURE.encode() + b"\n"):
            return
        said = read_comment(text[8:])
        if said is None:
            raise damaged(self._path, "its header")
        self.digest, self.facts = said
        length = len(form.header_text(self.digest, self.facts))
        if self._at(at, form.BLOCK) != form.header_text(self.digest, self.facts) + form.noise()[length:]:
            raise damaged(self._path, "its header")

    def _walk(self) -> Iterator[tuple[TarMember, _Inode]]:
        """Go through the directories; one that is met twice, or in itself, is refused."""
        root = self._inode(self._root)
        if root.kind != "directory":
            raise damaged(self._path, "its root is no directory")
        seen = {self._root}
        pending = [(b"", self._entries(root))]
        left = self._inodes
        while pending:
            parent, entries = pending[-1]
            entry = next(entries, None)
            if entry is None:
                pending.pop()
                continue
            name, reference = parent + entry[0], entry[1]
            left -= 1
            if left < 0:
                raise PackageError("the image holds more files than it says", hint="do not use this file")
            if b"/" in entry[0] or b"\0" in entry[0]:
                raise refused(name, "has an unusual name")
            inode = self._inode(reference, name)
            size = inode.size if inode.kind == "file" else 0
            yield TarMember(name, inode.kind, inode.mode, size, inode.link, inode.mtime), inode
            if inode.kind == "directory":
                if reference in seen or len(pending) > _DEPTH:
                    raise refused(name, "is a directory that is there twice, or too deep")
                seen.add(reference)
                pending.append((name + b"/", self._entries(inode)))

    def _entries(self, directory: _Inode) -> Iterator[tuple[bytes, int]]:
        stream = _Metadata(self._metadata, self._directory_table + directory.start, directory.offset)
        left = directory.size
        while left > 0:
            count, start, _ = _ENTRIES.unpack(stream.take(_ENTRIES.size))
            left -= _ENTRIES.size
            if count >= 256:
                raise damaged(self._path, "a directory")
            for _ in range(count + 1):
                offset, _, _, length = _ENTRY.unpack(stream.take(_ENTRY.size))
                if length >= 256:
                    raise damaged(self._path, "a directory")
                name = stream.take(length + 1)
                left -= _ENTRY.size + length + 1
                yield name, start << 16 | offset
        if left:
            raise damaged(self._path, "a directory")

    def _inode(self, reference: int, name: bytes = b"") -> _Inode:
        stream = _Metadata(self._metadata, self._inode_table + (reference >> 16), reference & 0xFFFF)
        kind, mode, uid, gid, time, _ = _INODE.unpack(stream.take(_INODE.size))
        if self._exact and self.digest is not None and (uid or gid or time != self._time):
            raise damaged(self._path, f"the owner or time of {os.fsdecode(name)!r}")
        plain = (kind - 1) % 7 + 1
        long = kind > 7
        if not 1 <= kind <= 14 or plain in _KINDS:
            raise refused(name, _KINDS.get(plain, "of an unknown kind"))
        if plain == 1:
            if long:
                _, size, start, _, _, offset, _ = _LONG_DIRECTORY.unpack(stream.take(_LONG_DIRECTORY.size))
            else:
                start, _, size, offset, _ = _DIRECTORY.unpack(stream.take(_DIRECTORY.size))
            return _Inode("directory", mode, max(0, size - 3), start, offset)
        if plain == 3:
            _, size = _LINK.unpack(stream.take(_LINK.size))
            if size > _LINK_LIMIT:
                raise refused(name, "is a link with an unusual target")
            return _Inode("link", mode, 0, 0, link=stream.take(size))
        if long:
            start, size, _, _, fragment, offset, _ = _LONG_FILE.unpack(stream.take(_LONG_FILE.size))
        else:
            start, fragment, offset, size = _FILE.unpack(stream.take(_FILE.size))
        whole, rest = divmod(size, self._block)
        count = whole + (rest > 0 and fragment == _NO_FRAGMENT)
        if count > _BLOCKS:
            raise damaged(self._path, f"the size of {os.fsdecode(name)!r}")
        blocks = Struct(f"<{count}I").unpack(stream.take(4 * count))
        return _Inode("file", mode, size, start, offset, fragment, blocks, mtime=time)

    def _content(self, inode: _Inode) -> Iterator[bytes]:
        at, left = inode.start, inode.size
        for word in inode.blocks:
            size = min(left, self._block)
            if word == 0:
                yield bytes(size)
            else:
                piece = self._read_piece(at, word)
                if len(piece) != size:
                    raise damaged(self._path, "a block is not as long as it should be")
                at += word & (_STORED - 1)
                yield piece
            left -= size
        if left:
            if inode.fragment >= self._fragments:
                raise damaged(self._path, "a fragment")
            index, entry = divmod(inode.fragment, _METADATA // _FRAGMENT.size)
            where = int.from_bytes(self._at(self._fragment_table + 8 * index, 8), "little")
            start, word, _ = _FRAGMENT.unpack(
                _Metadata(self._metadata, where, entry * _FRAGMENT.size).take(_FRAGMENT.size)
            )
            piece = self._piece(start, word)[inode.offset : inode.offset + left]
            if len(piece) != left:
                raise damaged(self._path, "a fragment is not as long as it should be")
            yield piece

    def _read_piece(self, at: int, word: int) -> bytes:
        size = word & (_STORED - 1)
        if size > self._block or word >= _STORED << 1:
            raise damaged(self._path, "the size of a block")
        data = self._at(at, size)
        return data if word & _STORED else self._inflate(data, self._block)

    def _read_metadata(self, at: int) -> tuple[bytes, int]:
        """Return one metadata block and where the next one begins."""
        word = int.from_bytes(self._at(at, 2), "little")
        size = word & 0x7FFF
        if not 0 < size <= _METADATA:
            raise damaged(self._path, "its tables")
        data = self._at(at + 2, size)
        return data if word & 0x8000 else self._inflate(data, _METADATA), at + 2 + size

    def _at(self, offset: int, size: int, *, short: bool = False) -> bytes:
        if offset > self._size:
            raise truncated(self._path)
        self._stream.seek(offset)
        data = self._stream.read(size)
        if len(data) != size and not short:
            raise truncated(self._path)
        return data


_FIT = form.FIT.encode()


class _Metadata:
    """Bytes of the metadata blocks that follow each other from ``at`` on."""

    def __init__(self, block: Callable[[int], tuple[bytes, int]], at: int, offset: int) -> None:
        self._block = block
        self._data, self._next = block(at)
        self._offset = offset

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes."""
        parts = []
        while size:
            part = self._data[self._offset : self._offset + size]
            if part:
                parts.append(part)
                size -= len(part)
                self._offset += len(part)
            else:
                self._data, self._next = self._block(self._next)
                self._offset = 0
        return b"".join(parts)


def is_image(stream: BinaryIO) -> bool:
    """Tell whether an open file begins as a squashfs image."""
    stream.seek(0)
    return stream.read(4) == MAGIC
