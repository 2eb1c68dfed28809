"""The values that packing takes and gives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from poncho.base.elf import Cut
from poncho.errors import UsageError
from poncho.pack.layout import Format

# Any fixed time does; this one is after 1980, which zip files need, and before every clock that is right.
DEFAULT_EPOCH = 1_577_836_800  # 2020-01-01T00:00:00Z
DEFAULT_LEVEL = 2

TrimKind = Literal["static", "headers", "tests", "docs", "debug", "pycache"]
Rule = Literal["", "pyc", "script", "text", "binary", "conda-meta", "direct-url", "git", "record"]


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How to pack.

    ``level`` trades time for size: 0 stores, 1 to 3 are ISA-L's (the default is 2), 4 to 12 libdeflate's; for
    ``tar.zst`` it is zstd's own (default 3). ``threads`` 0 means one for each processor that this process may use.
    ``epoch`` is the modification time of every member (None: ``SOURCE_DATE_EPOCH``, else 2020-01-01).
    ``build_prefixes`` are further absolute paths that stand for the prefix in its files (where it was built, when that
    was elsewhere). ``ignore_editable`` leaves editable installs out instead of refusing them. ``trim`` names what need
    not travel (``poncho.pack.trim``).
    """

    format: Format = "tar.gz"
    level: int | None = None
    threads: int = 0
    epoch: int | None = None
    build_prefixes: tuple[str, ...] = ()
    ignore_editable: bool = False
    trim: frozenset[TrimKind] = frozenset()

    def __post_init__(self) -> None:
        if self.format not in ("tar.gz", "tar.zst", "tar"):
            raise UsageError(f"{self.format}: unknown package format", hint="use tar.gz, tar.zst or tar")
        top = 19 if self.format == "tar.zst" else 12
        if self.level is not None and not 0 <= self.level <= top:
            raise UsageError(f"{self.level}: no compression level of {self.format}", hint=f"use 0 to {top}")
        if any(not os.path.isabs(path) or len(path) < 2 for path in self.build_prefixes):
            raise UsageError("a build prefix must be an absolute path")

    def workers(self) -> int:
        """Return how many threads to use."""
        if self.threads > 0:
            return self.threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def mtime(self) -> int:
        """Return the modification time of the members, in seconds since 1970. Raises UsageError for a bad one."""
        if self.epoch is not None:
            return self.epoch
        text = os.environ.get("SOURCE_DATE_EPOCH", "")
        if not text:
            return DEFAULT_EPOCH
        if not text.isascii() or not text.isdigit() or int(text) >= 1 << 33:
            raise UsageError(f"SOURCE_DATE_EPOCH={text}: not a number of seconds since 1970")
        return int(text)


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
    length of the placeholder that a conda package recorded for it. ``compiled_from`` is the file that a ``.pyc`` was made
    from where that lies elsewhere; ``cut`` what is to be packed of an ELF file (``size`` is then what is left).
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


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a binary file: ``size`` bytes at ``offset`` are ``template`` with its placeholders replaced."""

    offset: int
    size: int
    template: bytes


@dataclass(slots=True)
class Member:
    """One member as it was written: the facts for ``poncho/contents``, and what relocation must know."""

    path: str
    mode: int
    size: int = 0
    sha256: str = ""
    link: str | None = None
    directory: bool = False
    text: bytes | None = None
    slots: tuple[Slot, ...] = ()
    changed: bool = False


@dataclass(slots=True)
class Findings:
    """What the look at the files' content brought up, gathered over all of them."""

    dropped: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    glibc: tuple[int, ...] = ()
    machines: dict[str, int] = field(default_factory=dict)

    def merge(self, other: Findings) -> None:
        """Add what another look found."""
        self.dropped |= other.dropped
        self.warnings += other.warnings
        self.leaks += other.leaks
        self.glibc = max(self.glibc, other.glibc)
        for machine, count in other.machines.items():
            self.machines[machine] = self.machines.get(machine, 0) + count
