"""Where everything leaves for the file: one thread that writes chunks in their order, whoever makes them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

from poncho.pack.compress import Bytes
from poncho.pack.copier import Copier, Copy
from poncho.pack.layout import MIB, Chunk
from poncho.pack.model import Member
from poncho.pack.sink import Packed
from poncho.store.writeback import start_writeback

_WRITEBACK = 16 * MIB
_IN_FLIGHT = 24 * MIB
_COPIES = 48  # so many are handed over at once


@dataclass(frozen=True, slots=True)
class _Copies:
    copies: Sequence[Copy]


_Work: TypeAlias = "Future[Packed] | _Copies | Sequence[Bytes]"


class Outlet:
    """Writes to ``stream`` (None: nothing is written). ``chunks`` and ``position``, the file's size, hold after ``drain``.

    ``took`` is called with what became known of a member only when it was packed, from the thread that writes. ``read``
    counts the bytes of content that were read only then. ``count`` is that of all chunks that it was given.
    """

    def __init__(self, stream: int | None, took: Callable[[Member, bool], None], copier: Copier | None) -> None:
        self.chunks: list[Chunk] = []
        self.count = self.position = self.read = 0
        self._stream = stream
        self._took = took
        self._copier = copier
        # A script may stand before the archive.
        self._base = 0 if stream is None or copier is None else os.lseek(stream, 0, os.SEEK_CUR)
        self._copies: list[Copy] = []
        self._copying: list[Copy] = []
        self._dirty = self._in_flight = self._waiting = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._queue: SimpleQueue[tuple[_Work, int] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="poncho-write", daemon=True)
        self._thread.start()

    def write(self, parts: Sequence[Bytes]) -> None:
        """Append bytes as they are. To a directory, nothing is added."""
        self._put(parts)

    def chunk(self, making: Future[Packed], size: int) -> None:
        """Append a chunk. ``size`` is the memory that it takes until then: waits when that is too much in all.

        Raises the error of a chunk before.
        """
        self.count += 1
        self._put(making, size)

    def copy(self, copy: Copy) -> None:
        """Append a chunk from the cache."""
        self.count += 1
        self._copies.append(copy)
        if len(self._copies) >= _COPIES:
            self._hand_over()

    def drain(self) -> None:
        """Wait until all is written. Raises the error of any of it."""
        self._put(())  # behind all copies
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self._error is not None)
        self._check()

    def close(self) -> None:
        """Stop; what has not begun is not written."""
        if self._error is None:
            self._error = RuntimeError("closed")
        self._queue.put(None)
        self._thread.join()
        if self._copier is not None:
            self._copier.close()

    def _hand_over(self) -> None:
        copies, self._copies = self._copies, []
        if copies:
            self._enqueue(_Copies(copies), 0)

    def _put(self, work: _Work, size: int = 0) -> None:
        self._hand_over()
        self._enqueue(work, size)

    def _enqueue(self, work: _Work, size: int) -> None:
        with self._changed:
            self._waiting += 1
            self._in_flight += size
            self._queue.put((work, size))
            if self._in_flight > _IN_FLIGHT:
                self._changed.wait_for(lambda: self._in_flight <= _IN_FLIGHT or self._error is not None)
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            work, size = item
            if self._error is None:
                try:
                    self._do(work)
                except BaseException as error:  # whatever it is: the other thread raises it
                    self._error = error
            del item, work
            with self._changed:
                self._waiting -= 1
                self._in_flight -= size
                if not self._waiting or size or self._error is not None:
                    self._changed.notify()

    def _do(self, work: _Work) -> None:
        if isinstance(work, _Copies):
            if self._copier is not None:
                self._copier.send(work.copies, None if self._copying else self._base + self.position)
            self._copying += work.copies
            return
        self._finish_copies()
        if isinstance(work, Future):
            self._add(work.result())
        else:
            self._write(work)

    def _finish_copies(self) -> None:
        """Wait for what is being copied; make what cannot be: its block is damaged or gone, or nobody copies."""
        copies, self._copying = self._copying, []
        sent = len(copies)
        while copies:
            done, useful = 0, False
            if self._copier is not None:
                chunks, useful = self._copier.finish(copies[:sent])
                self.chunks += chunks
                self._move(sum(chunk.packed for chunk in chunks))
                done = len(chunks)
            # Only the first that was not copied is known to be damaged.
            last = min(done + 1, sent) if useful else len(copies)
            for copy in copies[done:last]:
                self._add(copy.make())
            copies = copies[last:]
            sent = _COPIES
            if copies and self._copier is not None:
                self._copier.send(copies[:sent], self._base + self.position)

    def _add(self, done: Packed) -> None:
        if done.member is not None:
            self._took(done.member, done.leaks)
        self._write(done.parts)
        self.chunks.append(done.chunk)
        self.read += done.read

    def _write(self, parts: Sequence[Bytes]) -> None:
        size = sum(map(len, parts))
        if self._stream is None or not size:
            return
        # At its place: another process may be writing to the file too. A pipe has no places, and nobody copies into it.
        at = self._base + self.position
        written = os.writev(self._stream, parts) if self._copier is None else os.pwritev(self._stream, parts, at)
        view = memoryview(b"".join(parts) if written < size else b"")[written:]
        while view:
            at += written
            written = os.write(self._stream, view) if self._copier is None else os.pwrite(self._stream, view, at)
            view = view[written:]
        self._move(size)

    def _move(self, size: int) -> None:
        self.position += size
        self._dirty += size
        if self._stream is not None and self._dirty >= _WRITEBACK:
            start_writeback(self._stream, 0, 0)
            self._dirty = 0
