"""The values that packing takes and gives."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from poncho.epoch import source_date_epoch
from poncho.errors import UsageError
from poncho.pack.elf import Elf
from poncho.pack.layout import Format, family, format_of, formats
from poncho.runner import run_command

if TYPE_CHECKING:
    from poncho.base.elf import Cut  # what it brings along takes longer to load than a package to pack again

# Any fixed time does; this one is after 1980, which zip files need, and before every clock that is right.
DEFAULT_EPOCH = 1_577_836_800  # 2020-01-01T00:00:00Z
DEFAULT_LEVEL = 2
_LEVELS: Mapping[Format, int] = {"tar.gz": 12, "tar.zst": 19}
_IMAGE_LEVELS = {"zstd": 22, "gzip": 9}

# Where a prefix comes from: it lasts; or it was made for this build, under a name of chance, by copies.
Origin = Literal["lasting", "copied"]
Compression = Literal["zstd", "gzip"]
TrimKind = Literal["static", "headers", "tests", "docs", "debug", "pycache"]
Rule = Literal["", "pyc", "script", "text", "binary", "conda-meta", "direct-url", "git", "record"]


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How to pack.

    ``format`` None means by the output's suffix. ``level`` trades time for size: 0 stores, 1 to 3 are ISA-L's (the
    default is 2), 4 to 12 libdeflate's; for ``tar.zst`` it is zstd's own (default 3); for ``squashfs`` that of
    ``compression`` (zstd 1 to 22, default 3; gzip 1 to 9, default 6). ``threads`` 0 means one for each processor that this
    process may use.
    ``epoch`` is the modification time of every member (None: ``SOURCE_DATE_EPOCH``, else 2020-01-01).
    ``build_prefixes`` are further absolute paths that stand for the prefix in its files (where it was built, when that
    was elsewhere). ``ignore_editable`` leaves editable installs out instead of refusing them. ``trim`` names what need
    not travel (``poncho.pack.trim``).
    """

    format: Format | None = None
    level: int | None = None
    threads: int = 0
    epoch: int | None = None
    build_prefixes: tuple[str, ...] = ()
    ignore_editable: bool = False
    trim: frozenset[TrimKind] = frozenset()
    compression: Compression = "zstd"

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in formats():
            raise UsageError(f"{self.format}: unknown package format", hint=f"use one of {', '.join(formats())}")
        if self.compression not in _IMAGE_LEVELS:
            raise UsageError(f"{self.compression}: unknown compression", hint="use zstd or gzip")
        if self.compression != "zstd" and self.format not in (None, "squashfs"):
            raise UsageError(f"{self.compression} compression is for squashfs images", hint="write a .squashfs")
        if self.level is not None:
            check_level(self.format, self.level, self.compression)
        if any(not os.path.isabs(path) or len(path) < 2 for path in self.build_prefixes):
            raise UsageError("a build prefix must be an absolute path")

    def for_output(self, output: str) -> PackOptions:
        """Return the options with the format that ``output``'s suffix asks for, unless there is one already.

        Raises UsageError for a suffix of something else, or a level that the format does not have.
        """
        return self if self.format is not None else replace(self, format=format_of(output))

    def workers(self) -> int:
        """Return how many threads to use."""
        if self.threads > 0:
            return self.threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def mtime(self) -> int:
        """Return the modification time of the members, in seconds since 1970. Raises UsageError for a bad one."""
        if self.epoch is not None:
            return self.epoch
        asked = source_date_epoch()
        return DEFAULT_EPOCH if asked is None else asked


def check_level(form: Format | None, level: int, compression: Compression = "zstd") -> None:
    """Raise UsageError when the format (None: every one) has no such compression level; ``compression`` is an image's."""
    levels: dict[Format, int] = {**_LEVELS, "squashfs": _IMAGE_LEVELS[compression]}
    top = max(levels.values()) if form is None else levels.get(family(form))
    low = 1 if form == "squashfs" else 0
    if top is None:
        raise UsageError(f"the format {form} is not compressed and has no level", hint="leave the level out")
    if not low <= level <= top:
        raise UsageError(f"{level}: no compression level of {form or 'any format'}", hint=f"use {low} to {top}")


@dataclass(frozen=True, slots=True)
class Overlay:
    """What is packed over a prefix that must stay as it is: files below ``root``, at the paths they have in the prefix.

    ``replaces`` are the names (PEP 503) of editable installs for which ``root`` holds a real installation.
    """

    root: Path
    replaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What trimming saved, by kind: (files left out or made smaller, bytes). ``kept`` says what stayed, and why."""

    saved: Mapping[str, tuple[int, int]]
    kept: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Return how many bytes were saved in all, before compression."""
        return sum(size for _, size in self.saved.values())

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON values."""
        kinds = {kind: {"files": files, "bytes": size} for kind, (files, size) in self.saved.items()}
        return {"bytes": self.bytes, "kinds": kinds, "kept": list(self.kept)}


@dataclass(frozen=True, slots=True)
class PackedPackage:
    """A package that was written: where, its digest, how many files, and sizes in bytes; ``trimmed`` if that was asked
    for.
    """

    path: Path
    digest: str
    files: int
    unpacked_bytes: int
    packed_bytes: int
    warnings: tuple[str, ...] = ()
    trimmed: Trimmed | None = None

    def command(self, argv: Sequence[str], *, unpack_to: Path | None = None) -> list[str]:
        """Return the argument list that runs ``argv`` in this package, for ``subprocess`` or a batch system.

        ``unpack_to`` is a directory to unpack into instead of the store. Raises BuildError when the runner is missing
        from the installation.
        """
        return run_command(self.path, argv, unpack_to=unpack_to)

    def to_json(self) -> dict[str, object]:
        """Return the package's facts as JSON values."""
        return {
            "path": str(self.path),
            "digest": self.digest,
            "files": self.files,
            "unpacked_bytes": self.unpacked_bytes,
            "packed_bytes": self.packed_bytes,
            "warnings": list(self.warnings),
            **({"trimmed": self.trimmed.to_json()} if self.trimmed else {}),
        }


@dataclass(slots=True)
class Entry:
    """One thing to pack: a file of the prefix (``source``), made-up content (``data``), a link, or an empty directory.

    ``path`` is relative to the package's root. ``rule`` names the treatment that its content needs; ``slot`` is the
    length of the placeholder that a conda package recorded for it. ``compiled`` is the path in the package of the source that
    a ``.pyc`` (by its rule) was made of. ``compiled_from`` is the file that a ``.pyc`` was made
    from where that lies elsewhere; ``cut`` what is to be packed of an ELF file (``size`` is then what is left).
    ``stamp`` tells the source from any other, and from itself after a change: device, inode, size, and times of change
    (mtime and ctime in nanoseconds).
    """

    path: str
    source: str | None = None
    size: int = 0
    mode: int = 0o644
    mtime: int = 0
    data: bytes | None = None
    link: str | None = None
    directory: bool = False
    rule: Rule = ""
    slot: int = 0
    group: tuple[int, str] = (2, "")
    compiled_from: str | None = None
    cut: Cut | None = None
    stamp: str = ""
    compiled: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a binary file: ``size`` bytes at ``offset`` are ``template`` with its placeholders replaced."""

    offset: int
    size: int
    template: bytes


@dataclass(slots=True)
class Member:
    """One member as it was written: the facts for ``poncho/contents``, and what relocation must know.

    ``line`` is its line there.
    """

    path: str
    mode: int
    size: int = 0
    sha256: str = ""
    link: str | None = None
    directory: bool = False
    text: bytes | None = None
    slots: tuple[Slot, ...] = ()
    changed: bool = False
    line: bytes = b""


@dataclass(slots=True)
class Look:
    """What became of one file. ``again``: it depends on more than the file, so it must be read each time.

    ``member`` None: it is left out. ``elf`` is what an ELF file needs; ``leaks``: the prefix is in it, and stays.
    """

    member: Member | None
    again: bool = False
    elf: Elf | None = None
    leaks: bool = False


@dataclass(slots=True)
class Findings:
    """What the look at the files' content brought up, gathered over all of them."""

    dropped: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    glibc: tuple[int, ...] = ()
    machines: dict[str, int] = field(default_factory=dict)

    def count(self, found: Elf | None, files: int = 1) -> None:
        """Add what one ELF file needs of the node, or what each of several needs."""
        if found is not None and found.platform:
            self.machines[found.platform] = self.machines.get(found.platform, 0) + files
            self.glibc = max(self.glibc, found.glibc)

    def merge(self, other: Findings) -> None:
        """Add what another look found."""
        self.dropped |= other.dropped
        self.warnings += other.warnings
        self.leaks += other.leaks
        self.glibc = max(self.glibc, other.glibc)
        for machine, count in other.machines.items():
            self.machines[machine] = self.machines.get(machine, 0) + count
