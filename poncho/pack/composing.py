"""Chunks are composed: small files are gathered, large ones cut. Where a chunk ends goes by what is packed alone.

A chunk of small files has about a mebibyte, and ends where a package ends once it is a quarter full: then a package that
changes moves no boundary of another one. Nothing depends on what was read, or on where the prefix lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from poncho.pack.large import LARGE, LargeFile
from poncho.pack.layout import MIB
from poncho.pack.looking import Item, Looker
from poncho.pack.runs import Run

BATCH = MIB


@dataclass(frozen=True, slots=True)
class Span:
    """Members of a run, from ``begin`` to before ``end``."""

    run: Run
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole members that make one chunk, and the ``size`` of its tar."""

    parts: Sequence[Item | Span]
    size: int

    @property
    def known(self) -> bool:
        """Tell whether nothing of it is in memory."""
        return all(isinstance(part, Span) for part in self.parts)

    def text(self) -> bytes:
        """Return the lines of ``poncho/contents``, which say all but the members' bytes."""
        return b"".join(
            b"\n".join((*part.run.lines[part.begin : part.end], b"")) if isinstance(part, Span) else part.member.line
            for part in self.parts
        )

    def looked(self) -> list[Item]:
        """Return the members that were looked at."""
        return [part for part in self.parts if isinstance(part, Item)]

    def items(self, looker: Looker) -> list[Item]:
        """Return the members as values."""
        found: list[Item] = []
        for part in self.parts:
            if isinstance(part, Span):
                found += (item_of(part.run, at, looker) for at in range(part.begin, part.end))
            else:
                found.append(part)
        return found


def item_of(run: Run, at: int, looker: Looker) -> Item:
    """Return one known member as a value."""
    entry, member = run.entries[at], run.member(at)
    large = member.size > LARGE and member.size == entry.size
    return Item(entry, member, run.rooms[at], file=LargeFile(entry, looker.head(entry)) if large else None)


class Composer:
    """Puts members into chunks and hands those on: ``whole`` gets batches, ``large`` gets what is cut into several."""

    def __init__(self, looker: Looker, whole: Callable[[Batch], None], large: Callable[[Item], None]) -> None:
        self._looker = looker
        self._whole = whole
        self._large = large
        self._open: list[Item | Span] = []
        self._size = 0
        self._group: tuple[int, str] = (-1, "")

    def place(self, items: Iterable[Item]) -> None:
        """Place members that were looked at."""
        for item in items:
            if item.member.size > LARGE:
                self.close()
                self._large(item)
            else:
                self._turn_to(item.entry.group)
                self._open.append(item)
                self._size += item.size

    def place_run(self, run: Run) -> None:
        """Place members that are known."""
        self._turn_to(run.entries[0].group)
        begin, size = 0, self._size
        for at, (content, room) in enumerate(zip(run.sizes, run.rooms, strict=True)):
            if content > LARGE or size >= BATCH:
                self._hold(run, begin, at, size)
                self.close()
                begin, size = at, 0
            if content > LARGE:
                self._large(item_of(run, at, self._looker))
                begin = at + 1
            else:
                size += room
        self._hold(run, begin, len(run.entries), size)

    def close(self) -> None:
        """End the chunk that is open."""
        if self._open:
            batch = Batch(self._open, self._size)
            self._open, self._size = [], 0
            self._whole(batch)

    def _hold(self, run: Run, begin: int, end: int, size: int) -> None:
        if end > begin:
            self._open.append(Span(run, begin, end))
            self._size = size

    def _turn_to(self, group: tuple[int, str]) -> None:
        if self._open:
            full = self._size >= BATCH
            if full or (group is not self._group and group != self._group and self._ends_before(group)):
                self.close()
        self._group = group

    def _ends_before(self, group: tuple[int, str]) -> bool:
        return self._size >= BATCH // 4 or group[0] != self._group[0]
