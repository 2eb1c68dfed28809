"""Where chunks of tar go: compressed into an archive. Jobs for threads; ``poncho.pack.tree`` has the other kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from poncho.pack.blocks import Blocks
from poncho.pack.buffers import Buffers
from poncho.pack.composing import Batch
from poncho.pack.compress import Bytes, PartsCompressor, crc32
from poncho.pack.layout import Chunk
from poncho.pack.looking import Item, Looker
from poncho.pack.model import Member

# Gives tar bytes, and what they lie in: that must live as long as they are needed.
Tar: TypeAlias = "Callable[[], tuple[memoryview, object]]"


@dataclass(slots=True)
class Packed:
    """One chunk as it goes into the archive, in parts; ``owner`` is what they lie in. ``member``: what is known only now."""

    parts: Sequence[Bytes]
    chunk: Chunk
    owner: object = None
    member: Member | None = None
    leaks: bool = False
    read: int = 0


class Sink(Protocol):
    """Takes chunks, from any thread, in any order."""

    def stored(self, text: bytes, begin: int, end: int) -> str | None:
        """Return the key of a chunk that is to be had without its tar: of members with these lines, or of a part of one."""
        ...

    def whole(self, batch: Batch, tar: Tar) -> Packed:
        """Take a chunk of whole members."""
        ...

    def part(self, member: Member, size: int, begin: int, end: int, tar: Tar) -> Packed:
        """Take the tar bytes from ``begin`` to ``end`` of a member of ``size``; its sha256 may not be known yet."""
        ...


class Press:
    """Compresses chunks, or takes them from the cache where they were compressed before."""

    def __init__(self, compress: PartsCompressor, blocks: Blocks | None) -> None:
        self._compress = compress
        self._blocks = blocks

    def stored(self, text: bytes, begin: int, end: int) -> str | None:
        """Return the key of a chunk that was compressed before."""
        if self._blocks is None:
            return None
        key = self._blocks.key([text], begin, end)
        return key if self._blocks.has(key) else None

    def whole(self, batch: Batch, tar: Tar) -> Packed:
        """Compress a chunk of whole members."""
        return self._cached(batch.text(), 0, batch.size, tar)

    def part(self, member: Member, size: int, begin: int, end: int, tar: Tar) -> Packed:
        """Compress a part of a member."""
        return self._cached(member.line if member.sha256 else b"", begin, end, tar)

    def _cached(self, text: bytes, begin: int, end: int, tar: Tar) -> Packed:
        blocks = self._blocks
        if blocks is None or not text:
            return self._pack(*tar(), continues=begin > 0)
        key = blocks.key([text], begin, end)
        block = blocks.get(key)
        if block is not None and block.size == end - begin:
            chunk = Chunk(len(block.packed), block.size, block.crc, begin > 0)
            return Packed((block.packed,), chunk, block.lease)
        packed = self._pack(*tar(), continues=begin > 0)
        blocks.put(key, packed.parts, end - begin, packed.chunk.crc)
        return packed

    def _pack(self, data: memoryview, owner: object, *, continues: bool) -> Packed:
        parts = self._compress(data)
        crc = 0
        for part in parts:
            crc = crc32(part, crc)
        # What is not compressed lies in memory that the next one may get, until it is written.
        kept = owner if any(part is data for part in parts) else None
        return Packed(parts, Chunk(sum(map(len, parts)), len(data), crc, continues), kept)


class Gatherer:
    """Brings the tar bytes of members together, from memory and from files."""

    def __init__(self, looker: Looker, buffers: Buffers) -> None:
        self._looker = looker
        self._buffers = buffers

    def gather(self, batch: Batch) -> tuple[memoryview, object]:
        """Return the tar bytes of members; as they lie, when they lie side by side."""
        items = batch.items(self._looker)
        first = items[0]
        at, lease = first.start, first.lease
        for item in items:
            if item.lease is not lease or item.start != at:
                break
            at += item.size
        else:
            if lease is not None:
                return lease.view[first.start : at], lease
        whole = self._buffers.take(batch.size)
        at = 0
        for item in items:
            if item.loose is not None:
                whole.data[at : at + item.size] = item.loose
            elif item.lease is not None:
                whole.view[at : at + item.size] = item.lease.view[item.start : item.start + item.size]
            else:
                whole.data[at : at + item.size] = self._looker.load(item)
            at += item.size
        return whole.view[: batch.size], whole

    def cut(self, item: Item, begin: int, end: int) -> tuple[memoryview, object]:
        """Return a part of the tar bytes of one member."""
        if item.loose is not None:
            return memoryview(item.loose)[begin:end], item
        if item.lease is not None:
            return item.lease.view[item.start + begin : item.start + end], item.lease
        if item.file is None:
            return memoryview(self._looker.load(item))[begin:end], item
        lease = self._buffers.take(end - begin)
        view = lease.view[: end - begin]
        item.file.open()
        item.file.fill(view, begin)
        item.file.check(begin, view, item.member, self._buffers)
        return view, lease
