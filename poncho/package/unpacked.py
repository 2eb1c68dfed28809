"""Check an unpacked package against the list of its contents, where it lies and as it was relocated."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from poncho import _regular
from poncho._arguments import as_path
from poncho.errors import PackageError
from poncho.pack import manifest
from poncho.pack.relocation import unescape
from poncho.package.contents import Item, parse

_RECORDS = Path("poncho/relocation")
_IMAGE, _FITTED = Path("poncho/image"), Path("poncho/fitted")
_OURS = (manifest.CONTENTS, manifest.MANIFEST)


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


def image_below(root: Path) -> Path | None:
    """Return where the image is mounted that the environment in ``root`` is made round; None when it is unpacked.

    Raises PackageError when it is not mounted now.
    """
    try:
        # What is mounted on a directory whose daemon was killed is there, but cannot be asked whether it is a directory.
        if _IMAGE.name not in os.listdir(root / _IMAGE.parent):
            return None
    except OSError:
        return None
    if not os.path.isfile(root / _IMAGE / manifest.CONTENTS):
        raise PackageError(
            f"{root}: belongs to an image that is not mounted now", hint="give the image itself: FILE.squashfs"
        )
    return root / _IMAGE


def verify_unpacked(root: Path | str) -> list[Difference]:
    """Return every member of the environment in ``root`` that is missing or changed; what was added does not count.

    Of an environment round a mounted image, the image is read as well. Nothing is written and nothing is executed.
    Raises PackageError when there is nothing to check it against.
    """
    root = as_path(root, "a directory")
    image = image_below(root)
    try:
        listed = _regular.read_bytes(root / manifest.CONTENTS)
        described = _regular.read_bytes(root / manifest.MANIFEST)
    except OSError as error:
        raise PackageError(
            f"{root}: not an unpacked package of PONCHO, there is no list of contents to verify it against",
            hint="verify takes a package, or the directory in which one was unpacked",
        ) from error
    records = _read_records(root)
    # Unpacked by plain tar and never run: the placeholder is still in its place.
    prefix = _line(root / "poncho/state/prefix") or records.placeholder
    known = _line(root / "poncho/state/digest").decode("ascii", "replace")
    found = []
    if known and known != manifest.digest(listed, described):
        found.append(Difference(manifest.CONTENTS, "changed"))
    for item in parse(listed):
        if item.path not in _OURS and (what := _check(root, image, item, records, prefix)):
            found.append(Difference(item.path, what))
    return found


def _line(path: Path) -> bytes:
    try:
        return _regular.read_bytes(path).rstrip(b"\n")
    except OSError:
        return b""


def _check(root: Path, image: Path | None, item: Item, records: _Records, prefix: bytes) -> str:
    path = root / item.path
    try:
        if image is not None:
            # Links round a mounted image: what lies beside it is looked at there, all else in the image.
            beside = root / _FITTED / item.path
            path = beside.resolve() if beside.is_file() else image / item.path
        if item.kind == "link":
            return "" if os.readlink(path) == item.target else "changed"
        if item.kind == "directory":
            return "" if path.is_dir() else "missing"
        if not stat.S_ISREG(path.lstat().st_mode):
            return "changed"
        if item.path in records.texts:
            template = _template(root / f"poncho/templates/{records.texts[item.path]}")
            return "" if _same_text(path.read_bytes(), template, records.placeholder, prefix) else "changed"
        slots = records.slots.get(item.path)
        if slots is None:
            return "" if _sha256(path) == item.sha256 else "changed"
        packed = _as_packed(path.read_bytes(), slots, records.placeholder, prefix)
        return "" if packed is not None and hashlib.sha256(packed).hexdigest() == item.sha256 else "changed"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "changed"


def _template(path: Path) -> bytes:
    # As large as any text of the environment.
    with open(path, "rb", opener=partial(_regular.opener, large=True)) as stream:
        return stream.read()


def _same_text(found: bytes, template: bytes, placeholder: bytes, prefix: bytes) -> bool:
    expected = template.replace(placeholder, prefix)
    if found == expected:
        return True
    # A first line that is too long for the kernel is written as #!/usr/bin/env NAME.
    first, _, rest = found.partition(b"\n")
    return expected.startswith(b"#!") and first.startswith(b"#!/usr/bin/env ") and rest == expected.partition(b"\n")[2]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _as_packed(data: bytes, slots: list[tuple[int, int, bytes]], placeholder: bytes, prefix: bytes) -> bytes | None:
    """Return what the file was in the package, with the placeholder in its slots; None when they hold something else."""
    parts = bytearray(data)
    for offset, size, template in slots:
        count = template.count(placeholder) if placeholder else 0
        if not count or offset + size > len(data):
            return None
        # A slot may be for a shorter placeholder than ours: as much as the text in it needs (pack.relocation).
        room = len(placeholder) - max(0, len(template) + 1 - size) // count
        packed = template.replace(placeholder, placeholder[:room]).ljust(size, b"\0")
        now = packed if prefix == placeholder else template.replace(placeholder, prefix).ljust(size, b"\0")
        if data[offset : offset + size] != now:
            return None
        parts[offset : offset + size] = packed
    return bytes(parts)


def _read_records(root: Path) -> _Records:
    found = _Records()
    try:
        lines = _regular.read_bytes(root / _RECORDS).splitlines()
    except OSError:
        return found
    for line in lines:
        match line.split(b"\t"):
            case [b"placeholder", text]:
                found.placeholder = text
            case [b"text", number, path] if _is_number(number):
                found.texts[os.fsdecode(path)] = int(number)
            case [b"binary", offset, size, template, path] if _is_number(offset) and _is_number(size):
                found.slots[os.fsdecode(path)].append((int(offset), int(size), unescape(template)))
    return found


def _is_number(field: bytes) -> bool:
    return field.isdigit() and len(field) <= 18
