"""What files were found to hold when they were read before: the ``looks`` part of the builder's cache.

A file is told by its path, device, inode, size, mode, and times of change. The time of change of the inode (ctime) is in
it: no program can set that, so a file that was written to is read again even when its mtime was put back. See
``docs/adr/0011-what-is-not-read-again.md``.

An entry is one file, ``looks/<2 hex>/<64 hex key>``: the sha256 of what follows, then lines for the files of a segment, in
order. The first says what became of each of them, in a letter; the second what their ELF files need of the node and how many
do so; then there are the sizes of those that are packed, what room they take in the tar, and their lines of
``poncho/contents``. Never changed; deleting any of them, at any time, costs time only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from poncho.pack.copying import path_of, touch
from poncho.pack.elf import Elf
from poncho.pack.model import Entry, Findings, Look
from poncho.pack.runs import AGAIN, CHANGED, CHANGED_LEAKS, DROPPED, LEAKS, OTHER, PLAIN, Run, room_for
from poncho.store import BuilderCache

BUCKET = "looks"
_DIGEST = 32
# Clocks of file systems tick, and a file may be written to again within one tick: what changed just now is not kept. Most tick
# every few milliseconds; one whose times are whole seconds may do so every two.
_RACY_NS = 100_000_000
_RACY_SECONDS_NS = 2_000_000_000
_CUT = 255  # about so many files are read again when one of them has changed


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of some entries in a row: ``pieces`` are they, in order, in runs that need no look and lists that do.

    ``findings`` go with the runs. ``key``: where to publish what is seen of the ``signed`` entries (by id), None: nowhere;
    ``count`` entries are looked at.
    """

    pieces: Sequence[Run | Sequence[Entry]]
    count: int
    findings: Findings | None = None
    key: str | None = None
    signed: frozenset[int] = frozenset()


class Known:
    """Remembers looks. Any number of builders may read and publish at the same time, without a lock.

    ``context`` says what else a look depends on.
    """

    def __init__(self, root: Path, context: str) -> None:
        self._root = os.fspath(root)
        self._salt = f"poncho-look 3\n{context}\n"
        self._began = time.time_ns()

    @classmethod
    def within(cls, cache: BuilderCache, context: str) -> Known:
        """Return the part of the builder's cache that holds looks. Raises StoreError when it cannot be made."""
        return cls(cache.directory(BUCKET), context)

    def recall(self, segment: list[Entry]) -> Segment:
        """Return what is known of a segment, all of one group."""
        signed: list[Entry] = []
        texts = [self._salt]
        sources = set()
        for entry in segment:
            if not entry.stamp or entry.source is None or entry.data is not None or entry.cut is not None:
                continue
            path, rule = entry.path, entry.rule
            if rule == "pyc":
                if entry.compiled_from is not None or entry.compiled not in sources:
                    continue
            else:
                sources.add(path)
            signed.append(entry)
            texts.append(f"{path}\0{entry.stamp} {entry.mode} {rule} {entry.slot}\n")
        if not signed:
            return Segment([segment], len(segment))
        key = hashlib.sha256("".join(texts).encode("utf-8", "surrogateescape")).hexdigest()
        data = self._get(key)
        if data is None:
            return Segment([segment], len(segment), key=key, signed=frozenset(map(id, signed)))
        return _recalled(segment, signed, data)

    def learn(self, segment: Segment, looks: Iterable[tuple[Entry, Look]]) -> None:
        """Publish what was seen of a segment's files. A cache that cannot be written is no error."""
        if segment.key is None:
            return
        seen = []
        for entry, look in looks:
            if id(entry) not in segment.signed:
                continue
            if _is_racy(max(map(int, entry.stamp.split()[-2:])), self._began):
                return
            seen.append(look)
        self._put(segment.key, _page(seen))

    def _get(self, key: str) -> bytes | None:
        try:
            with open(self._path(key), "rb", buffering=0) as stream:
                data = stream.read()
                touch(stream.fileno(), os.fstat(stream.fileno()))
        except OSError:
            return None
        return data[_DIGEST:] if hashlib.sha256(memoryview(data)[_DIGEST:]).digest() == data[:_DIGEST] else None

    def _put(self, key: str, data: bytes) -> None:
        target = Path(self._path(key))
        private = target.with_name(f"{key}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            target.parent.mkdir(exist_ok=True)
            private.write_bytes(hashlib.sha256(data).digest() + data)
            private.replace(target)
        except OSError:
            with contextlib.suppress(OSError):
                private.unlink()

    def _path(self, key: str) -> str:
        return path_of(self._root, key)


def segments(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut entries where a group ends, and inside of it by their names, so that one more file moves only one cut."""
    run: list[Entry] = []
    group: tuple[int, str] = (-1, "")
    crc32 = zlib.crc32
    for entry in entries:
        path = entry.path
        # Most have the very same group as the one before; a compiled file stays with its source.
        if (entry.group is not group and entry.group != group) or (
            entry.rule != "pyc" and not crc32(path.encode() if path.isascii() else os.fsencode(path)) & _CUT
        ):
            if run:
                yield run
                run = []
            group = entry.group
        run.append(entry)
    if run:
        yield run


def _is_racy(changed: int, began: int) -> bool:
    """Tell whether a change after the reading, which begins at ``began``, may bear the same time as the last one before."""
    return changed >= began - (_RACY_NS if changed % 1_000_000_000 else _RACY_SECONDS_NS)


def _page(looks: Iterable[Look]) -> bytes:
    """Return what is kept of looks, as the head of this module says."""
    states, sizes, rooms, lines = bytearray(), [], [], []
    elves: Counter[tuple[str, str]] = Counter()
    for look in looks:
        member = look.member
        states += _state(look)
        if member is None or look.again:
            continue
        sizes.append(str(member.size))
        rooms.append(str(room_for(member.path, member.size)))
        lines.append(member.line[:-1])
        if look.elf is not None and look.elf.platform:
            elves[look.elf.platform, ".".join(map(str, look.elf.glibc))] += 1
    needs = "\t".join(f"{platform} {glibc} {count}" for (platform, glibc), count in sorted(elves.items()))
    head = "\n".join((needs, " ".join(sizes), " ".join(rooms)))
    return b"\n".join((bytes(states), head.encode(), *lines))


def _state(look: Look) -> bytes:
    if look.again:
        return AGAIN
    if look.member is None:
        return DROPPED
    if look.leaks:
        return CHANGED_LEAKS if look.member.changed else LEAKS
    return CHANGED if look.member.changed else PLAIN


def _recalled(segment: list[Entry], signed: list[Entry], data: bytes) -> Segment:
    """Put entries and what is known of them together."""
    states, elves, sized, roomy, *lines = data.split(b"\n")
    sizes, rooms = list(map(int, sized.split())), list(map(int, roomy.split()))
    findings = Findings()
    for needs in elves.decode().split("\t") if elves else ():
        platform, glibc, files = needs.split(" ")
        findings.count(Elf(platform, tuple(map(int, glibc.split("."))) if glibc else ()), int(files))
    if LEAKS in states or CHANGED_LEAKS in states:
        leaking = LEAKS + CHANGED_LEAKS
        findings.leaks += (entry.path for entry, state in zip(signed, states, strict=True) if state in leaking)
    if len(signed) == len(segment) and AGAIN not in states and DROPPED not in states:
        return Segment([Run(segment, lines, sizes, rooms, states)], 0, findings)
    pieces: list[Run | list[Entry]] = []
    count = done = 0
    by_id = {id(entry): states[at : at + 1] for at, entry in enumerate(signed)}
    for entry in segment:
        state = by_id.get(id(entry), AGAIN if entry.source is not None or entry.data is not None else OTHER)
        last = pieces[-1] if pieces else None
        if state == DROPPED:
            findings.dropped.add(entry.path)
        elif state == AGAIN:
            count += 1
            if isinstance(last, list):
                last.append(entry)
            else:
                pieces.append([entry])
        else:
            if not isinstance(last, Run):
                last = Run()
                pieces.append(last)
            if state == OTHER:
                last.add_unread(entry)
                continue
            last.entries.append(entry)
            last.lines.append(lines[done])
            last.sizes.append(sizes[done])
            last.rooms.append(rooms[done])
            last.states += state
            done += 1
    return Segment(pieces, count, findings)
