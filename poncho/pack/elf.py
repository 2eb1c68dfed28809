"""Read what an ELF file needs of the node: its machine, the newest glibc symbol version, and its run path.

Own, because it runs on thousands of files while their bytes are read, and a general parser costs 50 times as much. The
format is the System V ABI's, symbol versions are in the Linux Standard Base, part "Symbol Versioning".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

MAGIC = b"\x7fELF"
Reader: TypeAlias = Callable[[int, int], bytes]  # (offset, size) -> bytes

_MACHINES = {
    3: "linux-32",
    20: "linux-ppc",
    21: "linux-ppc64le",
    22: "linux-s390x",
    40: "linux-armv7l",
    62: "linux-64",
    183: "linux-aarch64",
    243: "linux-riscv64",
    258: "linux-loongarch64",
}
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 5, 10, 15, 29
_DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_HEADER = 64
_LIMIT = 16 << 20
_GLIBC = b"GLIBC_"


@dataclass(frozen=True, slots=True)
class Elf:
    """Facts of one ELF file: conda subdir of its machine ("" when unknown), glibc version as numbers, run path."""

    platform: str
    glibc: tuple[int, ...] = ()
    runpath: bytes = b""


def of_bytes(data: bytes) -> Elf | None:
    """Read an ELF file that is in memory; None when it is none, or damaged."""
    return read(lambda offset, size: data[offset : offset + size]) if data[:4] == MAGIC else None


def read(at: Reader) -> Elf | None:
    """Read an ELF file through ``at``; None when it is none, or damaged."""
    try:
        return _read(at)
    except (struct.error, IndexError, ValueError):
        return None


def _read(at: Reader) -> Elf | None:
    head = at(0, _HEADER)
    if head[:4] != MAGIC:
        return None
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    machine = struct.unpack_from(order + "H", head, 18)[0]
    platform = _MACHINES.get(machine, "")
    if wide:
        table = struct.unpack_from(order + "Q", head, 32)[0]
        size, count = struct.unpack_from(order + "HH", head, 54)
    else:
        table = struct.unpack_from(order + "I", head, 28)[0]
        size, count = struct.unpack_from(order + "HH", head, 42)
    loads: list[tuple[int, int, int]] = []
    dynamic = b""
    segments = at(table, size * count)
    for start in range(0, size * count, size):
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", segments, start)
        else:
            kind, offset, address, _, length = struct.unpack_from(order + "IIIII", segments, start)
        if kind == _PT_LOAD:
            loads.append((address, length, offset))
        elif kind == _PT_DYNAMIC:
            dynamic = at(offset, min(length, _LIMIT))
    tags = dict(struct.iter_unpack(order + ("QQ" if wide else "II"), dynamic[: len(dynamic) & ~15]))
    if _DT_STRTAB not in tags:
        return Elf(platform)
    strings = at(_offset(loads, tags[_DT_STRTAB]), min(tags.get(_DT_STRSZ, 0), _LIMIT))
    run = tags.get(_DT_RUNPATH, tags.get(_DT_RPATH))
    runpath = b"" if run is None else _string(strings, run)
    glibc: tuple[int, ...] = ()
    if _DT_VERNEED in tags and _GLIBC in strings:
        glibc = _needed(at, _offset(loads, tags[_DT_VERNEED]), tags.get(_DT_VERNEEDNUM, 0), strings, order)
    return Elf(platform, glibc, runpath)


def _offset(loads: list[tuple[int, int, int]], address: int) -> int:
    for start, length, offset in loads:
        if start <= address < start + length:
            return address - start + offset
    raise ValueError("an address outside of every segment")


def _string(strings: bytes, at: int) -> bytes:
    return strings[at : strings.index(b"\0", at)]


def _needed(at: Reader, where: int, count: int, strings: bytes, order: str) -> tuple[int, ...]:
    """Walk Verneed (one per library) and Vernaux (one per version); both chains are by relative offsets."""
    newest: tuple[int, ...] = ()
    data = at(where, min(count * 16 + (1 << 16), _LIMIT))
    position = 0
    for _ in range(count):
        _, versions, _, first, following = struct.unpack_from(order + "HHIII", data, position)
        entry = position + first
        for _ in range(versions):
            _, _, _, name, step = struct.unpack_from(order + "IHHII", data, entry)
            if strings.startswith(_GLIBC, name):
                newest = max(newest, _numbers(_string(strings, name)[len(_GLIBC) :]))
            entry += step
            if not step:
                break
        position += following
        if not following:
            break
    return newest


def _numbers(text: bytes) -> tuple[int, ...]:
    # GLIBC_PRIVATE and GLIBC_ABI_DT_RELR are no versions.
    parts = text.split(b".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
