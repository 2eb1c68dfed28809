"""Write the archive in three steps: threads read, look at and hash files; chunks are composed in order; threads compress.

Small files are gathered into chunks of about a mebibyte, which end where a package ends once they are a quarter full: then a
package that changes moves no boundary of another one. Large files are cut into chunks of four mebibytes. Boundaries go by
what is packed, not by what was read, so they do not depend on where the prefix lies. What is in flight is bounded, so memory
is too.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from poncho._types import Event, Reporter
from poncho.pack import tarfmt
from poncho.pack.compress import Compressor, crc32
from poncho.pack.layout import CHUNK_LIMIT, MIB, Chunk
from poncho.pack.model import Entry, Findings, Member
from poncho.pack.pyc import source_of
from poncho.pack.reading import Source, changed_meanwhile, read_whole, source_for
from poncho.pack.transform import Content, Transformer

_BATCH = MIB
_WHOLE = 3 * MIB  # a file up to this size is read in one piece of work together with others
_IN_FLIGHT = 48 * MIB


@dataclass(frozen=True, slots=True)
class _Item:
    """One member ready to be placed into a chunk."""

    group: tuple[int, str]
    head: bytes
    data: bytes
    member: Member


@dataclass(slots=True)
class _Looked:
    """What became of some files: the first step's result."""

    items: list[_Item] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    read: int = 0


@dataclass(slots=True)
class _Packed:
    """One compressed chunk, and the member that is known only now: the last step's result."""

    blob: bytes
    chunk: Chunk
    member: Member | None = None
    leaks: str | None = None
    read: int = 0


class Writer:
    """Appends entries to an open archive. ``chunks``, ``members`` and ``findings`` tell what was written so far."""

    def __init__(
        self,
        stream: int,
        compress: Compressor,
        transformer: Transformer,
        *,
        epoch: int,
        threads: int,
        total: int,
        reporter: Reporter,
    ) -> None:
        self._stream = stream
        self._compress = compress
        self._transformer = transformer
        self._epoch = epoch
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="poncho-pack")
        self._ahead = 2 * threads + 1
        self._total = total
        self._reporter = reporter
        self._read = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._group: tuple[int, str] = (-1, "")
        self._packing: deque[tuple[Future[_Packed], int]] = deque()
        self._in_flight = 0
        self.position = 0
        self.chunks: list[Chunk] = []
        self.members: list[Member] = []
        self.findings = Findings()

    def close(self) -> None:
        """Stop the threads; what they have not begun is not done."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def write(self, data: bytes) -> None:
        """Append bytes to the file as they are; ``position`` is the file's size then."""
        self.position += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._stream, view) :]

    def add(self, entries: Iterable[Entry]) -> None:
        """Pack entries in the order given, ending with the end of a chunk.

        Raises BuildError when a file cannot be read or changes meanwhile.
        """
        looking: deque[Future[_Looked] | Entry] = deque()
        for unit in _units(entries):
            if len(unit) == 1 and unit[0].size > _WHOLE:
                looking.append(unit[0])
            else:
                looking.append(self._pool.submit(self._look, unit))
            if len(looking) > self._ahead:
                self._place(looking.popleft())
        while looking:
            self._place(looking.popleft())
        self._close_chunk()
        while self._packing:
            self._collect()

    def _place(self, next_one: Future[_Looked] | Entry) -> None:
        if isinstance(next_one, Entry):
            self._large(next_one)
            return
        looked = next_one.result()
        self._progress(looked.read)
        self.findings.merge(looked.findings)
        for item in looked.items:
            self._compose(item)

    def _compose(self, item: _Item) -> None:
        """Put a member into the chunk that is open, or into chunks of its own."""
        self.members.append(item.member)
        size = len(item.data)
        if size > _BATCH:
            self._close_chunk()
            for first, at, end in _cuts(len(item.head), size):
                tail = tarfmt.padding(size) if end == size else b""
                parts = [item.head if first else b"", item.data[at:end], tail]
                self._submit(partial(self._pack, parts, continues=not first), end - at)
            return
        if self._parts:
            another = item.group != self._group and self._size >= _BATCH // 4
            if another or item.group[0] != self._group[0] or self._size >= _BATCH:
                self._close_chunk()
        self._group = item.group
        self._parts.append(item.head)
        if size:
            self._parts += (item.data, bytes(-size % tarfmt.BLOCK))
        self._size += len(item.head) + size

    def _close_chunk(self) -> None:
        if self._parts:
            parts, size = self._parts, self._size
            self._parts, self._size = [], 0
            self._submit(partial(self._pack, parts), size)

    def _submit(self, job: Callable[[], _Packed], size: int) -> None:
        self._packing.append((self._pool.submit(job), size))
        self._in_flight += size
        while self._in_flight > _IN_FLIGHT or self._packing[0][0].done():
            self._collect()
            if not self._packing:
                return

    def _collect(self) -> None:
        future, size = self._packing.popleft()
        done = future.result()
        self._in_flight -= size
        if done.member is not None:
            self.members.append(done.member)
        if done.leaks is not None:
            self.findings.leaks.append(done.leaks)
        self.write(done.blob)
        self.chunks.append(done.chunk)
        if done.read:
            self._progress(done.read)

    def _progress(self, read: int) -> None:
        self._read = min(self._read + read, self._total)
        self._reporter(Event("progress", "pack", done=self._read, total=self._total, unit="bytes"))

    def _pack(self, parts: Sequence[bytes | memoryview], *, continues: bool = False) -> _Packed:
        blob = b"".join(parts)
        packed = self._compress(blob)
        return _Packed(packed, Chunk(len(packed), len(blob), crc32(packed), continues))

    def _look(self, entries: Sequence[Entry]) -> _Looked:
        looked = _Looked()
        last: tuple[str, bytes, int] = ("", b"", 0)
        for entry in entries:
            if entry.link is not None:
                head = tarfmt.header(entry.path, tarfmt.LINK, mode=0o777, mtime=self._epoch, link=entry.link)
                looked.items.append(_Item(entry.group, head, b"", Member(entry.path, 0o777, link=entry.link)))
            elif entry.directory:
                head = tarfmt.header(entry.path, tarfmt.DIRECTORY, mode=0o755, mtime=self._epoch)
                looked.items.append(_Item(entry.group, head, b"", Member(entry.path, 0o755, directory=True)))
            else:
                data = entry.data if entry.data is not None else read_whole(entry)
                looked.read += len(data)
                source = source_for(entry, last) if entry.rule == "pyc" else None
                self._look_at(entry, data, source, looked)
                if entry.rule != "pyc":
                    last = (entry.path, data, entry.mtime)
        return looked

    def _look_at(self, entry: Entry, data: bytes, source: tuple[bytes, int] | None, looked: _Looked) -> None:
        if entry.source is None:
            content: Content | None = Content(data, changed=True)
        else:
            content = self._transformer.content(entry, data, source, looked.findings)
        if content is None:
            looked.findings.dropped.add(entry.path)
            return
        member = Member(
            entry.path,
            entry.mode,
            size=len(content.data),
            sha256=hashlib.sha256(content.data).hexdigest(),
            text=content.data if content.text else None,
            slots=content.slots,
            changed=content.changed or entry.cut is not None,
        )
        looked.items.append(_Item(entry.group, self._head(entry, len(content.data)), content.data, member))

    def _head(self, entry: Entry, size: int) -> bytes:
        return tarfmt.header(entry.path, tarfmt.FILE, mode=entry.mode, size=size, mtime=self._epoch)

    def _large(self, entry: Entry) -> None:
        """Pack a large file: streamed when its content stays as it is, else from memory."""
        looked = _Looked(read=entry.size)
        source = None if entry.source is None or entry.data is not None else Source(entry)
        if source is not None and not self._transformer.must_load(entry, source.read, looked.findings):
            self.findings.merge(looked.findings)
            self._close_chunk()
            self._stream_file(entry, source)
            return
        if source is not None:
            source.close()
        data = entry.data if entry.data is not None else read_whole(entry)
        self._look_at(entry, data, source_for(entry, ("", b"", 0)), looked)
        self._progress(looked.read)
        self.findings.merge(looked.findings)
        for item in looked.items:
            self._compose(item)

    def _stream_file(self, entry: Entry, source: Source) -> None:
        head = self._head(entry, entry.size)
        overlap = max(map(len, self._transformer.needles), default=0) + 1
        before: threading.Event | None = None
        for first, at, end in _cuts(len(head), entry.size):
            hashed = threading.Event()

            def job(
                first: bool = first,
                at: int = at,
                end: int = end,
                before: threading.Event | None = before,
                hashed: threading.Event = hashed,
            ) -> _Packed:
                try:
                    piece = source.read(at, end - at + overlap)
                    if len(piece) != min(end - at + overlap, entry.size - at):
                        raise changed_meanwhile(entry)
                    data = memoryview(piece)[: end - at]
                    # Pieces are begun in order, so the one before is at work or done: this wait is short and ends.
                    if before is not None:
                        before.wait()
                    source.hash.update(data)
                finally:
                    hashed.set()
                last = end == entry.size
                parts: list[bytes | memoryview] = [
                    head if first else b"",
                    data,
                    tarfmt.padding(entry.size) if last else b"",
                ]
                packed = self._pack(parts, continues=not first)
                packed.read = end - at
                if self._transformer.leaks(piece):
                    packed.leaks = entry.path
                if last:
                    source.close()
                    digest, changed = source.hash.hexdigest(), entry.cut is not None
                    packed.member = Member(entry.path, entry.mode, size=entry.size, sha256=digest, changed=changed)
                return packed

            before = hashed
            self._submit(job, end - at)


def _units(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Gather entries into pieces of work; a source and what was compiled from it stay together."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        full = size >= _BATCH and not (entry.rule == "pyc" and source_of(entry.path) == batch[-1].path)
        if batch and (full or entry.size > _WHOLE):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size + 1024
        if entry.size > _WHOLE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _cuts(head: int, size: int) -> Iterator[tuple[bool, int, int]]:
    """Cut a file's content into (is first, begin, end): whole blocks, at most a chunk each, the header counted in."""
    at = 0
    while at < size:
        end = min(size, at + CHUNK_LIMIT - (head if at == 0 else 0))
        yield at == 0, at, end
        at = end
