"""What is in a package, how big it is, and where it comes from: one value, and its JSON form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._arguments import as_path
from poncho.errors import PackageError
from poncho.look.origin import Origin, origins, read_lock
from poncho.look.parts import Parts, find_parts
from poncho.look.source import Source, open_source
from poncho.package import Item
from poncho.package.owners import OTHER, PONCHO, Owner

_PYTHON_DIRECTORY = re.compile(r"lib/python(3\.\d+)/")
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Part:
    """One conda package, distribution, or git or http location, and what it takes: files, and bytes unpacked."""

    owner: Owner
    name: str
    version: str
    build: str
    origin: Origin
    files: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; what is unknown is left out."""
        known = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "kind": self.owner.kind,
            "origin": self.origin.where,
            "url": self.origin.url,
            "sha256": self.origin.sha256,
            "subdir": self.origin.subdir,
        }
        return {key: value for key, value in known.items() if value} | {"files": self.files, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class Inventory:
    """A package, an archive of others, or a directory, looked into. ``parts`` are sorted by size, the largest first.

    ``own`` and ``other`` count (files, bytes) of what PONCHO added and of what nobody brought. ``files``, ``links`` and
    ``bytes`` are of the environment; ``packed`` is the file's size. ``base`` is the version of the interpreter that comes from
    the building machine. ``spec`` is the spec's JSON value.
    """

    path: Path
    form: str
    is_poncho: bool
    digest: str | None
    packed: int | None
    files: int
    links: int
    bytes: int
    python: str | None
    platform: str | None
    glibc: str | None
    cpu: str | None
    channels: tuple[str, ...]
    base: str | None
    variables: Mapping[str, str]
    parts: tuple[Part, ...]
    own: tuple[int, int]
    other: tuple[int, int]
    spec: object
    items: tuple[Item, ...] = field(repr=False)
    owners: Mapping[str, Owner] = field(repr=False)

    def of_kind(self, *kinds: str) -> tuple[Part, ...]:
        """Return the parts of these kinds (``conda``, ``pip``, ``data``), the largest first."""
        return tuple(part for part in self.parts if part.owner.kind in kinds)

    def largest(self, number: int) -> list[Item]:
        """Return the largest files."""
        return nlargest(
            number, (item for item in self.items if item.kind == "file"), key=lambda item: (item.size, item.path)
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything but the list of files as JSON values (docs/inspect.md describes the keys)."""
        return {
            "path": str(self.path),
            "format": self.form,
            "poncho": self.is_poncho,
            "digest": self.digest,
            "packed_bytes": self.packed,
            "unpacked_bytes": self.bytes,
            "files": self.files,
            "links": self.links,
            "python": self.python,
            "requires": {"platform": self.platform, "glibc": self.glibc, "cpu": self.cpu},
            "channels": list(self.channels),
            "base": self.base,
            "variables": dict(self.variables),
            "packages": [part.to_json() for part in self.of_kind("conda", "pip")],
            "data": [part.to_json() for part in self.of_kind("data")],
            "own": {"files": self.own[0], "bytes": self.own[1]},
            "other": {"files": self.other[0], "bytes": self.other[1]},
            "largest_files": [self._file(item) for item in self.largest(_NAMED)],
            "spec": self.spec,
        }

    def _file(self, item: Item) -> dict[str, Any]:
        owner = self.owners.get(item.path, OTHER)
        return {"path": item.path, "bytes": item.size, "kind": owner.kind, "package": owner.name or None}


def look(path: Path | str) -> Inventory:
    """Look into a package, an archive of others, or a directory. Nothing is unpacked, written or executed.

    Of a package of ours only the beginning and the end are read. Raises PackageError for what is none of these, is damaged
    or hostile.
    """
    return take_inventory(open_source(as_path(path, "a package")))


def take_inventory(source: Source) -> Inventory:
    """Count what is in ``source``. Raises PackageError."""
    items = source.items()
    parts = find_parts(source, items)
    lock = read_lock(source.lock_text)
    sizes: dict[Owner, list[int]] = {}
    for item in items:
        counted = sizes.setdefault(parts.owners.get(item.path, OTHER), [0, 0])
        counted[0] += item.kind == "file"
        counted[1] += item.size
    requires = _mapping(source.manifest.get("requires"))
    python = _word(source.manifest.get("python")) or _python(parts, items)
    return Inventory(
        path=source.path,
        form=source.form,
        is_poncho=source.is_poncho,
        digest=source.digest,
        packed=source.packed,
        files=sum(item.kind == "file" for item in items),
        links=sum(item.kind == "link" for item in items),
        bytes=sum(item.size for item in items),
        python=python,
        platform=_word(requires.get("platform")) or (lock.platform if lock else None),
        glibc=_word(requires.get("glibc")),
        cpu=_word(requires.get("cpu")),
        channels=lock.channels if lock else (),
        base=lock.base.version if lock and lock.base else None,
        variables={str(name): str(value) for name, value in _mapping(source.manifest.get("variables")).items()},
        parts=_parts(parts, origins(lock), sizes),
        own=_pair(sizes.get(PONCHO)),
        other=_pair(sizes.get(OTHER)),
        spec=_parsed(source.spec_text),
        items=items,
        owners=parts.owners,
    )


def _parts(parts: Parts, origin: Mapping[Owner, Origin], sizes: Mapping[Owner, list[int]]) -> tuple[Part, ...]:
    found: dict[Owner, Part] = {}
    for named in parts.packages:
        owner = named.owner
        files, size = _pair(sizes.get(owner))
        found[owner] = Part(owner, named.name, named.version, named.build, origin.get(owner, Origin()), files, size)
    for owner, (files, size) in sizes.items():
        if owner not in found and owner not in (PONCHO, OTHER):
            found[owner] = Part(owner, owner.name, "", "", origin.get(owner, Origin()), files, size)
    return tuple(sorted(found.values(), key=lambda part: (-part.bytes, part.owner)))


def _pair(counted: list[int] | None) -> tuple[int, int]:
    return (counted[0], counted[1]) if counted else (0, 0)


def _python(parts: Parts, items: tuple[Item, ...]) -> str | None:
    for named in parts.packages:
        if (named.kind, named.name) == ("conda", "python"):
            return named.version
    found = (_PYTHON_DIRECTORY.match(item.path) for item in items)
    return next((match[1] for match in found if match), None)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _parsed(text: str | None) -> object:
    if text is None:
        return None
    try:
        return _json.loads(text)
    except ValueError as error:
        raise PackageError("conda_spec.yml in the package is no JSON text", hint="look at it with --spec") from error
