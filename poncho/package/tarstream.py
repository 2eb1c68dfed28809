"""Read the members of a tar stream, strictly: what could write outside, or lie about itself, is refused by name.

Only names and kinds are looked at here, nothing is written anywhere. ``tarfile`` is not used: its filters let links of
links out (CVE-2025-4517), and it believes sizes and pax headers of any length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from poncho.errors import PackageError
from poncho.package.archive import Stream

Kind = Literal["file", "link", "directory", "hardlink"]

_BLOCK = 512
_NAME_LIMIT = 65536
_PAX_LIMIT = 1 << 20
_PIECE = 1 << 20
_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "link",
    b"5": "directory",
}
_REFUSED = {b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}
_OURS = frozenset((b"0", b"2", b"5", b"L", b"K"))


@dataclass(frozen=True, slots=True)
class TarMember:
    """One member as its header says it: raw name, kind, permission bits, size of its content, target of a link, time."""

    name: bytes
    kind: Kind
    mode: int
    size: int
    link: bytes = b""
    mtime: int = 0

    @property
    def path(self) -> str:
        """Return the name as text."""
        return os.fsdecode(self.name)


class TarReader:
    """Iterate over the members of a stream; ``content`` gives the pieces of the current one's content.

    ``strict`` allows only what PONCHO writes; ``exact`` refuses padding that is not zero. Raises PackageError that names the
    member.
    """

    def __init__(self, stream: Stream, *, strict: bool, exact: bool = False) -> None:
        self._stream = stream
        self._exact = exact
        self._strict = strict
        self._left = 0
        self._pad = 0

    def __iter__(self) -> Iterator[TarMember]:
        name = link = b""
        size: int | None = None
        while True:
            self._skip()
            if self._take(self._pad).strip(b"\0") and self._exact:
                raise PackageError("there is something between the members", hint="copy the package again")
            self._pad = 0
            block = self._take(_BLOCK)
            if block == bytes(_BLOCK):
                self._end()
                return
            kind, length = _checked(block), _octal(block[124:136])
            if self._strict and kind not in _OURS:
                raise refused(name or _plain_name(block), _REFUSED.get(kind, "of a kind that no package has"))
            if kind in (b"L", b"K", b"x", b"g"):
                text = self._long(length, _NAME_LIMIT if kind in (b"L", b"K") else _PAX_LIMIT)
                if kind == b"L":
                    name = text.rstrip(b"\0")
                elif kind == b"K":
                    link = text.rstrip(b"\0")
                elif kind == b"x":
                    name, link, size = _pax(text, name, link, size)
                continue
            member = TarMember(
                name or _plain_name(block),
                _kind(kind, name or _plain_name(block)),
                _octal(block[100:108]),
                length if size is None else size,
                link or block[157:257].split(b"\0", 1)[0],
                _octal(block[136:148]),
            )
            if member.kind != "file" and member.size:
                # GNU and POSIX disagree on whether content follows here.
                if self._strict or member.kind != "hardlink":
                    raise refused(member.name, "has content, which its kind cannot have")
                member = replace(member, size=0)
            self._left, self._pad = member.size, -member.size % _BLOCK
            yield member
            name = link = b""
            size = None

    def content(self) -> Iterator[bytes]:
        """Yield what is left of the current member's content, in pieces of at most a mebibyte."""
        while self._left:
            piece = self._take(min(self._left, _PIECE))
            self._left -= len(piece)
            yield piece

    def _skip(self) -> None:
        if not self._exact and self._stream.skip(self._left):
            self._left = 0
        for _ in self.content():
            pass

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise PackageError("the archive ends in the middle of a member", hint="copy the package again")
        return data

    def _long(self, length: int, limit: int) -> bytes:
        if length > limit:
            raise PackageError(f"a member's name or header of {length} bytes is refused", hint="do not use this file")
        text = self._take(length)
        self._take(-length % _BLOCK)
        return text

    def _end(self) -> None:
        # Only zeros may follow: what a lenient reader might unpack, a strict one must have seen.
        while piece := self._stream.read(_PIECE):
            if piece.strip(b"\0"):
                raise PackageError("there is something after the end of the archive", hint="do not use this file")


def refused(name: bytes, why: str) -> PackageError:
    """Return the error that names a member and why it is refused."""
    return PackageError(
        f"member {os.fsdecode(name)!r} is refused: {why}",
        hint="do not unpack this file: it was not made by PONCHO, or was changed",
        context={"member": os.fsdecode(name)},
    )


def _checked(block: bytes) -> bytes:
    if block[257:262] != b"ustar" or sum(block) - sum(block[148:156]) + 256 != _octal(block[148:156]):
        raise PackageError("not a tar archive, or a damaged one", hint="give a package that PONCHO or conda-pack made")
    return block[156:157]


def _kind(flag: bytes, name: bytes) -> Kind:
    kind = _KINDS.get(flag)
    if kind is None:
        raise refused(name, _REFUSED.get(flag, "of an unknown kind"))
    return kind


def _plain_name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    before = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return before + b"/" + name if before else name


def _octal(field: bytes) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if value >= 1 << 62:
            raise PackageError("a member's size is refused", hint="do not use this file")
        return value
    text = field.strip(b" \0")
    if text.strip(b"01234567"):
        raise PackageError("not a tar archive, or a damaged one", hint="give a package that PONCHO or conda-pack made")
    return int(text, 8) if text else 0


def _pax(text: bytes, name: bytes, link: bytes, size: int | None) -> tuple[bytes, bytes, int | None]:
    """Read ``LENGTH KEY=VALUE\\n`` records (POSIX.1-2001)."""
    at = 0
    while at < len(text):
        digits, _, _ = text[at : at + 20].partition(b" ")
        if not digits.isdigit() or not 4 <= int(digits) <= len(text) - at:
            raise refused(name or b"(pax)", "has a damaged pax header")
        record = text[at + len(digits) + 1 : at + int(digits) - 1]
        key, _, value = record.partition(b"=")
        at += int(digits)
        if key == b"path":
            name = value
        elif key == b"linkpath":
            link = value
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise refused(name or b"(pax)", "has a damaged pax header")
            size = int(value)
        elif key.startswith(b"GNU.sparse"):
            raise refused(name or b"(pax)", "a sparse file")
    return name, link, size
