"""Something to look into, whatever its form: a package of ours, an archive of others, or a directory."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from poncho import _json, _regular
from poncho._frozen import Frozen
from poncho.errors import PackageError
from poncho.pack import manifest as names
from poncho.package import Item, Package, open_package
from poncho.package.contents import parse
from poncho.package.reading import open_members, read_members
from poncho.package.unpacked import image_below, verify_unpacked

_SPEC, _LOCK = "conda_spec.yml", "poncho/lock.json"
_STATE = ("poncho/state", ".poncho")
_TEXT_LIMIT = 64 << 20
_MAGIC = (
    (b"\x1f\x8b", "tar.gz"),
    (b"\x28\xb5\x2f\xfd", "tar.zst"),
    (b"\x50\x2a\x4d\x18", "tar.zst"),
    (b"BZh", "tar.bz2"),
    (b"\xfd7zXZ\0", "tar.xz"),
    (b"hsqs", "squashfs"),
    (b"#!", "sh"),
)


class Source(Protocol):
    """What every form can tell. ``manifest`` is empty and ``digest`` None where there is none; sizes are in bytes."""

    path: Path
    form: str
    is_poncho: bool
    digest: str | None
    packed: int | None
    manifest: Mapping[str, Any]
    spec_text: str | None
    lock_text: str | None
    owners_text: bytes | None

    def items(self) -> tuple[Item, ...]:
        """Return every member, ``poncho/contents`` among them where it is known; a digest of files only if it costs nothing."""

    def texts(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """Return the content of the files that ``wanted`` names."""

    def hashed(self) -> dict[str, Item]:
        """Return every member but ``poncho/contents`` by path, files with their sha256 as it was when they were packed."""


def open_source(path: Path) -> Source:
    """Open a package file, or the directory of an environment. Raises PackageError when it is neither."""
    return DirectorySource(path) if os.path.isdir(path) else PackageSource(open_package(path))


class PackageSource:
    """An archive, of ours or of others."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.path = package.path
        self.is_poncho = package.is_poncho
        self.digest: str | None = package.digest
        self.manifest = package.manifest
        self.spec_text = package.spec_text
        self.lock_text = package.lock_text
        self.owners_text = package.owners_text
        with self.path.open("rb") as stream:
            head = stream.read(8)
            self.packed: int | None = os.fstat(stream.fileno()).st_size
        self.form = next((form for magic, form in _MAGIC if head.startswith(magic)), "tar")

    def items(self) -> tuple[Item, ...]:
        text = self.package.contents_text
        own = [] if text is None else [Item(names.CONTENTS, "file", mode=0o644, size=len(text))]
        return (*self.package.contents(), *own)

    def texts(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        with open_members(self.path) as opened:
            return read_members(opened, wanted=wanted, hashed=False).texts

    def hashed(self) -> dict[str, Item]:
        if self.is_poncho:
            return {item.path: item for item in self.package.contents()}
        with open_members(self.path) as opened:
            return read_members(opened, wanted=lambda name: False).items


class DirectorySource:
    """A directory: a package unpacked, an entry of the store, a conda or virtual environment. It is only read.

    One that is made round a mounted image is links; what is in it stands in its list of contents.
    """

    form = "directory"
    packed: int | None = None
    owners_text: bytes | None = None

    def __init__(self, root: Path) -> None:
        self.path = root
        self._image = image_below(root)
        has_meta = any((root / name).exists() for name in ("poncho/contents", "conda-meta", "pyvenv.cfg"))
        if not has_meta and not any(root.glob("lib/python3.*/site-packages")):
            raise PackageError(
                f"{root}: is a directory that holds no environment",
                hint="name a package, a directory where one is unpacked, or a conda environment's directory",
            )
        contents, manifest = self._optional(names.CONTENTS), self._optional(names.MANIFEST)
        self.manifest = _object(manifest)
        self.is_poncho = contents is not None and self.manifest.get("format") == 1
        self.digest = names.digest(contents or b"", manifest or b"") if self.is_poncho else None
        self.spec_text = _text(self._optional(_SPEC))
        self.lock_text = _text(self._optional(_LOCK))

    def items(self) -> tuple[Item, ...]:
        return tuple(self._members())

    def texts(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        paths = (item.path for item in self._members() if item.kind == "file" and item.size <= _TEXT_LIMIT)
        return {path: self.read(path) for path in paths if wanted(path)}

    def hashed(self) -> dict[str, Item]:
        found = {item.path: item for item in self._members() if item.path != names.CONTENTS}
        as_packed: dict[str, Item] = {}
        if self.is_poncho:
            differences = verify_unpacked(self.path)
            changed = {difference.path for difference in differences}
            for difference in differences:
                if difference.what == "missing":
                    found.pop(difference.path, None)
            listed = parse(self.read(names.CONTENTS))
            as_packed = {item.path: item for item in listed if item.path in found and item.path not in changed}
        return {path: as_packed.get(path) or self._hash(item) for path, item in found.items()}

    def read(self, path: str) -> bytes:
        """Return a file's content. Raises PackageError when it cannot be read."""
        try:
            return _regular.read_bytes(self.path / path)
        except OSError as error:
            raise _unreadable(self.path / path, error) from error

    def _optional(self, path: str) -> bytes | None:
        file = self.path / path
        if not file.is_file() or file.stat().st_size > _TEXT_LIMIT:
            return None
        return self.read(path)

    def _members(self) -> Iterator[Item]:
        if self._image is None:
            return self._walk()
        text = self.read(names.CONTENTS)
        return chain(parse(text), [Item(names.CONTENTS, "file", mode=0o644, size=len(text))])

    def _walk(self) -> Iterator[Item]:
        # With a list of what is left: a function that calls itself does not get as deep as a path can.
        waiting = [("", _children(self.path), 0)]
        found = 0
        try:
            while waiting:
                relative, children, before = waiting[-1]
                child = next(children, None)
                if child is None:
                    waiting.pop()
                    if relative and found == before:
                        found += 1
                        yield Item(relative, "directory")
                    continue
                path = f"{relative}/{child.name}" if relative else child.name
                facts = child.stat(follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    if path not in _STATE:
                        waiting.append((path, _children(child.path), found))
                    continue
                if stat.S_ISLNK(facts.st_mode):
                    yield Item(path, "link", target=os.readlink(child.path))
                elif stat.S_ISREG(facts.st_mode):
                    yield Item(path, "file", mode=facts.st_mode & 0o777, size=facts.st_size)
                else:
                    continue
                found += 1
        except OSError as error:
            raise _unreadable(Path(error.filename or self.path), error) from error

    def _hash(self, item: Item) -> Item:
        if item.kind != "file":
            return item
        digest = hashlib.sha256()
        try:
            with (self.path / item.path).open("rb") as stream:
                while piece := stream.read(1 << 20):
                    digest.update(piece)
        except OSError as error:
            raise _unreadable(self.path / item.path, error) from error
        mode = 0o755 if item.mode & 0o111 else 0o644
        return Item(item.path, "file", digest.hexdigest(), mode, item.size)


def _children(directory: Path | str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return iter(sorted(entries, key=lambda entry: os.fsencode(entry.name)))


def _unreadable(path: Path, error: OSError) -> PackageError:
    return PackageError(
        f"{path}: cannot be read ({error.strerror})", hint="every file must be readable to be looked at"
    )


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "replace")


def _object(data: bytes | None) -> Mapping[str, Any]:
    try:
        value = _json.loads(data or b"{}")
    except ValueError:
        value = {}
    return Frozen(value if isinstance(value, dict) else {})
