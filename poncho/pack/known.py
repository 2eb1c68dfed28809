"""What files were found to hold when they were read before: the ``looks`` part of the builder's cache.

A file is told by its path, device, inode, size, mode, and times of change. The time of change of the inode (ctime) is in
it: no program can set that, so a file that was written to is read again even when its mtime was put back. See
``docs/adr/0011-what-is-not-read-again.md``.

An entry is one file, ``looks/<2 hex>/<64 hex key>``: the sha256 of what follows, then a line for each file of a
segment, in order: what became of it, the platform and glibc of an ELF file, and its line of ``poncho/contents``; separated
by tabs. Never changed; deleting any of them, at any time, costs time only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from poncho.pack.elf import Elf
from poncho.pack.model import Entry, Look, Member
from poncho.pack.pyc import source_of
from poncho.store import BuilderCache

BUCKET = "looks"
_DIGEST = 32
# Clocks of file systems tick, and a file may be written to again within one tick: what changed just now is not kept. Most tick
# every few milliseconds; one whose times are whole seconds may do so every two.
_RACY_NS = 100_000_000
_RACY_SECONDS_NS = 2_000_000_000
_OFTEN = 3600.0
_CUT = 255  # about so many files are read again when one of them has changed


class Known:
    """Remembers looks. Any number of builders may read and publish at the same time, without a lock.

    ``context`` says what else a look depends on.
    """

    def __init__(self, root: Path, context: str) -> None:
        self._root = root
        self._salt = f"poncho-look 2\n{context}\n"
        self._began = time.time_ns()

    @classmethod
    def within(cls, cache: BuilderCache, context: str) -> Known:
        """Return the part of the builder's cache that holds looks. Raises StoreError when it cannot be made."""
        return cls(cache.directory(BUCKET), context)

    def recall(self, segment: Sequence[Entry]) -> Segment:
        """Return what is known of a segment; its files' ``known`` is set where they need not be read."""
        signed: list[Entry] = []
        texts = [self._salt]
        sources = set()
        for entry in segment:
            if entry.source is None or entry.data is not None or entry.cut is not None:
                continue
            if entry.rule == "pyc":
                if entry.compiled_from is not None or source_of(entry.path) not in sources:
                    continue
            else:
                sources.add(entry.path)
            text = _signature(entry)
            if text is not None:
                signed.append(entry)
                texts.append(text)
        if not signed:
            return Segment(None, len(segment))
        key = hashlib.sha256("".join(texts).encode("utf-8", "surrogateescape")).hexdigest()
        lines = self._get(key)
        if lines is None or len(lines) != len(signed):
            return Segment(key, len(segment), frozenset(map(id, signed)))
        for entry, line in zip(signed, lines, strict=True):
            entry.known = _parse(entry, line)
        return Segment(None, len(segment))

    def learn(self, segment: Segment, looks: Iterable[tuple[Entry, Look]]) -> None:
        """Publish what was seen of a segment's files. A cache that cannot be written is no error."""
        if segment.key is None:
            return
        lines = []
        for entry, look in looks:
            if id(entry) not in segment.signed:
                continue
            info = entry.info
            assert info is not None
            if _is_racy(max(info.st_ctime_ns, info.st_mtime_ns), self._began):
                return
            lines.append(_line(look))
        self._put(segment.key, b"".join(lines))

    def _get(self, key: str) -> list[bytes] | None:
        path = self._root / key[:2] / key
        try:
            with open(path, "rb", buffering=0) as stream:
                data = stream.read()
                if time.time() - os.fstat(stream.fileno()).st_mtime > _OFTEN:
                    with contextlib.suppress(OSError):
                        os.utime(stream.fileno())
        except OSError:
            return None
        if hashlib.sha256(memoryview(data)[_DIGEST:]).digest() != data[:_DIGEST]:
            return None
        return data[_DIGEST:-1].split(b"\n")

    def _put(self, key: str, data: bytes) -> None:
        target = self._root / key[:2] / key
        private = target.with_name(f"{key}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            target.parent.mkdir(exist_ok=True)
            private.write_bytes(hashlib.sha256(data).digest() + data)
            private.replace(target)
        except OSError:
            with contextlib.suppress(OSError):
                private.unlink()


@dataclass(frozen=True, slots=True)
class Segment:
    """``count`` entries in a row. ``key``: where to publish what is seen of the ``signed`` ones (by id), None: nowhere."""

    key: str | None
    count: int
    signed: frozenset[int] = frozenset()


def segments(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut entries where a group ends, and inside of it by their names, so that one more file moves only one cut."""
    run: list[Entry] = []
    for entry in entries:
        if run and (
            entry.group != run[-1].group or (entry.rule != "pyc" and not zlib.crc32(os.fsencode(entry.path)) & _CUT)
        ):
            yield run
            run = []
        run.append(entry)
    if run:
        yield run


def _signature(entry: Entry) -> str | None:
    info = entry.info
    if info is None:
        return None
    return (
        f"{entry.path}\0{info.st_dev} {info.st_ino} {info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}"
        f" {entry.mode} {entry.rule} {entry.slot}\n"
    )


def _is_racy(changed: int, began: int) -> bool:
    """Tell whether a change after the reading, which begins at ``began``, may bear the same time as the last one before."""
    return changed >= began - (_RACY_NS if changed % 1_000_000_000 else _RACY_SECONDS_NS)


def _line(look: Look) -> bytes:
    if look.again:
        return b"?\n"
    if look.member is None:
        return b"x\n"
    flag = (b"C" if look.leaks else b"c") if look.member.changed else (b"E" if look.leaks else b"e")
    platform, glibc = (look.elf.platform, look.elf.glibc) if look.elf is not None else ("", ())
    return b"%b\t%b\t%b\t%b" % (flag, platform.encode(), ".".join(map(str, glibc)).encode(), look.member.line)


def _parse(entry: Entry, line: bytes) -> Look | None:
    if line == b"?":
        return None
    if line == b"x":
        return Look(None)
    flag, platform, glibc, listed = line.split(b"\t", 3)
    sha256, _, size, _ = listed.split(b"\t", 3)
    member = Member(entry.path, entry.mode, int(size), sha256.decode(), changed=flag in b"cC", line=listed + b"\n")
    found = Elf(platform.decode(), tuple(map(int, glibc.split(b"."))) if glibc else ()) if platform else None
    return Look(member, False, found, flag in b"CE")
