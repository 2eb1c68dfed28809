"""Who brought which file: conda packages by ``conda-meta``, wheels by their RECORD."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from poncho import _conda_record, _regular
from poncho._noarch import in_prefix
from poncho.pack import scrub
from poncho.pack.editable import normalise

Read = Callable[[str], bytes]

_PACKAGES = 1
_METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO")


@dataclass(frozen=True, slots=True)
class Installed:
    """One installed package as the manifest lists it; ``kind`` is ``conda`` or ``pip``."""

    name: str
    version: str
    build: str
    kind: str


@dataclass(slots=True)
class Owners:
    """``groups``: file -> sort key of its group. ``placeholders``: file -> length of conda's binary placeholder.
    ``texts``: files into which conda has put the prefix as text. ``replaced``: files into which libmamba has put it, which
    does not say how.

    ``distributions``: dist-info directory -> the files in its RECORD. ``unread`` says which of conda's records are none.
    """

    packages: list[Installed] = field(default_factory=list)
    groups: dict[str, tuple[int, str]] = field(default_factory=dict)
    placeholders: dict[str, int] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    distributions: dict[str, list[str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def add(self, other: Owners) -> None:
        """Take in what another tree's records say; where both know a file, the other one's owner has it."""
        names = {(package.kind, normalise(package.name)) for package in other.packages}
        kept = [package for package in self.packages if (package.kind, normalise(package.name)) not in names]
        self.packages[:] = sorted(
            kept + other.packages, key=lambda package: (package.kind, package.name, package.version)
        )
        self.groups |= other.groups
        self.placeholders |= other.placeholders
        self.replaced |= other.replaced
        self.texts |= other.texts
        self.distributions |= other.distributions


def find_owners(
    prefix: Path, files: Mapping[str, object], recorded: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Owners:
    """Read conda-meta and every RECORD among ``files`` (relative to the prefix). What is unreadable owns nothing.

    ``recorded`` is what some RECORDs list, by their directories, where that was read already.
    """
    return owners_among(files, reader_in(prefix), recorded)


def reader_in(prefix: Path) -> Read:
    """Return what reads files of a prefix, by their relative paths."""
    return lambda path: _regular.read_bytes(f"{prefix}/{path}")


def owners_among(
    files: Mapping[str, object], read: Read, recorded: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Owners:
    """Do so wherever the files are; ``read`` gives the content of one by its path, or raises OSError."""
    owners = Owners()
    for path in sorted(path for path in files if path.startswith("conda-meta/") and path.endswith(".json")):
        _conda(read, path, owners)
    for path in sorted(path for path in files if path.endswith(_METADATA)):
        directory, name = posixpath.split(path)
        _distribution(read, directory, name, files, owners, recorded)
    owners.packages.sort(key=lambda package: (package.kind, package.name, package.version))
    return owners


def _conda(read: Read, path: str, owners: Owners) -> None:
    try:
        record = _conda_record.loads(read(path))
    except OSError:
        return
    except ValueError as error:
        owners.unread.append(
            f"{path}: is no record of a conda package, and is left out ({error}): install that one again"
        )
        return
    if "name" not in record or "version" not in record:
        return  # what was no record when an earlier package was made
    name, version, build = record["name"], str(record["version"]), str(record.get("build", ""))
    files, data = record.get("files") or [], record.get("paths_data") or {}
    group = (_PACKAGES, f"{name} conda")
    owners.packages.append(Installed(name, version, build, "conda"))
    owners.groups[path] = group
    for file in files:
        owners.groups[file] = group
    for item in in_prefix(data.get("paths") or (), files):
        file = str(item["_path"])
        owners.groups[file] = group
        placeholder = item.get("prefix_placeholder")
        if isinstance(placeholder, str) and placeholder:
            if item.get("file_mode") == "binary":
                owners.placeholders[file] = len(placeholder.encode("utf-8", "surrogatepass"))
            else:
                owners.texts.add(file)
        elif scrub.replaced(item):
            owners.replaced.add(file)


def _distribution(
    read: Read,
    directory: str,
    metadata: str,
    files: Mapping[str, object],
    owners: Owners,
    recorded: Mapping[str, Sequence[str]],
) -> None:
    if f"{directory}/{metadata}" in owners.groups:
        return  # a conda package brought it
    name, version = _name_and_version(read, f"{directory}/{metadata}")
    if not name:
        name = posixpath.basename(directory).split("-", 1)[0]
    group = (_PACKAGES, f"{normalise(name)} pip")
    owners.packages.append(Installed(name, version, "", "pip"))
    paths = recorded.get(directory)
    listed = [path for path in (record_paths(read, directory) if paths is None else paths) if path in files]
    owners.distributions[directory] = listed
    for path in listed:
        owners.groups.setdefault(path, group)
    for path in (f"{directory}/{metadata}", f"{directory}/RECORD"):
        owners.groups.setdefault(path, group)


def _name_and_version(read: Read, path: str) -> tuple[str, str]:
    found = {"name": "", "version": ""}
    try:
        head = read(path)[:4096]
    except OSError:
        return "", ""
    for line in head.decode("utf-8", "replace").splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        if key.lower() in found:
            found[key.lower()] = value.strip()
    return found["name"], found["version"]


def record_paths(read: Read, directory: str) -> list[str]:
    """Return the files that a dist-info directory's RECORD lists, relative to the prefix."""
    try:
        text = read(f"{directory}/RECORD").decode("utf-8", "surrogateescape")
    except OSError:
        return []
    start = f"{posixpath.dirname(directory)}/"
    found = []
    for line in text.splitlines():
        name = _first_field(line) if line.startswith('"') else line.partition(",")[0]
        if name and not name.startswith("/"):
            found.append(posixpath.normpath(start + name) if ".." in name or "//" in name else start + name)
    return found


def _first_field(line: str) -> str:
    try:
        return next(csv.reader([line]), [""])[0]
    except csv.Error:
        return ""
