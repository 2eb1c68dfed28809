"""Write the archive in three steps: threads read, look at and hash files; chunks are composed in order; threads compress.

Small files are gathered into chunks of about a mebibyte, which end where a package ends once they are a quarter full: then a
package that changes moves no boundary of another one. Large files are cut into chunks of two mebibytes. Boundaries go by
what is packed, not by what was read, so they do not depend on where the prefix lies. What is in flight is bounded, so memory
is too.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

from poncho._types import Event, Reporter
from poncho.pack import tarfmt
from poncho.pack.buffers import Buffers
from poncho.pack.compress import Bytes
from poncho.pack.known import Known, Segment, segments
from poncho.pack.large import LARGE, PIECE, Digest, LargeFile, large_member
from poncho.pack.layout import MIB, Chunk
from poncho.pack.looking import Item, Looked, Looker
from poncho.pack.model import Entry, Findings, Look, Member
from poncho.pack.pyc import source_of
from poncho.pack.sink import Gatherer, Packed, Sink
from poncho.pack.transform import Transformer
from poncho.store.writeback import start_writeback

_BATCH = MIB
_IN_FLIGHT = 24 * MIB
_FILES = 4096
_WRITEBACK = 16 * MIB
_WRITES = 16


class Writer:
    """Appends entries to an open archive. ``chunks``, ``members`` and ``findings`` tell what was written so far."""

    def __init__(
        self,
        stream: int | None,
        sink: Sink,
        transformer: Transformer,
        *,
        buffers: Buffers,
        known: Known | None,
        epoch: int,
        threads: int,
        total: int,
        reporter: Reporter,
    ) -> None:
        self._stream = stream
        self._sink = sink
        self._buffers = buffers
        self._looker = Looker(transformer, buffers, epoch)
        self._gatherer = Gatherer(self._looker, buffers)
        self._known = known
        self._learning: deque[Segment] = deque()
        self._seen: list[tuple[Entry, Look]] = []
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="poncho-pack")
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="poncho-write")
        self._writes: deque[Future[None]] = deque()
        self._ahead = 2 * threads + 6
        self._total = total
        self._reporter = reporter
        self._read = 0
        self._open: list[Item] = []
        self._size = 0
        self._group: tuple[int, str] = (-1, "")
        self._packing: deque[tuple[Future[Packed], int]] = deque()
        self._in_flight = 0
        self.position = self._dirty = 0
        self.chunks: list[Chunk] = []
        self.members: list[Member] = []
        self.findings = Findings()

    def close(self) -> None:
        """Stop the threads; what they have not begun is not done."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._disk.shutdown(wait=True, cancel_futures=True)

    def write(self, *parts: Bytes, owner: object = None) -> None:
        """Append bytes to the file as they are; ``position`` is the file's size then. To a directory, nothing is added.

        Another thread writes them. ``owner`` is what they lie in. Raises the OSError of a write before.
        """
        if self._stream is None:
            return
        self.position += sum(map(len, parts))
        self._writes.append(self._disk.submit(self._write, parts, owner))
        while len(self._writes) > _WRITES or (self._writes and self._writes[0].done()):
            self._writes.popleft().result()

    def flush(self) -> None:
        """Wait until all is written."""
        while self._writes:
            self._writes.popleft().result()

    def _write(self, parts: Sequence[Bytes], owner: object) -> None:
        assert self._stream is not None
        size = sum(map(len, parts))
        written = os.writev(self._stream, parts)
        if written < size:
            view = memoryview(b"".join(parts))[written:]
            while view:
                view = view[os.write(self._stream, view) :]
        self._dirty += size
        if self._dirty >= _WRITEBACK:
            start_writeback(self._stream, 0, 0)
            self._dirty = 0

    def expected_bytes(self) -> int:
        """Return how large the archive becomes at most: as if nothing of what is not yet written could be compressed.

        How well the rest compresses cannot be told from the beginning, which is text for the most part.
        """
        packed, read = sum(chunk.packed for chunk in self.chunks), sum(chunk.size for chunk in self.chunks)
        return packed + max(0, self._total - read) + 2 * tarfmt.BLOCK * max(len(self.members), 1)

    def add(self, entries: Iterable[Entry]) -> None:
        """Pack entries in the order given, ending with the end of a chunk.

        Raises BuildError when a file cannot be read or changes meanwhile.
        """
        looking: deque[Future[Looked] | Looked] = deque()
        for unit in self._units(entries):
            if all(entry.known is not None for entry in unit):
                looking.append(self._looker.look(unit))
            elif unit[0].size > LARGE and unit[0].known is None:
                hashed = self._known is not None
                looking.append(self._pool.submit(self._looker.look_at_large, unit[0], hashed=hashed))
            else:
                looking.append(self._pool.submit(self._looker.look, unit))
            while len(looking) > self._ahead or (looking and isinstance(looking[0], Looked)):
                self._place(looking.popleft())
        while looking:
            self._place(looking.popleft())
        self._close_chunk()
        while self._packing:
            self._collect()

    def _units(self, entries: Iterable[Entry]) -> Iterator[list[Entry]]:
        """Gather entries into pieces of work; a source and what was compiled from it stay together."""
        batch: list[Entry] = []
        size = 0
        for entry in self._recalled(entries):
            large = entry.size > LARGE and entry.known is None and entry.link is None
            if batch and (
                large
                or (
                    (size >= _BATCH or len(batch) >= _FILES or (size >= _BATCH // 4 and entry.group != batch[-1].group))
                    and not (entry.rule == "pyc" and source_of(entry.path) == batch[-1].path)
                )
            ):
                yield batch
                batch, size = [], 0
            batch.append(entry)
            if large:
                yield batch
                batch = []
            elif entry.known is None:
                size += entry.size + 1024
        if batch:
            yield batch

    def _recalled(self, entries: Iterable[Entry]) -> Iterable[Entry]:
        if self._known is None:
            yield from entries
            return
        for segment in segments(entries):
            self._learning.append(self._known.recall(segment))
            yield from segment

    def _place(self, looking: Future[Looked] | Looked) -> None:
        looked = looking if isinstance(looking, Looked) else looking.result()
        self._progress(looked.read)
        self.findings.merge(looked.findings)
        for item in looked.items:
            self._compose(item)
        if looked.stream is not None:
            self._close_chunk()
            self._stream_file(looked.stream)
        if self._known is not None:
            self._learn(self._known, looked.looks)

    def _learn(self, known: Known, looks: list[tuple[Entry, Look]]) -> None:
        self._seen += looks
        done = 0
        while self._learning and len(self._seen) - done >= self._learning[0].count:
            segment = self._learning.popleft()
            if segment.key is not None:
                self._pool.submit(known.learn, segment, self._seen[done : done + segment.count])
            done += segment.count
        if done:
            self._seen = list(islice(self._seen, done, None))

    def _compose(self, item: Item) -> None:
        """Put a member into the chunk that is open, or into chunks of its own."""
        self.members.append(item.member)
        if item.member.size > LARGE:
            self._close_chunk()
            for begin in range(0, item.size, PIECE):
                end = min(begin + PIECE, item.size)
                tar = partial(self._gatherer.cut, item, begin, end)
                self._submit(partial(self._sink.part, item.member, item.size, begin, end, tar), end - begin)
            return
        if self._open:
            group = item.entry.group
            another = group != self._group and self._size >= _BATCH // 4
            if another or group[0] != self._group[0] or self._size >= _BATCH:
                self._close_chunk()
        self._group = item.entry.group
        self._open.append(item)
        self._size += item.size

    def _close_chunk(self) -> None:
        if self._open:
            items, size = self._open, self._size
            self._open, self._size = [], 0
            tar = partial(self._gatherer.gather, items, size)
            self._submit(partial(self._sink.whole, items, size, tar), size)

    def _submit(self, job: Callable[[], Packed], size: int) -> None:
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
            if done.leaks:
                self.findings.leaks.append(done.member.path)
        self.write(*done.parts, owner=done.owner)
        self.chunks.append(done.chunk)
        if done.read:
            self._progress(done.read)

    def _progress(self, read: int) -> None:
        self._read = min(self._read + read, self._total)
        self._reporter(Event("progress", "pack", done=self._read, total=self._total, unit="bytes"))

    def _stream_file(self, file: LargeFile) -> None:
        """Pack a large file and hash it at the same time: its pieces in order, one thread after the other."""
        digest = Digest(self._looker.needles(file))
        before: threading.Event | None = None
        for begin, end in file.pieces():
            hashed = threading.Event()
            self._submit(partial(self._pack_streamed, file, digest, begin, end, before, hashed), end - begin)
            before = hashed

    def _pack_streamed(
        self,
        file: LargeFile,
        digest: Digest,
        begin: int,
        end: int,
        before: threading.Event | None,
        hashed: threading.Event,
    ) -> Packed:
        lease = self._buffers.take(end - begin)
        view = lease.view[: end - begin]
        try:
            content = file.fill(view, begin)
            # Pieces are begun in order, so the one before is at work or done: this wait is short and ends.
            if before is not None:
                before.wait()
            digest.take_in(content, lease)
        finally:
            hashed.set()
        slots = file.streamed.slots if file.streamed is not None else ()
        unknown = Member(file.entry.path, file.entry.mode, file.entry.size, slots=slots)
        packed = self._sink.part(unknown, file.size, begin, end, lambda: (view, lease))
        packed.read = len(content)
        if end == file.size:
            packed.member = large_member(file, digest)
            packed.leaks = digest.leaks
        return packed
