"""Check an unpacked package against the list of its contents, where it lies and as it was relocated."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from poncho.errors import PackageError
from poncho.pack import manifest
from poncho.pack.relocation import unescape
from poncho.package.contents import Item, parse

_RECORDS = Path("poncho/relocation")
_OURS = ("poncho/state/", "poncho/contents", "poncho/manifest.json")


@dataclass(frozen=True, slots=True)
class Difference:
    """One member that is not as it was packed: its path, and ``missing`` or ``changed``."""

    path: str
    what: str


@dataclass(slots=True)
class _Records:
    placeholder: bytes = b""
    texts: dict[str, int] = field(default_factory=dict)
    slots: dict[str, list[tuple[int, int, bytes]]] = field(default_factory=lambda: defaultdict(list))


def verify_unpacked(root: Path) -> list[Difference]:
    """Return every member of the environment in ``root`` that is missing or changed; what was added does not count.

    Nothing is written and nothing is executed. Raises PackageError when there is nothing to check it against.
    """
    try:
        listed = (root / manifest.CONTENTS).read_bytes()
        prefix = (root / "poncho/state/prefix").read_bytes().rstrip(b"\n")
    except OSError as error:
        raise PackageError(
            f"{root}: not an unpacked package of PONCHO, there is no list of contents to verify it against"
        ) from error
    records = _read_records(root)
    found = []
    for item in parse(listed):
        if item.path not in _OURS and (what := _check(root, item, records, prefix)):
            found.append(Difference(item.path, what))
    return found


def _check(root: Path, item: Item, records: _Records, prefix: bytes) -> str:
    path = root / item.path
    try:
        if item.kind == "link":
            return "" if os.readlink(path) == item.target else "changed"
        if item.kind == "directory":
            return "" if path.is_dir() else "missing"
        if path.is_symlink():
            return "changed"
        if item.path in records.texts:
            template = (root / f"poncho/templates/{records.texts[item.path]}").read_bytes()
            return "" if _same_text(path.read_bytes(), template, records.placeholder, prefix) else "changed"
        return "" if _sha256(path, records.slots.get(item.path, [])) == item.sha256 else "changed"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "changed"


def _same_text(found: bytes, template: bytes, placeholder: bytes, prefix: bytes) -> bool:
    expected = template.replace(placeholder, prefix)
    if found == expected:
        return True
    # A first line that is too long for the kernel is written as #!/usr/bin/env NAME.
    first, _, rest = found.partition(b"\n")
    return expected.startswith(b"#!") and first.startswith(b"#!/usr/bin/env ") and rest == expected.partition(b"\n")[2]


def _sha256(path: Path, slots: list[tuple[int, int, bytes]]) -> str:
    """Return the digest that the file had in the package: with the placeholder in its slots."""
    if not slots:
        with path.open("rb") as stream:
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
    data = bytearray(path.read_bytes())
    for offset, size, template in slots:
        data[offset : offset + size] = template.ljust(size, b"\0")
    return hashlib.sha256(data).hexdigest()


def _read_records(root: Path) -> _Records:
    found = _Records()
    try:
        lines = (root / _RECORDS).read_bytes().splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        match line.split(b"\t"):
            case [b"placeholder", text]:
                found.placeholder = text
            case [b"text", number, path] if number.isdigit():
                found.texts[os.fsdecode(path)] = int(number)
            case [b"binary", offset, size, template, path] if offset.isdigit() and size.isdigit():
                found.slots[os.fsdecode(path)].append((int(offset), int(size), unescape(template)))
    return found
