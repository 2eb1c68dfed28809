"""Write the archive in three steps: threads read, look at and hash files; chunks are composed in order; threads compress.

What is in flight is bounded, so memory is too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

from poncho._types import Event, Reporter
from poncho.pack import tarfmt
from poncho.pack.buffers import Buffers
from poncho.pack.composing import BATCH, Batch, Composer
from poncho.pack.compress import Bytes
from poncho.pack.copier import Copier, Copy
from poncho.pack.known import Known, Segment, segments
from poncho.pack.large import LARGE, PIECE, Digest, LargeFile, large_member
from poncho.pack.looking import Item, Looked, Looker
from poncho.pack.members import Members
from poncho.pack.model import Entry, Findings, Look, Member
from poncho.pack.outlet import Outlet
from poncho.pack.runs import Run
from poncho.pack.sink import Gatherer, Packed, Sink
from poncho.pack.transform import Transformer

_FILES = 4096
_SMALL = 2 * BATCH


class Writer:
    """Appends entries to an open archive.

    ``members`` and ``findings`` tell what was packed so far, ``outlet`` what was written.
    """

    def __init__(
        self,
        stream: int | None,
        sink: Sink,
        transformer: Transformer,
        *,
        buffers: Buffers,
        known: Known | None,
        copier: Copier | None,
        epoch: int,
        threads: int,
        total: int,
        reporter: Reporter,
    ) -> None:
        self._sink = sink
        self._buffers = buffers
        self._looker = Looker(transformer, buffers, epoch)
        self._gatherer = Gatherer(self._looker, buffers)
        self._composer = Composer(self._looker, self._pack, self._pack_large)
        self._known = known
        self._learning: deque[Segment] = deque()
        self._seen: list[tuple[Entry, Look]] = []
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="poncho-pack")
        self._ahead = 2 * threads + 6
        self._total = total
        self._reporter = reporter
        self._read = 0
        self.members = Members()
        self.findings = Findings()
        self.outlet = Outlet(stream, self._took, copier)

    def close(self) -> None:
        """Stop the threads; what they have not begun is not done."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.outlet.close()

    def write(self, *parts: Bytes) -> None:
        """Append bytes to the file as they are. To a directory, nothing is added."""
        self.outlet.write(parts)

    def settle(self) -> None:
        """Wait until ``members`` and ``findings`` hold all that was added. Raises the OSError of a write before."""
        if self._known is None:  # else a file is hashed before it is packed
            self.flush()

    def flush(self) -> None:
        """Wait until all is written. Raises the OSError of a write before."""
        self.outlet.drain()
        self._progress(0)

    def expected_bytes(self) -> int:
        """Return how large the archive becomes at most: as if nothing of what is not yet written could be compressed.

        How well the rest compresses cannot be told from the beginning, which is text for the most part.
        """
        chunks = self.outlet.chunks
        packed, read = sum(chunk.packed for chunk in chunks), sum(chunk.size for chunk in chunks)
        return packed + max(0, self._total - read) + 2 * tarfmt.BLOCK * max(len(self.members), 1)

    def add(self, entries: Iterable[Entry]) -> None:
        """Pack entries in the order given, ending with the end of a chunk.

        Raises BuildError when a file cannot be read or changes meanwhile.
        """
        looking: deque[Future[Looked] | Looked | Run] = deque()
        ahead = 0
        alone = self._known is not None
        for unit in self._units(entries):
            if isinstance(unit, Run):
                looking.append(unit)
            else:
                looking.append(self._looked(unit, alone=alone and not looking))
                ahead += isinstance(looking[-1], Future)
            alone = isinstance(unit, Run)
            while looking and (ahead > self._ahead or not isinstance(looking[0], Future) or looking[0].done()):
                first = looking.popleft()
                ahead -= isinstance(first, Future)
                self._place(first)
        while looking:
            self._place(looking.popleft())
        self._composer.close()

    def _looked(self, unit: list[Entry], *, alone: bool) -> Future[Looked] | Looked:
        # A few files between many that are known: another thread would get the interpreter's lock too seldom.
        if alone and sum(entry.size for entry in unit) < _SMALL:
            return self._looker.look(unit)
        if unit[0].size > LARGE and unit[0].link is None:
            return self._pool.submit(self._looker.look_at_large, unit[0], hashed=self._known is not None)
        return self._pool.submit(self._looker.look, unit)

    def _units(self, entries: Iterable[Entry]) -> Iterator[Run | list[Entry]]:
        """Gather entries into pieces of work: what is known, and what is to be looked at.

        A source and what was compiled from it stay together, as far as both are to be looked at.
        """
        batch: list[Entry] = []
        size = 0
        for piece in self._recalled(entries):
            if isinstance(piece, Run):
                if batch:
                    yield batch
                    batch, size = [], 0
                yield piece
                continue
            for entry in piece:
                large = entry.size > LARGE and entry.link is None
                full = size >= BATCH or len(batch) >= _FILES
                if batch and (large or full or (size >= BATCH // 4 and entry.group != batch[-1].group)):
                    together = entry.rule == "pyc" and entry.compiled == batch[-1].path
                    if large or not together:
                        yield batch
                        batch, size = [], 0
                batch.append(entry)
                if large:
                    yield batch
                    batch = []
                else:
                    size += entry.size + 1024
        if batch:
            yield batch

    def _recalled(self, entries: Iterable[Entry]) -> Iterator[Run | Iterable[Entry]]:
        if self._known is None:
            yield entries
            return
        for run in segments(entries):
            segment = self._known.recall(run)
            self._learning.append(segment)
            if segment.findings is not None:
                self.findings.merge(segment.findings)
            yield from segment.pieces

    def _place(self, unit: Future[Looked] | Looked | Run) -> None:
        if isinstance(unit, Run):
            self._progress(sum(unit.sizes))
            self.members.add_run(unit)
            self._composer.place_run(unit)
            return
        looked = unit if isinstance(unit, Looked) else unit.result()
        self._progress(looked.read)
        self.findings.merge(looked.findings)
        self.members.add(item.member for item in looked.items)
        self._composer.place(looked.items)
        if looked.stream is not None:
            self._composer.close()
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

    def _pack(self, batch: Batch) -> None:
        job = partial(self._sink.whole, batch, partial(self._gatherer.gather, batch))
        key = self._sink.stored(batch.text(), 0, batch.size) if batch.known else None
        if key is not None:
            self.outlet.copy(Copy(key, batch.size, False, job))
        else:
            self.outlet.chunk(self._pool.submit(job), batch.size)

    def _pack_large(self, item: Item) -> None:
        member, line = item.member, item.member.line
        in_memory = item.lease is not None or item.loose is not None
        for begin in range(0, item.size, PIECE):
            end = min(begin + PIECE, item.size)
            job = partial(self._sink.part, member, item.size, begin, end, partial(self._gatherer.cut, item, begin, end))
            key = None if in_memory else self._sink.stored(line, begin, end)
            if key is not None:
                self.outlet.copy(Copy(key, end - begin, begin > 0, job))
            else:
                self.outlet.chunk(self._pool.submit(job), end - begin)

    def _progress(self, read: int) -> None:
        self._read += read
        done = min(self._read + self.outlet.read, self._total)
        self._reporter(Event("progress", "pack", done=done, total=self._total, unit="bytes"))

    def _took(self, member: Member, leaks: bool) -> None:
        self.members.add([member])
        if leaks:
            self.findings.leaks.append(member.path)

    def _stream_file(self, file: LargeFile) -> None:
        """Pack a large file and hash it at the same time: its pieces in order, one thread after the other."""
        digest = Digest(self._looker.needles(file))
        before: threading.Event | None = None
        for begin, end in file.pieces():
            hashed = threading.Event()
            job = partial(self._pack_streamed, file, digest, begin, end, before, hashed)
            self.outlet.chunk(self._pool.submit(job), end - begin)
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
