"""Read through a package of any kind, member by member: one way for listing, verifying and unpacking."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from poncho.errors import PackageError
from poncho.pack.layout import Facts
from poncho.package.archive import ChunkStream, ForeignStream, Index, ahead, chunk_data, open_file, read_index
from poncho.package.contents import Item
from poncho.package.guard import Guard
from poncho.package.squashfs import Image, is_image
from poncho.package.tarstream import TarMember, TarReader

# Other people's archives say nothing about their size. Environments compress to a half or a fifth, zeros to a thousandth.
_FOREIGN_FILES = 500_000
_FOREIGN_RATIO, _FOREIGN_FREE = 100, 1 << 30
_CLAIMS = ("half a million", "a hundred times its own size")
_TEXT_LIMIT, _TEXTS_LIMIT = 64 << 20, 256 << 20

# Takes a member's name and header, and yields on its content, piece by piece.
Sink = Callable[[str, TarMember, Iterator[bytes]], Iterator[bytes]]


class Reader(Protocol):
    """The members of an archive in its order; ``content`` gives the current one's, in pieces."""

    def __iter__(self) -> Iterator[TarMember]: ...

    def content(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What one of our packages says of itself before its members are read; ``files`` is how many its end counts."""

    digest: str
    facts: Facts
    files: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A package open for reading: its members, the rules for them, and what it says of itself if it is one of ours,
    with its index if it has one.

    ``recompressed``: if PONCHO made what is in it, another program has packed it again.
    """

    reader: Reader
    guard: Guard
    said: Said | None
    recompressed: bool = False
    index: Index | None = None


@dataclass(slots=True)
class Members:
    """What was read: every member by path, in the archive's order, and the content of the files asked for."""

    items: dict[str, Item] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def open_members(path: Path, *, exact: bool = False) -> Iterator[Opened]:
    """Open a package file for reading from the beginning to the end; ``exact`` refuses what the format does not need.

    Raises PackageError.
    """
    with open_file(path) as file:
        if is_image(file):
            yield _open_image(path, file, exact=exact)
            return
        index = read_index(path, file)
        if index is None:
            guard = foreign_guard(file)
            stream = ForeignStream(path, file)
            yield Opened(TarReader(stream, strict=False, exact=exact), guard, None, stream.is_compressed)
            return
        guard = Guard(files=index.facts.files, total=index.facts.bytes)
        with closing(ahead(chunk_data(path, file, index))) as pieces:  # type: ignore[type-var]
            said = Said(index.digest, index.facts, index.footer.files)
            yield Opened(TarReader(ChunkStream(pieces), strict=True, exact=exact), guard, said, index=index)


def _open_image(path: Path, file: BinaryIO, *, exact: bool) -> Opened:
    image = Image(path, file, exact=exact)
    if image.digest is None or image.facts is None:
        return Opened(image, foreign_guard(file), None, recompressed=True)
    facts = image.facts
    return Opened(image, Guard(files=facts.files, total=facts.bytes), Said(image.digest, facts, facts.files))


def foreign_guard(file: BinaryIO) -> Guard:
    """Return the rules for an archive that does not say how much it holds."""
    total = max(_FOREIGN_FREE, _FOREIGN_RATIO * file.seek(0, io.SEEK_END))
    return Guard(files=_FOREIGN_FILES, total=total, claims=_CLAIMS)


def read_members(
    opened: Opened, *, wanted: Callable[[str], bool], hashed: bool = True, sink: Sink | None = None
) -> Members:
    """Read to the end; every name, kind and total is checked, nothing is written here.

    ``wanted`` tells whose content to keep; ``hashed`` False leaves out the digests of the files that are not wanted; ``sink``
    sees all content. Raises PackageError that names the member.
    """
    found = Members()
    kept = 0
    reader = opened.reader
    for member in reader:
        name = os.fsdecode(opened.guard.check(member))
        if not name:
            continue
        if member.kind == "link":
            found.items[name] = Item(name, "link", target=os.fsdecode(member.link))
        elif member.kind == "directory":
            found.items[name] = Item(name, "directory")
        elif member.kind == "hardlink":
            found.items[name] = replace(found.items[os.fsdecode(member.link.removeprefix(b"./"))], path=name)
        elif wanted(name):
            kept += member.size
            if member.size > _TEXT_LIMIT or kept > _TEXTS_LIMIT:
                raise PackageError(f"{name!r}: too large to be what its name says", hint="do not use this file")
            parts: list[bytes] = []
            found.items[name] = _file(name, member, _through(reader.content(), sink, name, member), parts, hashed=True)
            found.texts[name] = b"".join(parts)
            continue
        elif hashed or sink is not None:
            content = _through(reader.content(), sink, name, member)
            found.items[name] = _file(name, member, content, None, hashed=hashed)
            continue
        else:
            found.items[name] = Item(name, "file", mode=member.mode, size=member.size)
        if sink is not None:
            for _ in sink(name, member, iter(())):
                pass
    return found


def _through(content: Iterator[bytes], sink: Sink | None, name: str, member: TarMember) -> Iterator[bytes]:
    return content if sink is None else sink(name, member, content)


def _file(name: str, member: TarMember, content: Iterator[bytes], parts: list[bytes] | None, *, hashed: bool) -> Item:
    digest = hashlib.sha256()
    for piece in content:
        if hashed:
            digest.update(piece)
        if parts is not None:
            parts.append(piece)
    return Item(name, "file", digest.hexdigest() if hashed else "", member.mode, member.size)
