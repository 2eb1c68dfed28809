"""Who brought which file: conda packages by ``conda-meta``, wheels by their RECORD."""

from __future__ import annotations

import csv
import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poncho.pack.editable import normalise

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
    ``texts``: files into which conda has put the prefix as text.

    ``distributions``: dist-info directory -> the files in its RECORD.
    """

    packages: list[Installed] = field(default_factory=list)
    groups: dict[str, tuple[int, str]] = field(default_factory=dict)
    placeholders: dict[str, int] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    distributions: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: Owners) -> None:
        """Take in what another tree's records say; where both know a file, the other one's owner has it."""
        names = {(package.kind, normalise(package.name)) for package in other.packages}
        kept = [package for package in self.packages if (package.kind, normalise(package.name)) not in names]
        self.packages[:] = sorted(
            kept + other.packages, key=lambda package: (package.kind, package.name, package.version)
        )
        self.groups |= other.groups
        self.placeholders |= other.placeholders
        self.texts |= other.texts
        self.distributions |= other.distributions


def find_owners(prefix: Path, files: Mapping[str, object]) -> Owners:
    """Read conda-meta and every RECORD among ``files`` (relative to the prefix). What is unreadable owns nothing."""
    owners = Owners()
    for path in sorted(path for path in files if path.startswith("conda-meta/") and path.endswith(".json")):
        _conda(prefix, path, owners)
    for path in sorted(path for path in files if path.endswith(_METADATA)):
        directory, name = posixpath.split(path)
        _distribution(prefix, directory, name, files, owners)
    owners.packages.sort(key=lambda package: (package.kind, package.name, package.version))
    return owners


def _conda(prefix: Path, path: str, owners: Owners) -> None:
    try:
        record: Any = json.loads((prefix / path).read_bytes())
        name, version, build = str(record["name"]), str(record["version"]), str(record.get("build", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    group = (_PACKAGES, f"{name} conda")
    owners.packages.append(Installed(name, version, build, "conda"))
    owners.groups[path] = group
    for file in record.get("files") or ():
        owners.groups[str(file)] = group
    data = record.get("paths_data")
    for item in (data.get("paths") or ()) if isinstance(data, dict) else ():
        if not isinstance(item, dict):
            continue
        file = str(item.get("_path", ""))
        owners.groups[file] = group
        placeholder = item.get("prefix_placeholder")
        if isinstance(placeholder, str) and placeholder:
            if item.get("file_mode") == "binary":
                owners.placeholders[file] = len(os.fsencode(placeholder))
            else:
                owners.texts.add(file)


def _distribution(prefix: Path, directory: str, metadata: str, files: Mapping[str, object], owners: Owners) -> None:
    if f"{directory}/{metadata}" in owners.groups:
        return  # a conda package brought it
    name, version = _name_and_version(prefix / directory / metadata)
    if not name:
        name = posixpath.basename(directory).split("-", 1)[0]
    group = (_PACKAGES, f"{normalise(name)} pip")
    owners.packages.append(Installed(name, version, "", "pip"))
    listed = [path for path in record_paths(prefix, directory) if path in files]
    owners.distributions[directory] = listed
    for path in listed:
        owners.groups.setdefault(path, group)
    for path in (f"{directory}/{metadata}", f"{directory}/RECORD"):
        owners.groups.setdefault(path, group)


def _name_and_version(path: Path) -> tuple[str, str]:
    found = {"name": "", "version": ""}
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        return "", ""
    for line in head.decode("utf-8", "replace").splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        if key.lower() in found:
            found[key.lower()] = value.strip()
    return found["name"], found["version"]


def record_paths(prefix: Path, directory: str) -> Iterator[str]:
    """Yield the files that a dist-info directory's RECORD lists, relative to the prefix."""
    try:
        text = (prefix / directory / "RECORD").read_text("utf-8", "surrogateescape")
    except OSError:
        return
    site = posixpath.dirname(directory)
    for line in text.splitlines():
        name = next(csv.reader([line]))[0] if line.startswith('"') else line.partition(",")[0]
        if name and not name.startswith("/"):
            path = f"{site}/{name}"
            yield posixpath.normpath(path) if ".." in name or "//" in name else path
