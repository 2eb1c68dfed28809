"""Files that are read piece by piece, because they may be larger than memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence

from poncho.pack import search, tarfmt
from poncho.pack.buffers import Buffers, Lease
from poncho.pack.compress import crc32
from poncho.pack.layout import MIB
from poncho.pack.model import Entry, Member
from poncho.pack.reading import Source, changed_meanwhile
from poncho.pack.relocation import member_line
from poncho.pack.transform import Streamed

# A file that is larger is packed into chunks of its own, of this size: unpack.py tells them by being larger than others.
LARGE = MIB
PIECE = 3 * MIB


class Digest:
    """The sha256 of a file whose content comes in pieces, in order, and whether one of ``needles`` is in it."""

    def __init__(self, needles: Sequence[bytes]) -> None:
        self.leaks = False
        self._needles = needles
        self._overlap = max(map(len, needles), default=0) + 1
        self._sha256 = hashlib.sha256()
        self._before = b""

    @property
    def sha256(self) -> str:
        """Return the digest of what was taken in."""
        return self._sha256.hexdigest()

    def take_in(self, content: memoryview, lease: Lease) -> None:
        """Take in the next piece, which ends where the content in the memory of ``lease`` ends."""
        self._sha256.update(content)
        if self.leaks or not self._needles:
            return
        seam = self._before + bytes(content[: self._overlap])
        self.leaks = search.mentions(seam, self._needles)
        if any(search.find_in(lease, needle, 0, len(lease.data)) >= 0 for needle in self._needles):
            self.leaks = self.leaks or search.mentions(bytes(content), self._needles)
        self._before = bytes(content[-self._overlap :])


class LargeFile:
    """A file that is read piece by piece. Safe to use from several threads."""

    def __init__(
        self, entry: Entry, head: bytes, streamed: Streamed | None = None, source: Source | None = None
    ) -> None:
        self.entry = entry
        self.streamed = streamed
        self.size = len(head) + tarfmt.padded(entry.size)
        self._head = head
        self._source = source
        self._crcs: dict[int, int] = {}
        self._checking = threading.Lock()

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield (begin, end) of each chunk in the tar bytes of this member."""
        for at in range(0, self.size, PIECE):
            yield at, min(at + PIECE, self.size)

    def fill(self, view: memoryview, begin: int) -> memoryview:
        """Fill ``view`` with the tar bytes from ``begin`` on; return the part of it that is the file's content."""
        assert self._source is not None
        head = self._head[begin : begin + len(view)]
        view[: len(head)] = head
        at = max(0, begin - len(self._head))
        content = view[len(head) : len(head) + min(len(view) - len(head), self.entry.size - at)]
        self._source.fill(content, at)
        rest = len(view) - len(head) - len(content)
        if rest:
            view[-rest:] = bytes(rest)
        return content

    def read(self, offset: int, size: int) -> bytes:
        """Return content, as it is in the file."""
        assert self._source is not None
        return self._source.read(offset, size)

    def hash(self, buffers: Buffers, needles: Sequence[bytes]) -> Digest:
        """Read all of it and return what was found. Later reads are held against this one."""
        lease = buffers.take(PIECE)
        digest = Digest(needles)
        for begin, end in self.pieces():
            view = lease.view[: end - begin]
            digest.take_in(self.fill(view, begin), lease)
            self._crcs[begin] = crc32(view)
        return digest

    def check(self, begin: int, view: memoryview, member: Member, buffers: Buffers) -> None:
        """Raise BuildError unless ``view`` is what was hashed: the file must not have changed since."""
        with self._checking:
            if not self._crcs and self.hash(buffers, ()).sha256 != member.sha256:
                raise changed_meanwhile(self.entry)
        if self._crcs[begin] != crc32(view):
            raise changed_meanwhile(self.entry)

    def open(self) -> None:
        """Open the file, if it is not open."""
        with self._checking:
            if self._source is None:
                self._source = Source(self.entry)


def large_member(file: LargeFile, digest: Digest) -> Member:
    """Return the member for a large file when all of it has been read."""
    entry, slots = file.entry, file.streamed.slots if file.streamed is not None else ()
    changed = bool(slots) or entry.cut is not None
    member = Member(entry.path, entry.mode, entry.size, digest.sha256, slots=slots, changed=changed)
    member.line = member_line(member)
    return member
