"""Check every byte of a package against what it says about itself, without unpacking or running anything."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from poncho.errors import PackageError
from poncho.pack import manifest
from poncho.package.archive import ChunkStream, ForeignStream, Stream, chunk_data, damaged, open_file, read_index
from poncho.package.contents import Item, parse
from poncho.package.guard import Guard
from poncho.package.tarstream import TarMember, TarReader

_KEEP_LIMIT = 256 << 20


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found to be right: the digest, and how many files and bytes were read."""

    digest: str
    files: int
    bytes: int


def verify(path: Path) -> Verified:
    """Read the whole package and check it: framing, names, kinds, totals, every file's sha256, and the digest.

    Nothing is written and nothing is executed; memory does not grow with the size of files. Raises PackageError that
    names the first thing that is wrong; for an archive that PONCHO did not make, because there is nothing to check it
    against.
    """
    with open_file(path) as stream:
        index = read_index(path, stream)
        if index is None:
            source: Stream = ForeignStream(path, stream)
            guard = Guard()
        else:
            source = ChunkStream(chunk_data(path, stream, index))
            guard = Guard(files=index.facts.files, total=index.facts.bytes)
        found, kept = _read(source, guard, strict=index is not None)
    if manifest.CONTENTS not in kept or manifest.MANIFEST not in kept:
        raise PackageError(
            f"{path}: not made by PONCHO, there is no list of contents to verify it against",
            hint="make the package with poncho create",
        )
    if isinstance(source, ForeignStream) and source.is_compressed:
        raise damaged(path, "its header is missing; perhaps it was compressed again")
    listed = kept[manifest.CONTENTS]
    _compare(path, found, {item.path: item for item in parse(listed)})
    digest = manifest.digest(listed, kept[manifest.MANIFEST])
    files = sum(item.kind == "file" for item in found.values())
    size = sum(item.size for item in found.values())
    _totals(path, found, kept[manifest.MANIFEST])
    if index is not None:
        if digest != index.digest:
            raise damaged(path, "its content has another digest than its header says")
        if (files, size) != (index.facts.files, index.facts.bytes) or files != index.footer.files:
            raise damaged(path, "it does not hold as many files or bytes as it says")
    return Verified(digest, files, size)


def _read(source: Stream, guard: Guard, *, strict: bool) -> tuple[dict[str, Item], dict[str, bytes]]:
    found: dict[str, Item] = {}
    kept: dict[str, bytes] = {}
    reader = TarReader(source, strict=strict, exact=True)
    for member in reader:
        name = os.fsdecode(guard.check(member))
        if not name:
            continue
        found[name] = _item(name, member, reader, kept)
    return found, kept


def _item(name: str, member: TarMember, reader: TarReader, kept: dict[str, bytes]) -> Item:
    if member.kind == "link":
        return Item(name, "link", target=os.fsdecode(member.link))
    if member.kind == "directory":
        return Item(name, "directory")
    digest = hashlib.sha256()
    parts: list[bytes] | None = [] if name in (manifest.CONTENTS, manifest.MANIFEST) else None
    if parts is not None and member.size > _KEEP_LIMIT:
        raise PackageError(f"{name}: too large to be one of PONCHO's files", hint="do not use this file")
    for piece in reader.content():
        digest.update(piece)
        if parts is not None:
            parts.append(piece)
    if parts is not None:
        kept[name] = b"".join(parts)
    return Item(name, "file", digest.hexdigest(), member.mode, member.size)


def _compare(path: Path, found: dict[str, Item], listed: dict[str, Item]) -> None:
    for name in sorted(found.keys() | listed.keys()):
        if name == manifest.CONTENTS:
            continue
        if name not in listed:
            raise damaged(path, f"{name!r} is in it, but not in its list of contents")
        if name not in found:
            raise damaged(path, f"{name!r} is missing")
        if found[name] != listed[name]:
            raise damaged(path, f"{name!r} is not what the list of contents says")


def _totals(path: Path, found: dict[str, Item], text: bytes) -> None:
    try:
        totals = json.loads(text)["totals"]
        said = (totals["files"], totals["links"], totals["bytes"])
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, "its manifest") from error
    inside = [item for name, item in found.items() if name not in (manifest.CONTENTS, manifest.MANIFEST)]
    counted = (
        sum(item.kind == "file" for item in inside),
        sum(item.kind == "link" for item in inside),
        sum(item.size for item in inside),
    )
    if said != counted:
        raise damaged(path, "its manifest gives other totals")
