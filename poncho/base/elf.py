"""Read what matters of an ELF file; take out what no node needs: debug sections and the path it was built for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

_TAGS = {"DT_NEEDED": "needed", "DT_SONAME": "soname", "DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}
_SHF_ALLOC, _SHT_NOBITS = 2, 8
_LOADED_TYPES = (2, 3)  # ET_EXEC, ET_DYN
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_PROGRAM = struct.Struct("<IIQQQQQQ")


@dataclass(frozen=True, slots=True)
class Elf:
    """The dynamic facts of one ELF file. ``glibc`` is the highest ``GLIBC_x.y`` that it asks for, as numbers."""

    needed: tuple[str, ...]
    soname: str | None
    rpath: tuple[str, ...]
    interpreter: str | None
    glibc: tuple[int, ...]


def read_elf(path: Path) -> Elf | None:
    """Return the facts of the ELF file at ``path``; None for a file of another kind, or one that is damaged."""
    # Imported here: it takes a while, and a rebuild has no use for it.
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as stream:
            if stream.read(4) != b"\x7fELF":
                return None
            stream.seek(0)
            return _read(ELFFile(stream))
    except (OSError, ELFError, ValueError, KeyError):
        return None


def _read(elf: ELFFile) -> Elf:
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.gnuversions import GNUVerNeedSection
    from elftools.elf.segments import InterpSegment

    needed: list[str] = []
    rpath: list[str] = []
    soname: str | None = None
    glibc: tuple[int, ...] = ()
    for section in elf.iter_sections():
        if isinstance(section, DynamicSection):
            for tag in section.iter_tags():
                # pyelftools sets these attributes by the tag's kind.
                text: str = getattr(tag, _TAGS.get(tag.entry.d_tag, ""), "")
                if tag.entry.d_tag == "DT_NEEDED":
                    needed.append(text)
                elif tag.entry.d_tag == "DT_SONAME":
                    soname = text
                else:
                    rpath += [part for part in text.split(":") if part]
        elif isinstance(section, GNUVerNeedSection):
            for _library, versions in section.iter_versions():
                glibc = max([glibc, *(_glibc(version.name) for version in versions)])
    interpreter = next((s.get_interp_name() for s in elf.iter_segments() if isinstance(s, InterpSegment)), None)
    return Elf(tuple(needed), soname, tuple(rpath), interpreter, glibc)


def _glibc(version: str) -> tuple[int, ...]:
    # GLIBC_ABI_DT_RELR marks relative relocations in the new form: the loader of 2.36 is the first to know them.
    if version == "GLIBC_ABI_DT_RELR":
        return (2, 36)
    numbers = version.removeprefix("GLIBC_").split(".") if version.startswith("GLIBC_") else []
    return tuple(int(number) for number in numbers) if numbers and all(n.isdigit() for n in numbers) else ()


def without_debug_sections(data: bytes) -> bytes:
    """Return an ELF file without the sections that are not loaded, as ``debug_cut`` says; any other file as it is."""
    cut = debug_cut(lambda offset, size: data[offset : offset + size], len(data))
    return data if cut is None else cut.head + data[len(cut.head) : cut.end] + cut.tail


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a file: ``head`` in place of its first bytes, its own up to ``end``, then ``tail``."""

    head: bytes
    end: int
    tail: bytes

    @property
    def size(self) -> int:
        """Return the size of what is left."""
        return self.end + len(self.tail)


def debug_cut(read: Callable[[int, int], bytes], size: int) -> Cut | None:
    """Return how to cut the sections that are not loaded (``.debug_*``, ``.symtab``) off an ELF program or library.

    ``read`` gives (offset, size) of the file, which is ``size`` bytes long. What the loader maps stays byte for byte: only
    what lies behind the last segment goes. None for what is not a 64-bit little-endian program or library, has its
    sections in an unusual order, carries something behind them (programs with an archive attached), or has nothing to cut.
    """
    start = read(0, _HEADER.size)
    if start[:6] != b"\x7fELF\x02\x01" or len(start) < _HEADER.size:
        return None
    header = list(_HEADER.unpack(start))
    phoff, shoff = header[5:7]
    phentsize, phnum, shentsize, shnum, shstrndx = header[9:14]
    table_end = shoff + shnum * _SECTION.size
    shaped = shentsize == _SECTION.size and phentsize == _PROGRAM.size and phnum > 0 and 0 < shstrndx < shnum
    if header[1] not in _LOADED_TYPES or not shaped or table_end > size:
        return None
    table = read(shoff, shnum * _SECTION.size)
    programs = read(phoff, phnum * _PROGRAM.size)
    if len(table) < shnum * _SECTION.size or len(programs) < phnum * _PROGRAM.size:
        return None
    sections = [list(section) for section in _SECTION.iter_unpack(table)]
    kept = 1
    while kept < shnum and sections[kept][2] & _SHF_ALLOC:
        kept += 1
    if any(section[2] & _SHF_ALLOC for section in sections[kept:]):
        # Symbols name sections by number: only a tail can go without renumbering.
        return None
    if max(table_end, *(section[4] + section[5] for section in sections if section[1] != _SHT_NOBITS)) < size:
        return None
    end = max(program[2] + program[5] for program in _PROGRAM.iter_unpack(programs))
    names = sections[shstrndx]
    strings = read(names[4], names[5])
    names_at = _aligned(end)
    table_at = _aligned(names_at + len(strings))
    if end < _HEADER.size or table_at + (kept + 1) * _SECTION.size >= size:
        return None
    names[4] = names_at
    header[6], header[12], header[13] = table_at, kept + 1, kept
    tail = bytes(names_at - end) + strings + bytes(table_at - names_at - len(strings))
    tail += b"".join(_SECTION.pack(*section) for section in [*sections[:kept], names])
    return Cut(_HEADER.pack(*header), end, tail)


def without_path(data: bytes, path: Path) -> bytes:
    """Return ``data`` with the directory that holds ``path`` replaced by one of the same length that exists nowhere.

    CPython holds the prefix that it was built for, to fall back on when its library is not beside it. On another
    machine that is at best nothing, and it tells the name of who built it. System directories are no secret and stay.
    """
    parent = str(path.parent).encode()
    if len(parent) < 9 or path.is_relative_to("/usr"):
        return data
    # Linkers let a string that is the end of another share its bytes: "3.11.7" may lie inside
    # "/home/me/versions/3.11.7". So the last part stays.
    last = b"/" + path.name.encode()
    return data.replace(parent + last, b"/nowhere".ljust(len(parent), b"_") + last)


def _aligned(offset: int) -> int:
    return (offset + 7) & ~7
