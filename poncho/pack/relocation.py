"""Relocation records: where the placeholder is, and what the bytes must be (``docs/format.md``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from poncho.errors import BuildError
from poncho.pack.elf import Reader
from poncho.pack.layout import PLACEHOLDER, PLACEHOLDER_BYTES
from poncho.pack.model import Member, Slot
from poncho.pack.search import contains, occurrences

_WINDOW = 4 << 20
_STRING = 1 << 20  # no C string with a path in it is longer


def binary_slots(data: bytes, needles: Sequence[bytes], length: int) -> tuple[Slot, ...] | None:
    """Return the slots of conda's binary placeholders in ``data``; None when a hit does not look like conda's work."""
    return file_slots(lambda offset, size: data[offset : offset + size], len(data), needles, length)


def file_slots(read: Reader, size: int, needles: Sequence[bytes], length: int) -> tuple[Slot, ...] | None:
    """Do the same for a file of ``size`` bytes, through ``read``, in memory of a few mebibytes.

    conda replaces a placeholder of ``length`` bytes inside a C string and adds as many NULs after the string as it
    became shorter (conda/core/portability.py). So n prefixes in one string leave n * (length - len(prefix)) NULs
    behind it.
    """
    slots: list[Slot] = []
    end = 0
    overlap = max(map(len, needles), default=0) + 1
    for at in range(0, size, _WINDOW):
        window = read(at, _WINDOW + overlap)
        if not any(contains(window, needle) for needle in needles):
            continue
        for offset, _ in occurrences(window, needles, anywhere=True):
            if offset >= _WINDOW or at + offset < end:
                continue
            slot = _slot_at(read, at + offset, needles, length)
            if slot is None:
                return None
            slots.append(slot)
            end = slot.offset + slot.size
    return tuple(slots)


def _slot_at(read: Reader, offset: int, needles: Sequence[bytes], length: int) -> Slot | None:
    region = read(offset, _STRING)
    end = region.find(b"\0")
    if end < 0:
        return None
    text = region[:end]
    hits = list(occurrences(text, needles, anywhere=True))
    spare = sum(length - len(found) for _, found in hits)
    if spare < 0 or read(offset + end, spare + 1) != bytes(spare + 1):
        return None
    return Slot(offset, end + 1 + spare, _template(text, hits))


def _template(text: bytes, hits: Iterable[tuple[int, bytes]]) -> bytes:
    parts = []
    done = 0
    for at, needle in hits:
        parts += [text[done:at], PLACEHOLDER_BYTES]
        done = at + len(needle)
    return b"".join((*parts, text[done:]))


def patches(slots: Iterable[Slot], length: int) -> list[tuple[int, bytes]]:
    """Return (offset, bytes) for every slot: with a placeholder of ``length`` bytes there, nothing depends on the prefix."""
    filler = PLACEHOLDER_BYTES[:length]
    return [(slot.offset, slot.template.replace(PLACEHOLDER_BYTES, filler).ljust(slot.size, b"\0")) for slot in slots]


def with_placeholders(data: bytes, slots: Iterable[Slot], length: int) -> bytes:
    """Return ``data`` with those bytes in every slot."""
    made = bytearray(data)
    for offset, patch in patches(slots, length):
        made[offset : offset + len(patch)] = patch
    return bytes(made)


def records(members: Iterable[Member]) -> tuple[bytes, list[tuple[str, Member]]]:
    """Return the content of ``poncho/relocation`` (empty when nothing needs it) and the templates as (path, member).

    Raises BuildError for a file whose path cannot be written into a record.
    """
    lines: list[bytes] = []
    templates: list[tuple[str, Member]] = []
    for member in sorted((m for m in members if m.text is not None or m.slots), key=lambda m: m.path):
        if "\t" in member.path or "\n" in member.path:
            raise BuildError(
                f"{member.path!r}: holds the environment's own path, and its name has a tab or newline",
                hint="rename the file, or take the path out of it",
            )
        path = os.fsencode(member.path)
        if member.text is not None:
            templates.append((f"poncho/templates/{len(templates) + 1}", member))
            lines.append(b"text\t%d\t%b" % (len(templates), path))
        lines += [b"binary\t%d\t%d\t%b\t%b" % (s.offset, s.size, escape(s.template), path) for s in member.slots]
    if not lines:
        return b"", []
    head = [b"poncho-relocation 1", b"placeholder\t" + PLACEHOLDER.encode()]
    return b"\n".join(head + lines) + b"\n", templates


def member_line(member: Member) -> bytes:
    """Return the line of ``poncho/contents`` for one member."""
    path = escape(os.fsencode(member.path))
    if member.link is not None:
        return b"link\t%b\t%b\n" % (escape(os.fsencode(member.link)), path)
    if member.directory:
        return b"directory\t%b\n" % path
    return b"%b\t%04o\t%d\t%b\n" % (member.sha256.encode(), member.mode, member.size, path)


def escape(text: bytes) -> bytes:
    r"""Return ``text`` with ``\``, tab and newline as ``\\``, ``\t`` and ``\n``."""
    if b"\\" not in text and b"\t" not in text and b"\n" not in text:
        return text
    return text.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")


def unescape(text: bytes) -> bytes:
    """Undo ``escape``."""
    if b"\\" not in text:
        return text
    parts = text.split(b"\\\\")
    return b"\\".join(part.replace(b"\\t", b"\t").replace(b"\\n", b"\n") for part in parts)
