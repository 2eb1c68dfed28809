"""Compare two packages: which packages and which files were added, removed or changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from poncho.look.inventory import Inventory, Part, take_inventory
from poncho.look.source import open_source
from poncho.package import Item
from poncho.package.owners import Owner

What = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class PartChange:
    """One package (or git or http location) that only one side has, or that differs by version, build, origin or files.

    ``files`` counts its files that differ.
    """

    what: What
    old: Part | None
    new: Part | None
    files: int

    @property
    def part(self) -> Part:
        """Return the newer side, or the only one."""
        side = self.new or self.old
        assert side is not None
        return side

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        sides = {"old": self.old and self.old.to_json(), "new": self.new and self.new.to_json()}
        return {"what": self.what, "name": self.part.name, "kind": self.part.owner.kind, "files": self.files, **sides}


@dataclass(frozen=True, slots=True)
class FileChange:
    """One member that only one side has, or whose content, kind, target or mode differs."""

    what: What
    path: str
    old: Item | None
    new: Item | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"what": self.what, "path": self.path, "old": _item(self.old), "new": _item(self.new)}


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from ``old`` to ``new``. ``facts`` are the differing facts of the packages: name -> (old, new)."""

    old: Inventory
    new: Inventory
    facts: Mapping[str, tuple[Any, Any]]
    parts: tuple[PartChange, ...]
    files: tuple[FileChange, ...]

    @property
    def same(self) -> bool:
        """Tell whether both hold the same files."""
        return not (self.facts or self.parts or self.files)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values (docs/inspect.md)."""
        return {
            "same": self.same,
            "old": _side(self.old),
            "new": _side(self.new),
            "facts": {name: {"old": old, "new": new} for name, (old, new) in self.facts.items()},
            "packages": [change.to_json() for change in self.parts],
            "files": [change.to_json() for change in self.files],
        }


def compare(old: Path, new: Path) -> Difference:
    """Compare two packages, archives or directories, file by file.

    Of packages of ours the lists of contents are compared; of others, and of directories, every file is read. An unpacked
    package is compared as it was packed, before relocation. Raises PackageError for a side that cannot be looked into.
    """
    before, after = open_source(old), open_source(new)
    left, right = take_inventory(before), take_inventory(after)
    files: tuple[FileChange, ...] = ()
    if before.digest is None or before.digest != after.digest or "directory" in (before.form, after.form):
        files = tuple(_files(before.hashed(), after.hashed()))
    facts = {name: pair for name, pair in _facts(left, right) if pair[0] != pair[1]}
    return Difference(left, right, facts, tuple(_parts(left, right, files)), files)


def _facts(old: Inventory, new: Inventory) -> Iterable[tuple[str, tuple[Any, Any]]]:
    for name in ("python", "platform", "glibc", "cpu"):
        yield name, (getattr(old, name), getattr(new, name))
    yield "variables", (dict(old.variables), dict(new.variables))


def _files(old: Mapping[str, Item], new: Mapping[str, Item]) -> Iterable[FileChange]:
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before is None:
            yield FileChange("added", path, None, after)
        elif after is None:
            yield FileChange("removed", path, before, None)
        elif before != after:
            yield FileChange("changed", path, before, after)


def _parts(old: Inventory, new: Inventory, files: Iterable[FileChange]) -> Iterable[PartChange]:
    counts: dict[Owner, int] = {}
    for change in files:
        for owner in {side.owners[change.path] for side in (old, new) if change.path in side.owners}:
            counts[owner] = counts.get(owner, 0) + 1
    before = {part.owner: part for part in old.parts}
    after = {part.owner: part for part in new.parts}
    for owner in sorted(before.keys() | after.keys()):
        one, two = before.get(owner), after.get(owner)
        touched = counts.get(owner, 0)
        if one is None:
            yield PartChange("added", None, two, touched)
        elif two is None:
            yield PartChange("removed", one, None, touched)
        elif touched or (one.version, one.build) != (two.version, two.build) or _origin(one) != _origin(two):
            yield PartChange("changed", one, two, touched)


def _origin(part: Part) -> tuple[str, str]:
    """Return what must be the same; the URL may be known on one side only, and a mirror's is another."""
    return (part.origin.sha256, "") if part.origin.sha256 else ("", part.origin.url)


def _side(inventory: Inventory) -> dict[str, Any]:
    return {
        "path": str(inventory.path),
        "digest": inventory.digest,
        "packed_bytes": inventory.packed,
        "unpacked_bytes": inventory.bytes,
        "files": inventory.files,
    }


def _item(item: Item | None) -> dict[str, Any] | None:
    if item is None:
        return None
    if item.kind == "link":
        return {"kind": "link", "target": item.target}
    if item.kind == "directory":
        return {"kind": "directory"}
    return {"kind": "file", "bytes": item.size, "mode": f"{item.mode:04o}", "sha256": item.sha256}
