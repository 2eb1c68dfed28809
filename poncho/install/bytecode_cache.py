"""What the Python files of one directory compile to, kept by what they are: the bytecode part of the builder's cache.

An entry is one file, ``bytecode/<2 hex>/<64 hex key>``: the sha256 of what follows; then for each source file 4 bytes
(big endian) of name length, 4 of data length, the name, and the content of its .pyc; then 8 zero bytes. Entries are
never changed. Deleting any of them, at any time, costs time only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from poncho.store import BuilderCache

END = b"\0" * 8
_DIGEST = 32
_OFTEN = 3600.0

Compiled: TypeAlias = Mapping[bytes, memoryview]


@dataclass(frozen=True, slots=True)
class BytecodeCache:
    """Compiled directories by key. Any number of builders may read and publish at the same time."""

    root: Path

    @classmethod
    def within(cls, cache: BuilderCache) -> BytecodeCache:
        """Return the part of the builder's cache that holds bytecode. Raises StoreError when it cannot be made."""
        return cls(cache.directory("bytecode"))

    def get(self, key: str) -> Compiled | None:
        """Return the .pyc contents by source name, or None when there is no whole and sound entry."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            if time.time() - path.stat().st_mtime > _OFTEN:
                os.utime(path)  # a prune goes by when an entry was last of use
        except OSError:
            return None
        framed = memoryview(data)[_DIGEST:]
        if hashlib.sha256(framed).digest() != data[:_DIGEST]:
            return None
        found, whole = unframe(framed)
        return found if whole else None

    def put(self, key: str, framed: bytes) -> None:
        """Publish an entry; ``framed`` is what ``unframe`` reads. A cache that cannot be written is no error.

        Not synced to the disk: after a crash of the machine the digest tells a torn entry from a whole one.
        """
        target = self._path(key)
        private = target.with_name(f".{key}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            target.parent.mkdir(exist_ok=True)
            with private.open("xb") as stream:
                stream.write(hashlib.sha256(framed).digest())
                stream.write(framed)
            private.replace(target)
        except OSError:
            with contextlib.suppress(OSError):
                private.unlink()

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / key


def is_sound(path: Path) -> bool:
    """Tell whether a file begins with the sha256 of what follows, as entries do."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return len(data) > _DIGEST and hashlib.sha256(memoryview(data)[_DIGEST:]).digest() == data[:_DIGEST]


def directory_key(salt: bytes, relative: str, sources: Iterable[tuple[str, bytes]]) -> str:
    """Return the key of a directory: 64 hex digits.

    ``salt`` says all that the bytecode depends on beside the sources: the compiler and the interpreter. ``relative`` is
    the directory's path in the prefix, which is in the code objects. ``sources`` are (name, sha256 of the content),
    sorted: all of them matter to each of them, as they are compiled in one process.
    """
    digest = hashlib.sha256()
    for part in (salt, os.fsencode(relative)):
        digest.update(len(part).to_bytes(8, "big") + part)
    for name, content in sources:
        encoded = os.fsencode(name)
        digest.update(len(encoded).to_bytes(8, "big") + encoded + content)
    return digest.hexdigest()


def unframe(data: bytes | memoryview) -> tuple[Compiled, bool]:
    """Return the .pyc contents by source name, and whether ``data`` is complete; a torn last frame is left out."""
    view = memoryview(data)
    found: dict[bytes, memoryview] = {}
    at = 0
    while at + len(END) <= len(view):
        if view[at : at + len(END)] == END:
            return found, at + len(END) == len(view)
        middle = at + 8 + int.from_bytes(view[at : at + 4], "big")
        end = middle + int.from_bytes(view[at + 4 : at + 8], "big")
        if end > len(view):
            break
        found[bytes(view[at + 8 : middle])] = view[middle:end]
        at = end
    return found, False
