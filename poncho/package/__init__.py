"""Look into a package: what it is, what it holds, whether it is whole, and how to run something in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from poncho import _json
from poncho._arguments import as_path
from poncho._frozen import Frozen
from poncho.errors import PackageError
from poncho.pack import manifest as names
from poncho.pack.layout import Facts
from poncho.pack.ownership import OWNERS
from poncho.package.archive import ChunkStream, ForeignStream, Index, Stream, chunk_data, damaged, open_file, read_index
from poncho.package.contents import Item, parse
from poncho.package.functions import FunctionCheck, Loaded, verify_function, verify_imports
from poncho.package.guard import Guard
from poncho.package.reading import foreign_guard, open_members, read_members
from poncho.package.squashfs import Image, is_image
from poncho.package.tarstream import TarReader
from poncho.package.verify import Verified, verify
from poncho.runner import run_command

__all__ = [
    "FunctionCheck",
    "Item",
    "Loaded",
    "Package",
    "Verified",
    "open_package",
    "verify",
    "verify_function",
    "verify_imports",
]

_SPEC, _LOCK = "conda_spec.yml", "poncho/lock.json"
_WANTED = frozenset({_SPEC, _LOCK, names.MANIFEST, names.CONTENTS, OWNERS})
_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Package:
    """One package file. ``digest`` names its content: 64 hexadecimal digits (of the file itself, for other people's
    archives).

    ``manifest`` is the JSON object of ``poncho/manifest.json``, empty where ``is_poncho`` is False; ``facts`` is what
    the header says, None for archives without one.
    """

    path: Path
    digest: str
    manifest: Mapping[str, Any] = field(repr=False)
    is_poncho: bool
    facts: Facts | None = None
    _texts: Mapping[str, bytes] = field(default_factory=Frozen, repr=False)

    @property
    def spec_text(self) -> str | None:
        """Return the spec that the package was made from, as JSON text."""
        return self._text(_SPEC)

    @property
    def lock_text(self) -> str | None:
        """Return the lock: exactly what was installed, as JSON text."""
        return self._text(_LOCK)

    @property
    def owners_text(self) -> bytes | None:
        """Return the content of ``poncho/owners``: who brought each member (``package.owners`` reads it)."""
        return self._texts.get(OWNERS)

    @property
    def contents_text(self) -> bytes | None:
        """Return ``poncho/contents``, None in other people's archives."""
        return self._texts.get(names.CONTENTS) if self.is_poncho else None

    def contents(self) -> Iterator[Item]:
        """Yield what is inside, ``poncho/contents`` left out.

        Other people's archives are read through for that, and have no sha256.
        Raises PackageError for an archive that is damaged or hostile.
        """
        listed = self._texts.get(names.CONTENTS)
        if listed is not None:
            yield from parse(listed)
            return
        with open_members(self.path) as opened:
            yield from read_members(opened, wanted=lambda name: False, hashed=False).items.values()

    def command(self, argv: Sequence[str], *, unpack_to: Path | None = None) -> list[str]:
        """Return the argument list that runs ``argv`` in this package, for ``subprocess`` or a batch system.

        ``unpack_to`` is a directory to unpack into instead of the store. Raises BuildError when the runner is missing
        from the installation.
        """
        return run_command(self.path, argv, unpack_to=unpack_to)

    def verify(self) -> Verified:
        """Check every byte; see ``verify``."""
        return verify(self.path)

    def verify_function(self, function: Any) -> FunctionCheck:
        """Unpickle a live function in here, in a clean process, and import what it needs; see ``verify_function``."""
        return verify_function(self.path, function)

    def _text(self, name: str) -> str | None:
        data = self._texts.get(name)
        return None if data is None else data.decode("utf-8", "replace")


def open_package(path: Path | str) -> Package:
    """Open a package file: ours (reading its beginning and its end only), or a tar or squashfs image that others made.

    Raises PackageError when the file is missing, is no archive, is truncated, or its own files are damaged.
    """
    path = as_path(path, "a package")
    with open_file(path) as stream:
        if is_image(stream):
            return _image(path, stream)
        index = read_index(path, stream)
        if index is not None:
            kept = _wanted(ChunkStream(chunk_data(path, stream, index, index.footer.meta_chunk)))
            return _ours(path, kept, index)
        guard = foreign_guard(stream)
        kept = _wanted(ForeignStream(path, stream), guard)
        if names.MANIFEST in kept and names.CONTENTS in kept:
            return _ours(path, kept, None)
        return Package(path, _sha256(stream), Frozen(), False, _texts=Frozen(kept))


def _image(path: Path, stream: BinaryIO) -> Package:
    image = Image(path, stream)
    found = ((name, image.read(name, _LIMIT)) for name in sorted(_WANTED))
    kept = {name: data for name, data in found if data is not None}
    if image.digest is not None or {names.MANIFEST, names.CONTENTS} <= kept.keys():
        return _ours(path, kept, image)
    return Package(path, _sha256(stream), Frozen(), False, _texts=Frozen(kept))


def _ours(path: Path, kept: Mapping[str, bytes], index: Index | Image | None) -> Package:
    if names.MANIFEST not in kept or names.CONTENTS not in kept:
        raise damaged(path, "it has no manifest or no list of contents")
    digest = names.digest(kept[names.CONTENTS], kept[names.MANIFEST])
    if index is not None and index.digest not in (None, digest):
        raise damaged(path, "its content has another digest than its header says")
    try:
        value = _json.loads(kept[names.MANIFEST])
    except ValueError as error:
        raise damaged(path, "its manifest") from error
    if not isinstance(value, dict) or value.get("format") != 1:
        raise PackageError(f"{path}: a package of another format", hint="use a newer PONCHO")
    facts = None if index is None else index.facts
    return Package(path, digest, Frozen(value), True, facts, Frozen(dict(kept)))


def _wanted(stream: Stream, guard: Guard | None = None) -> dict[str, bytes]:
    """Read through a stream and keep the members that describe the package."""
    kept: dict[str, bytes] = {}
    reader = TarReader(stream, strict=guard is None)
    for member in reader:
        name = member.path if guard is None else os.fsdecode(guard.check(member))
        if name not in _WANTED or member.kind != "file":
            continue
        if member.size > _LIMIT:
            raise PackageError(f"{name}: too large to be one of PONCHO's files", hint="do not use this file")
        kept[name] = b"".join(reader.content())
    return kept


def _sha256(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()
