"""Read files, look at what is in them, and lay them out as tar: the first step of packing, done by threads.

The files of a batch are read right to where they lie in the tar, searched for the prefix all at once, and hashed there;
only those that hold the prefix, or need a treatment of their own, are taken out and looked at one by one.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from poncho.pack import elf, pyc, search, tarfmt
from poncho.pack.buffers import Buffers, Lease
from poncho.pack.compress import Bytes
from poncho.pack.large import LargeFile, large_member
from poncho.pack.model import Entry, Findings, Look, Member
from poncho.pack.reading import Source, changed_meanwhile, read_into, read_whole, source_for
from poncho.pack.relocation import member_line
from poncho.pack.runs import unread_member
from poncho.pack.transform import Content, Transformer

_ALWAYS = ("direct-url", "git")


@dataclass(slots=True)
class Item:
    """One member ready to be placed into chunks; ``size`` is that of its tar: header, content, padding.

    Its bytes are those of ``lease`` from ``start`` on, or ``loose``; with neither they are in the file still.
    """

    entry: Entry
    member: Member
    size: int
    lease: Lease | None = None
    start: int = 0
    loose: bytes | None = None
    file: LargeFile | None = None


@dataclass(slots=True)
class Looked:
    """What became of some entries. ``stream`` is a large file to be hashed while it is packed."""

    items: list[Item] = field(default_factory=list)
    looks: list[tuple[Entry, Look]] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    read: int = 0
    stream: LargeFile | None = None


class Looker:
    """Looks at entries. Safe to use from several threads."""

    def __init__(self, transformer: Transformer, buffers: Buffers, epoch: int) -> None:
        self._transformer = transformer
        self._buffers = buffers
        self._epoch = epoch

    def look(self, entries: Sequence[Entry]) -> Looked:
        """Look at a batch of entries: all of them are read."""
        looked = Looked()
        heads = [self.head(entry) for entry in entries]
        room = sum(
            len(head) + entry.size + -entry.size % tarfmt.BLOCK for entry, head in zip(entries, heads, strict=True)
        )
        lease = self._buffers.take(room + 1)
        at = 0
        starts: list[int] = []
        for entry, head in zip(entries, heads, strict=True):
            starts.append(at)
            at = _place(entry, head, lease, at)
        suspects = self._suspects(lease, starts, at)
        source: tuple[str, Entry | None, int] = ("", None, 0)
        for number, (entry, head) in enumerate(zip(entries, heads, strict=True)):
            start = starts[number]
            if entry.source is None or entry.link is not None or entry.directory:
                self._made(entry, head, lease, start, looked)
            elif number in suspects or self._is_special(entry, lease, start + len(head)):
                beside = _source(entry, lease, source) if entry.rule == "pyc" else None
                self._one_by_one(entry, lease.view[start + len(head) :], beside, looked)
            elif entry.rule == "pyc":
                self._compiled(entry, head, lease, start, source, looked)
            else:
                self._plain(entry, head, lease, start, looked)
            if entry.rule != "pyc":
                source = (entry.path, entry, start + len(head))
            looked.read += entry.size
        return looked

    def look_at_large(self, entry: Entry, *, hashed: bool) -> Looked:
        """Look at a large file. ``hashed``: all of it is read now, so that what it holds is known before it is packed."""
        looked = Looked(read=entry.size)
        source = Source(entry) if entry.data is None else None
        streamed = None if source is None else self._transformer.look_at_large(entry, source)
        if source is None or streamed is None:
            if source is not None:
                source.close()
            data = entry.data if entry.data is not None else read_whole(entry)
            self._one_by_one(entry, data, source_for(entry) if entry.rule == "pyc" else None, looked)
            return looked
        source.patches = streamed.patches
        file = LargeFile(entry, self.head(entry), streamed, source)
        looked.findings.count(streamed.elf)
        if not hashed:
            looked.stream, looked.read = file, 0
            return looked
        digest = file.hash(self._buffers, self.needles(file))
        member = large_member(file, digest)
        if digest.leaks:
            looked.findings.leaks.append(entry.path)
        again = bool(streamed.slots) or entry.cut is not None
        looked.looks.append((entry, Look(member, again, streamed.elf, digest.leaks)))
        looked.items.append(Item(entry, member, file.size, file=file))
        return looked

    def needles(self, file: LargeFile) -> tuple[bytes, ...]:
        """Return what to search a large file for."""
        return () if file.streamed is not None and file.streamed.slots else self._transformer.needles

    def head(self, entry: Entry, size: int | None = None) -> bytes:
        """Return the header blocks of an entry."""
        if entry.link is not None:
            return tarfmt.header(entry.path, tarfmt.LINK, mode=0o777, mtime=self._epoch, link=entry.link)
        if entry.directory:
            return tarfmt.header(entry.path, tarfmt.DIRECTORY, mode=0o755, mtime=self._epoch)
        size = entry.size if size is None else size
        return tarfmt.header(entry.path, tarfmt.FILE, mode=entry.mode, size=size, mtime=self._epoch)

    def load(self, item: Item) -> bytes:
        """Return the tar bytes of a member that was not read. Raises BuildError when it is not what was known of it."""
        entry = item.entry
        if not item.member.sha256:
            return self.head(entry)
        looked = self.look([entry])
        if len(looked.items) != 1 or looked.items[0].member.sha256 != item.member.sha256:
            raise changed_meanwhile(entry)
        found = looked.items[0]
        if found.loose is not None:
            return found.loose
        assert found.lease is not None
        return bytes(found.lease.view[found.start : found.start + found.size])

    def _suspects(self, lease: Lease, starts: Sequence[int], end: int) -> set[int]:
        """Return the numbers of the files in which the prefix occurs."""
        found = set()
        for needle in self._transformer.needles:
            at = search.find_in(lease, needle, 0, end)
            while at >= 0:
                # Of entries that begin at one place all but the last take no room.
                number = bisect_right(starts, at) - 1
                found.add(number)
                following = starts[number + 1] if number + 1 < len(starts) else end
                at = search.find_in(lease, needle, following, end)
        return found

    def _is_special(self, entry: Entry, lease: Lease, at: int) -> bool:
        return entry.rule in _ALWAYS or (entry.rule == "script" and lease.data[at : at + 2] == b"#!")

    def _made(self, entry: Entry, head: bytes, lease: Lease, start: int, looked: Looked) -> None:
        if entry.link is not None or entry.directory:
            member = unread_member(entry)
        else:
            at = start + len(head)
            sha256 = hashlib.sha256(lease.view[at : at + entry.size]).hexdigest()
            member = Member(entry.path, entry.mode, entry.size, sha256, changed=True)
        _add(entry, member, head, lease, start, looked, Look(member, again=True))

    def _plain(self, entry: Entry, head: bytes, lease: Lease, start: int, looked: Looked) -> None:
        at = start + len(head)
        content = lease.view[at : at + entry.size]
        found = None
        if lease.data[at : at + 4] == elf.MAGIC:
            found = elf.read(lambda offset, size: bytes(content[offset : offset + size]))
            looked.findings.count(found)
        changed = entry.cut is not None
        member = Member(entry.path, entry.mode, entry.size, hashlib.sha256(content).hexdigest(), changed=changed)
        _add(entry, member, head, lease, start, looked, Look(member, changed, found))

    def _compiled(
        self, entry: Entry, head: bytes, lease: Lease, start: int, source: tuple[str, Entry | None, int], looked: Looked
    ) -> None:
        at = start + len(head)
        found = bytes(lease.view[at : min(at + pyc.HEAD, at + entry.size)])
        beside = _source(entry, lease, source, pyc.is_unchecked(found))
        made = None if beside is None else pyc.portable_head(found, *beside)
        if made is None:
            looked.findings.dropped.add(entry.path)
            looked.looks.append((entry, Look(None)))
            return
        if made != found:
            lease.data[at : at + len(made)] = made
        sha256 = hashlib.sha256(lease.view[at : at + entry.size]).hexdigest()
        member = Member(entry.path, entry.mode, entry.size, sha256, changed=made != found)
        _add(entry, member, head, lease, start, looked, Look(member))

    def _one_by_one(
        self, entry: Entry, data: bytes | memoryview, source: tuple[Bytes, int] | None, looked: Looked
    ) -> None:
        seen = Findings()
        data = bytes(data[: entry.size])
        made_up = entry.source is None
        content = Content(data, changed=True) if made_up else self._transformer.content(entry, data, source, seen)
        if content is None:
            seen.dropped.add(entry.path)
            looked.findings.merge(seen)
            looked.looks.append((entry, Look(None)))
            return
        member = Member(
            entry.path,
            entry.mode,
            len(content.data),
            hashlib.sha256(content.data).hexdigest(),
            text=content.data if content.text else None,
            slots=content.slots,
            changed=content.changed or entry.cut is not None,
        )
        again = content.text or bool(content.slots) or entry.cut is not None or entry.data is not None
        platform = next(iter(seen.machines), "")
        found = elf.Elf(platform, seen.glibc) if platform else None
        looked.findings.merge(seen)
        loose = b"".join((self.head(entry, member.size), content.data, tarfmt.padding(member.size)))
        looked.looks.append((entry, Look(member, again, found, bool(seen.leaks))))
        member.line = member_line(member)
        looked.items.append(Item(entry, member, len(loose), loose=loose))


def _source(
    entry: Entry, lease: Lease, before: tuple[str, Entry | None, int], unread: bool = False
) -> tuple[Bytes, int] | None:
    """Return the content and time of the source that ``entry`` was compiled from, None when there is none.

    Mostly that is the file looked at ``before``: its path, and where its content begins. With ``unread`` it need only exist.
    """
    path, origin, at = before
    if origin is not None and path == pyc.source_of(entry.path):
        if origin.link is None:
            return lease.view[at : at + origin.size], origin.mtime
        if unread:
            return b"", origin.mtime
    return source_for(entry)


def _place(entry: Entry, head: bytes, lease: Lease, at: int) -> int:
    """Lay out one entry in memory; return where the next one begins."""
    begin = at + len(head)
    lease.data[at:begin] = head
    end = begin
    if entry.data is not None:
        end += len(entry.data)
        lease.data[begin:end] = entry.data
    elif entry.source is not None:
        end += entry.size
        read_into(entry, lease.view[begin : end + 1])
    padding = -(end - begin) % tarfmt.BLOCK
    if padding:
        lease.data[end : end + padding] = bytes(padding)
    return end + padding


def _add(entry: Entry, member: Member, head: bytes, lease: Lease, start: int, looked: Looked, look: Look) -> None:
    member.line = member_line(member)
    looked.items.append(Item(entry, member, len(head) + tarfmt.padded(member.size), lease, start))
    looked.looks.append((entry, look))
