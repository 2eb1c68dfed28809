"""Compressed chunks that were made before: the ``blocks`` part of the builder's cache.

One file for each, ``blocks/<2 hex>/<64 hex key>``, never changed; deleting any of them, at any time, costs time only. It is
``PONCHOB1``, three little-endian 32-bit numbers (compressed size, size of the tar, CRC-32 of the compressed bytes), the
CRC-32 of these 20 bytes, and the compressed bytes. The key says all that they depend on: every member's name, mode,
size and sha256, the codec, its version and level, the processor, and the time of all members.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poncho.pack.buffers import Buffers, Lease
from poncho.pack.compress import Bytes, crc32
from poncho.pack.copying import HEAD, HEAD_SIZE, MAGIC, check, path_of, touch
from poncho.pack.layout import CHUNK_LIMIT
from poncho.store import BuilderCache

__all__ = ["BUCKET", "Block", "Blocks", "check"]

BUCKET = "blocks"
# What did not become smaller is a little larger than it was.
_ROOM = CHUNK_LIMIT + (1 << 16)


@dataclass(frozen=True, slots=True)
class Block:
    """A chunk from the cache: ``packed`` is a view into ``lease``; ``size`` is that of the tar, ``crc`` of ``packed``."""

    packed: memoryview
    size: int
    crc: int
    lease: Lease


class Blocks:
    """The blocks of one codec. Any number of builders may read and publish at the same time, without a lock."""

    def __init__(self, root: Path, codec: str, buffers: Buffers) -> None:
        self.root = root
        self._root = os.fspath(root)
        self._salt = f"poncho-block 1\n{codec}\n".encode()
        self._buffers = buffers

    @classmethod
    def within(cls, cache: BuilderCache, codec: str, buffers: Buffers) -> Blocks:
        """Return the part of the builder's cache that holds blocks. Raises StoreError when it cannot be made."""
        return cls(cache.directory(BUCKET), codec, buffers)

    def key(self, lines: Sequence[bytes], begin: int = 0, end: int = 0) -> str:
        """Return the key of a chunk: of whole members, or of the tar bytes from ``begin`` to ``end`` of one.

        ``lines`` are the members' lines of ``poncho/contents``, which say all but their bytes.
        """
        return hashlib.sha256(b"%b%d %d\n%b" % (self._salt, begin, end, b"".join(lines))).hexdigest()

    def has(self, key: str) -> bool:
        """Tell whether there is such a block, sound or not."""
        return os.access(self._path(key), os.R_OK)

    def get(self, key: str) -> Block | None:
        """Return the block, or None when there is no whole and sound one."""
        try:
            stream = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            info = os.fstat(stream)
            if not HEAD_SIZE < info.st_size <= _ROOM:
                return None
            lease = self._buffers.take(info.st_size + 1)
            found = os.readv(stream, [lease.view])
            touch(stream, info)
        except OSError:
            return None
        finally:
            os.close(stream)
        facts = check(lease.view[:found])
        return None if facts is None else Block(lease.view[HEAD_SIZE:found], *facts, lease)

    def put(self, key: str, parts: Sequence[Bytes], size: int, crc: int) -> None:
        """Publish a block; ``crc`` is that of ``parts`` together. A cache that cannot be written is no error.

        Not synced to the disk: after a crash of the machine the checksum tells a torn block from a whole one.
        """
        head = HEAD.pack(MAGIC, sum(map(len, parts)), size, crc)
        target = self._path(key)
        private = f"{target}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            try:
                stream = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                stream = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                written = os.writev(stream, [head, crc32(head).to_bytes(4, "little"), *parts])
            finally:
                os.close(stream)
            if written == HEAD_SIZE + sum(map(len, parts)):
                os.rename(private, target)
            else:
                os.unlink(private)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(private)

    def _path(self, key: str) -> str:
        return path_of(self._root, key)
