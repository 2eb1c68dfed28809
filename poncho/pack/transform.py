"""Turn what a file of the prefix holds into what is packed: the one place that decides about a file's content."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from poncho.pack import elf, pyc, relocation, runpath, scrub, search, shebang
from poncho.pack.compress import Bytes
from poncho.pack.layout import PLACEHOLDER_BYTES
from poncho.pack.model import Entry, Findings, Slot
from poncho.pack.owners import Owners
from poncho.pack.reading import Source

_HEAD = 8192
_USUAL_PLACEHOLDER = 255  # bytes: conda-build's, since 2016, where nothing says another length
# Not the distributions that others carry inside themselves (setuptools/_vendor): their RECORD is a file like any other.
_INSTALLED = re.compile(r"/(?:site|dist)-packages/[^/]+\.dist-info\Z")
_WHOLE = ("pyc", "direct-url", "git")
CODE = (".py", ".so", ".h")  # what is found in these says what they need


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes to pack; ``text``: they are a template; ``slots`` for a binary; ``changed``: not the prefix's own."""

    data: bytes
    text: bool = False
    slots: tuple[Slot, ...] = ()
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Streamed:
    """A large file whose content stays, but for ``patches`` (offset, bytes): those are what ``slots`` hold."""

    elf: elf.Elf | None
    slots: tuple[Slot, ...] = ()
    patches: tuple[tuple[int, bytes], ...] = ()


class Transformer:
    """Knows the prefix's spellings and the names of its interpreters. Safe to use from several threads."""

    def __init__(self, needles: Sequence[bytes], pythons: frozenset[str]) -> None:
        self.needles = tuple(needles)
        self.pythons = pythons
        self._patching = threading.Lock()

    def content(
        self, entry: Entry, data: bytes, source: tuple[Bytes, int] | None, findings: Findings
    ) -> Content | None:
        """Return what to pack for ``entry`` whose file holds ``data``; None to leave it out.

        ``source`` is the content and time of the source that a ``.pyc`` was made from.
        """
        if entry.rule == "pyc":
            made = source and pyc.portable(data, pyc.source_of(entry.path) or "", *source, self.needles)
            return Content(made, changed=made is not data) if made else None
        if entry.rule == "script" or (entry.rule == "binary" and _is_script(entry, data)):
            interpreter = shebang.find_interpreter(data, self.needles, self.pythons)
            script = shebang.relocatable(data, interpreter) if interpreter else None
            if script is not None:
                return self._plain(entry, script, findings, changed=True)
            short = shebang.shortened(data, self.needles)
            if short is not None:
                return self._plain(entry, short, findings, changed=True)
        elif entry.rule == "direct-url":
            made = data if search.holds(data, self.needles) else scrub.direct_url(data)
            return self._plain(entry, made, findings, changed=made != data) if made is not None else None
        elif entry.rule == "git":
            made = scrub.git_file(data)
            return self._plain(entry, made, findings, changed=made != data)
        elif entry.rule == "binary" and b"\0" in data:
            slots = relocation.binary_slots(data, self.needles, entry.slot)
            if slots is not None:
                self.look_at_elf(elf.of_bytes(data), findings)
                made = relocation.with_placeholders(data, slots, entry.slot) if slots else data
                return Content(made, slots=slots, changed=bool(slots))
        return self._plain(entry, data, findings)

    def _plain(self, entry: Entry, data: bytes, findings: Findings, *, changed: bool = False) -> Content:
        found = elf.of_bytes(data) if data[:4] == elf.MAGIC else None
        self.look_at_elf(found, findings)
        if not any(search.contains(data, needle) for needle in self.needles):
            return Content(data, changed=changed)
        if found is not None:
            data, changed = self._relative_runpath(entry, data, found)
        if b"\0" in data[: 1 << 20]:
            if search.mentions(data, self.needles):
                findings.leaks.append(entry.path)
            return Content(data, changed=changed)
        made = search.replace(data, self.needles, PLACEHOLDER_BYTES, anywhere=entry.rule in ("text", "binary"))
        return Content(data, changed=changed) if made is data else Content(made, text=True, changed=True)

    def _relative_runpath(self, entry: Entry, data: bytes, found: elf.Elf) -> tuple[bytes, bool]:
        wanted = runpath.relative_runpath(found.runpath, entry.path, self.needles)
        if wanted is None:
            return data, False
        with self._patching:
            made = runpath.set_runpath(data, wanted)
        return (data, False) if made is None else (made, True)

    def look_at_elf(self, found: elf.Elf | None, findings: Findings) -> None:
        """Count what an ELF file needs of the node."""
        findings.count(found)

    def look_at_large(self, entry: Entry, source: Source) -> Streamed | None:
        """Return how to pack a large file piece by piece; None when its content may change so that it must be in memory."""
        if entry.rule in _WHOLE or entry.data is not None:
            return None
        head = source.read(0, _HEAD)
        found = elf.read(source.read) if head[:4] == elf.MAGIC else None
        if entry.rule == "binary":
            slots = relocation.file_slots(source.read, entry.size, self.needles, entry.slot)
            if slots is not None:
                return Streamed(found, slots, tuple(relocation.patches(slots, entry.slot)))
        if found is not None:
            wanted = runpath.relative_runpath(found.runpath, entry.path, self.needles)
            return Streamed(found) if wanted is None else None
        if entry.rule == "script" and head[:2] == b"#!":
            return None
        return None if b"\0" not in head and self._is_in(entry, source) else Streamed(None)

    def _is_in(self, entry: Entry, source: Source) -> bool:
        step, overlap = 4 << 20, max(map(len, self.needles), default=0)
        return any(
            search.contains(piece, needle)
            for at in range(0, entry.size, step)
            for piece in (source.read(at, step + overlap),)
            for needle in self.needles
        )


def _is_script(entry: Entry, data: bytes) -> bool:
    return entry.path.startswith("bin/") and data.startswith(b"#!")


def rule_for(entry: Entry, owners: Owners) -> None:
    """Set the treatment that an entry's name, or what conda recorded for it, asks for."""
    path = entry.path
    if path in owners.placeholders:
        entry.rule, entry.slot = "binary", owners.placeholders[path]
        return
    if path.endswith(".pyc"):
        entry.rule, entry.compiled = "pyc", pyc.source_of(path) or ""
        return
    directory, _, name = path.rpartition("/")
    if directory == "bin":
        entry.rule = "script"
    elif path.endswith(CODE):
        entry.rule = "text" if path in owners.texts else ""
    elif directory == "conda-meta" and name.endswith(".json"):
        entry.rule = "conda-meta"
    elif name == "direct_url.json":
        entry.rule = "direct-url"
    elif name == "RECORD" and _INSTALLED.search(directory):
        entry.rule = "record"
    elif name == ".gitmodules" or ("/.git/" in f"/{path}" and "/.git/objects/" not in f"/{path}"):
        entry.rule = "git"
    elif path in owners.texts:
        entry.rule = "text"
    if path in owners.replaced and entry.rule in ("", "script"):
        entry.rule, entry.slot = "binary", _USUAL_PLACEHOLDER


def without_credentials(text: str) -> bytes:
    """Return a spec's or lock's text as it may travel."""
    return scrub.strip_text(text).encode("utf-8", "surrogateescape")
