"""The distributions that an environment holds, read from their metadata directories as far as they are asked for.

Formats: ``*.dist-info`` (PyPA core metadata and RECORD), ``*.egg-info`` and ``.egg-link`` (setuptools),
``direct_url.json`` (PEP 610), ``Import-Name`` (PEP 794). ``importlib.metadata`` reads the same, but costs more to
load than a whole analysis.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from poncho import _regular
from poncho.analysis.editable import Origin, canonical, editable_modules, read_origin
from poncho.analysis.inventory import Inventory

_SUFFIXES = (".py", ".so", ".pyd", ".pyx")
_MODULE_SUFFIX = re.compile(rf"(?:\.(?:cpython|cp|abi|pypy)[\w.-]*)?(?:{'|'.join(map(re.escape, _SUFFIXES))})$")


@dataclass(frozen=True)
class Distribution:
    """One installed distribution; ``metadata`` is its ``dist-info`` or ``egg-info``, a directory or (old) one file."""

    name: str
    version: str
    site: Path
    metadata: Path
    project: Path | None = None
    inventory: Inventory | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> str:
        """Return the normalised name."""
        return canonical(self.name)

    def read(self, name: str) -> str:
        """Return the text of one metadata file, empty when it is not there."""
        try:
            return _regular.read_text(self.metadata / name, "replace")
        except (OSError, ValueError):
            return ""

    @cached_property
    def origin(self) -> Origin:
        """Return where it was installed from, if that was no index."""
        return read_origin(self.read("direct_url.json"), self.project)

    @cached_property
    def modules(self) -> frozenset[str]:
        """Return the dotted names of its modules and packages, as far as the metadata tells."""
        if self.inventory and (known := self.inventory.modules(str(self.metadata))):
            return known
        found = self._read_modules()
        # What an editable one provides is told by other files, too.
        if self.inventory and not (self.origin.editable or self.project):
            self.inventory.add(str(self.metadata), found)
        return found

    def _read_modules(self) -> frozenset[str]:
        declared = declared_modules(self.read("METADATA"))
        recorded = {
            *recorded_modules(self.read("RECORD")),
            *recorded_modules(self.read("installed-files.txt"), below="../"),
        }
        if self.origin.editable or self.project:
            recorded |= editable_modules(self.site, self.read("RECORD"), self.origin.path or self.project)
        top_level = {line.strip() for line in self.read("top_level.txt").splitlines() if line.strip()}
        found = declared | recorded | top_level
        return frozenset(found or {self.key.replace("-", "_")})

    @cached_property
    def tops(self) -> frozenset[str]:
        """Return the first parts of ``modules``."""
        if self.inventory and (known := self.inventory.tops(str(self.metadata))):
            return known
        return frozenset(name.partition(".")[0] for name in self.modules)


def declared_modules(metadata: str) -> set[str]:
    """Return the import names that a METADATA text declares (PEP 794)."""
    return {
        found.strip()
        for found in re.findall(r"(?mi)^Import-Name:([^;\n]*)", metadata.partition("\n\n")[0])
        if found.strip()
    }


def recorded_modules(text: str, *, below: str = "") -> Iterator[str]:
    """Yield dotted module names from RECORD's lines (``path,hash,size``), each package too that has an ``__init__``."""
    for line in text.splitlines():
        path = line[1:].partition('"')[0] if line.startswith('"') else line.partition(",")[0]
        # Most lines are of bytecode and data: asked first, as it costs least.
        if not path.endswith(_SUFFIXES):
            continue
        path = path.removeprefix(below).removeprefix("./")
        if not (found := _MODULE_SUFFIX.search(path)) or path.startswith(("../", "/")) or ".dist-info/" in path:
            continue
        name = path[: found.start()].replace("/", ".")
        if "-" not in name:
            yield name.removesuffix(".__init__")


class Installed:
    """All distributions in some site directories; the first directory that has a name wins."""

    def __init__(self, site: tuple[Path, ...], inventory: Inventory | None = None) -> None:
        self._site = site
        self._inventory = inventory

    @cached_property
    def by_key(self) -> dict[str, Distribution]:
        """Return the distributions by normalised name."""
        found: dict[str, Distribution] = {}
        for directory in self._site:
            for distribution in _in_directory(directory, self._inventory):
                found.setdefault(distribution.key, distribution)
        return found

    def get(self, name: str) -> Distribution | None:
        """Return the installed distribution of that name, however it is spelt."""
        return self.by_key.get(canonical(name))

    def providers(self, dotted: str, *, likely: tuple[str, ...] = ()) -> tuple[str, tuple[Distribution, ...]]:
        """Return the longest part of an import that distributions provide, and those distributions, by name.

        The ones named ``likely`` are asked first: one that has the whole package is enough.
        """
        top = dotted.partition(".")[0]
        for name in likely:
            if (known := self.get(name)) and top in known.modules:
                return top, (known,)
        candidates = self._by_top.get(top, ())
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            name = ".".join(parts[:length])
            exact = [one for one in candidates if name in one.modules]
            if exact:
                return name, tuple(sorted(exact, key=lambda one: one.key))
            below = [one for one in candidates if any(module.startswith(f"{name}.") for module in one.modules)]
            if below:
                return name, tuple(sorted(below, key=lambda one: one.key))
        return top, ()

    def save(self) -> None:
        """Remember for later analyses what was read."""
        if self._inventory:
            self._inventory.save()

    @cached_property
    def _by_top(self) -> dict[str, list[Distribution]]:
        found: dict[str, list[Distribution]] = {}
        for one in self.by_key.values():
            for top in one.tops:
                found.setdefault(top, []).append(one)
        return found


def _in_directory(directory: Path, inventory: Inventory | None) -> Iterator[Distribution]:
    try:
        entries = sorted(os.listdir(directory))
    except OSError:
        return
    for name in entries:
        stem, _, suffix = name.rpartition(".")
        if suffix in ("dist-info", "egg-info") and not stem.startswith("~"):
            if found := _from_metadata(directory, directory / name, stem):
                yield replace(found, inventory=inventory) if inventory else found
        elif suffix == "egg-link":
            yield from _from_egg_link(directory, directory / name)


def _from_metadata(site: Path, metadata: Path, stem: str, project: Path | None = None) -> Distribution | None:
    name, dash, version = stem.partition("-") if metadata.suffix == ".egg-info" else stem.rpartition("-")
    # An egg's name goes on with the Python version it was made for: name-1.0-py3.11.
    version = version.partition("-")[0]
    if not dash or not version:
        text = _head(metadata if metadata.is_file() else metadata / "PKG-INFO")
        fields = dict(re.findall(r"(?m)^(Name|Version):\s*(\S+)", text))
        name, version = fields.get("Name", stem), fields.get("Version", "")
    return Distribution(name, version, site, metadata, project) if name and version else None


def _from_egg_link(site: Path, link: Path) -> Iterator[Distribution]:
    lines = _head(link).splitlines()
    if not lines:
        return
    root = Path(lines[0].strip())
    project = (root / lines[1].strip()) if len(lines) > 1 and lines[1].strip() else root
    for metadata in sorted(root.glob("*.egg-info")):
        if canonical(metadata.stem) == canonical(link.stem) and (
            found := _from_metadata(site, metadata, metadata.stem, Path(project).resolve())
        ):
            yield found


def _head(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")[:20000]
    except (OSError, ValueError):
        return ""
