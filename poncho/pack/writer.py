"""Write the archive: files are read, looked at, hashed and compressed by a pool of threads, and written in order.

Small files are gathered into chunks of about a mebibyte, which end where a package ends once they are a quarter full:
then a package that changes moves no boundary of another one. Large files are cut into chunks of four mebibytes. What
is in flight is bounded, so memory is too.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from poncho._types import Event, Reporter
from poncho.errors import BuildError
from poncho.pack import tarfmt
from poncho.pack.compress import Compressor
from poncho.pack.layout import CHUNK_LIMIT, MIB, Chunk
from poncho.pack.model import Entry, Findings, Member
from poncho.pack.pyc import source_of
from poncho.pack.transform import Content, Transformer
from poncho.pack.walk import cannot_read

_BATCH = MIB
_WHOLE = 3 * MIB  # a file up to this size is one piece of work
_IN_FLIGHT = 64 * MIB


@dataclass(slots=True)
class _Done:
    """One compressed chunk, and what became known while it was made."""

    blob: bytes
    chunk: Chunk
    members: list[Member] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    read: int = 0

    @classmethod
    def of(cls, blob: bytes, size: int, *, continues: bool = False, read: int = 0) -> _Done:
        return cls(blob, Chunk(len(blob), size, continues), read=read)


_Job = Callable[[], _Done]


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
        self._most = 4 * threads + 2
        self._total = total
        self._reporter = reporter
        self._read = 0
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
        pending: deque[tuple[Future[_Done], int]] = deque()
        in_flight = 0
        for size, job in self._jobs(entries):
            pending.append((self._pool.submit(job), size))
            in_flight += size
            while in_flight > _IN_FLIGHT or len(pending) > self._most:
                in_flight -= self._collect(*pending.popleft())
        while pending:
            self._collect(*pending.popleft())

    def _collect(self, future: Future[_Done], size: int) -> int:
        done = future.result()
        self.members += done.members
        self.findings.merge(done.findings)
        if done.blob:
            self.write(done.blob)
            self.chunks.append(done.chunk)
        self._read = min(self._read + done.read, self._total)
        self._reporter(Event("progress", "pack", done=self._read, total=self._total, unit="bytes"))
        return size

    def _jobs(self, entries: Iterable[Entry]) -> Iterator[tuple[int, _Job]]:
        for unit in _units(entries):
            size = sum(entry.size for entry in unit)
            if len(unit) == 1 and size > _WHOLE:
                yield from self._large(unit[0])
            else:
                yield size, lambda unit=unit: self._batch(unit)  # type: ignore[misc]

    def _batch(self, entries: Sequence[Entry]) -> _Done:
        findings = Findings()
        parts: list[bytes] = []
        members: list[Member] = []
        source: tuple[str, bytes, int] = ("", b"", 0)
        read = 0
        for entry in entries:
            if entry.link is not None:
                parts.append(tarfmt.header(entry.path, tarfmt.LINK, mode=0o777, mtime=self._epoch, link=entry.link))
                members.append(Member(entry.path, 0o777, link=entry.link))
                continue
            if entry.directory:
                parts.append(tarfmt.header(entry.path, tarfmt.DIRECTORY, mode=0o755, mtime=self._epoch))
                members.append(Member(entry.path, 0o755, directory=True))
                continue
            data = entry.data if entry.data is not None else read_whole(entry)
            read += len(data)
            if entry.source is None:
                content: Content | None = Content(data, changed=True)
            elif entry.rule == "pyc":
                content = self._transformer.content(entry, data, _source_for(entry, source), findings)
            else:
                source = (entry.path, data, entry.mtime)
                content = self._transformer.content(entry, data, None, findings)
            if content is None:
                findings.dropped.add(entry.path)
                continue
            data = content.data
            size = len(data)
            parts.append(tarfmt.header(entry.path, tarfmt.FILE, mode=entry.mode, size=size, mtime=self._epoch))
            parts.append(data)
            parts.append(bytes(-size % 512))
            members.append(_member(entry, content, hashlib.sha256(data).hexdigest()))
        blob = b"".join(parts)
        done = _Done.of(self._compress(blob) if blob else b"", len(blob), read=read)
        done.members, done.findings = members, findings
        return done

    def _large(self, entry: Entry) -> Iterator[tuple[int, _Job]]:
        """Give the jobs for a file of many chunks: streamed when its content stays as it is, else from memory."""
        if entry.data is not None:
            yield from self._from_memory(entry, Content(entry.data, changed=True), Findings())
            return
        findings = Findings()
        source = _Source(entry)
        if not self._transformer.must_load(entry, source.read, findings):
            yield from self._streamed(entry, source, findings)
            return
        source.close()
        beside = source_of(entry.path)
        made_from = None if beside is None else _load_source(entry, beside)
        content = self._transformer.content(entry, read_whole(entry), made_from, findings)
        if content is None:
            self.findings.dropped.add(entry.path)
        else:
            yield from self._from_memory(entry, content, findings)

    def _from_memory(self, entry: Entry, content: Content, findings: Findings) -> Iterator[tuple[int, _Job]]:
        size = len(content.data)
        head = tarfmt.header(entry.path, tarfmt.FILE, mode=entry.mode, size=size, mtime=self._epoch)
        member = _member(entry, content, hashlib.sha256(content.data).hexdigest())
        view = memoryview(content.data)
        for first, at, end in _cuts(len(head), size):
            last = end == size

            def job(first: bool = first, at: int = at, end: int = end, last: bool = last) -> _Done:
                tail = tarfmt.padding(size) if last else b""
                blob = b"".join((head if first else b"", view[at:end], tail))
                done = _Done.of(self._compress(blob), len(blob), continues=not first, read=end - at)
                if last:
                    done.members, done.findings = [member], findings
                return done

            yield end - at, job

    def _streamed(self, entry: Entry, source: _Source, findings: Findings) -> Iterator[tuple[int, _Job]]:
        head = tarfmt.header(entry.path, tarfmt.FILE, mode=entry.mode, size=entry.size, mtime=self._epoch)
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
            ) -> _Done:
                last = end == entry.size
                try:
                    piece = source.read(at, end - at + overlap)
                    data = memoryview(piece)[: end - at]
                    if len(piece) != min(end - at + overlap, entry.size - at):
                        raise changed_meanwhile(entry)
                    # Pieces begin in order, so the one before is at work or done: this wait is short and ends.
                    if before is not None:
                        before.wait()
                    source.hash.update(data)
                    if self._transformer.leaks(piece):
                        source.leaks = True
                finally:
                    hashed.set()
                blob = b"".join((head if first else b"", data, tarfmt.padding(entry.size) if last else b""))
                done = _Done.of(self._compress(blob), len(blob), continues=not first, read=end - at)
                if last:
                    source.close()
                    if source.leaks:
                        findings.leaks.append(entry.path)
                    done.members = [_member(entry, Content(b""), source.hash.hexdigest(), size=entry.size)]
                    done.findings = findings
                return done

            before = hashed
            yield end - at, job


class _Source:
    """A large file that is read in pieces by several threads."""

    def __init__(self, entry: Entry) -> None:
        self.hash = hashlib.sha256()
        self.leaks = False
        self._entry = entry
        self._fd = _open(entry)

    def read(self, offset: int, size: int) -> bytes:
        try:
            data = os.pread(self._fd, size, offset)
            while data and len(data) < size:
                more = os.pread(self._fd, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise cannot_read(self._entry.path, error) from error
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = close


def read_whole(entry: Entry) -> bytes:
    """Return a file's content. Raises BuildError when it cannot be read or has changed its size."""
    fd = _open(entry)
    try:
        data = os.read(fd, entry.size + 1)
        while len(data) < entry.size:
            more = os.read(fd, entry.size + 1 - len(data))
            if not more:
                break
            data += more
    except OSError as error:
        raise cannot_read(entry.path, error) from error
    finally:
        os.close(fd)
    if len(data) != entry.size:
        raise changed_meanwhile(entry)
    return data


def changed_meanwhile(entry: Entry) -> BuildError:
    """Return the error that names a file that something else changed while it was packed."""
    return BuildError(
        f"{entry.path}: changed while it was packed",
        hint="let nothing write into the environment while it is packed, then try again",
        context={"path": entry.path},
    )


def _open(entry: Entry) -> int:
    assert entry.source is not None
    try:
        return os.open(entry.source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise changed_meanwhile(entry) from error
        raise cannot_read(entry.path, error) from error


def _units(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Gather entries into pieces of work; a source and what was compiled from it stay together."""
    batch: list[Entry] = []
    size = 0
    group: tuple[int, str] | None = None
    for entry in entries:
        if batch:
            large = entry.size > _BATCH
            ends = entry.group != group and (size >= _BATCH // 4 or entry.group[0] != (group or (0,))[0])
            together = entry.rule == "pyc" and source_of(entry.path) == batch[-1].path and not large
            if large or ends or (size >= _BATCH and not together):
                yield batch
                batch, size = [], 0
        batch.append(entry)
        size += entry.size + 1024
        group = entry.group
        if entry.size > _BATCH:
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


def _member(entry: Entry, content: Content, sha256: str, *, size: int | None = None) -> Member:
    return Member(
        entry.path,
        entry.mode,
        size=len(content.data) if size is None else size,
        sha256=sha256,
        text=content.data if content.text else None,
        slots=content.slots,
        changed=content.changed,
    )


def _source_for(entry: Entry, last: tuple[str, bytes, int]) -> tuple[bytes, int] | None:
    path = source_of(entry.path)
    if path is None:
        return None
    return last[1:] if last[0] == path else _load_source(entry, path)


def _load_source(entry: Entry, path: str) -> tuple[bytes, int] | None:
    """Return the content and time of the source at ``path``, found by where the compiled file itself lies."""
    if entry.source is None or not entry.source.endswith(entry.path):
        return None
    name = entry.source[: -len(entry.path)] + path
    try:
        with open(name, "rb") as stream:
            return stream.read(), int(os.fstat(stream.fileno()).st_mtime)
    except OSError:
        return None
