"""Who brought what: the conda packages, distributions and data in an environment, each with its files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from poncho import _regular
from poncho.errors import PackageError
from poncho.look.source import DirectorySource, Source
from poncho.pack.editable import normalise
from poncho.pack.owners import owners_among
from poncho.pack.pyc import source_of
from poncho.package import Item
from poncho.package.owners import OTHER, PONCHO, Owner, own_owner, read_owners

_DESCRIPTION = re.compile(
    r"conda-meta/[^/]+\.json\Z|.*\.dist-info/(?:METADATA|RECORD)\Z|.*\.egg-info/PKG-INFO\Z", re.DOTALL
)
# What conda-pack adds to an environment, and so do we.
_SCRIPTS = frozenset(f"bin/{name}" for name in ("activate", "deactivate", "activate.fish", "conda-unpack"))


@dataclass(frozen=True, slots=True)
class Named:
    """A package by its names: ``kind`` is ``conda`` or ``pip``."""

    kind: str
    name: str
    version: str
    build: str = ""

    @property
    def owner(self) -> Owner:
        """Return what its members are listed under."""
        return Owner("conda", self.name) if self.kind == "conda" else Owner("pip", normalise(self.name))


@dataclass(frozen=True, slots=True)
class Parts:
    """The packages in an environment, and the owner of each member by path."""

    packages: tuple[Named, ...]
    owners: Mapping[str, Owner] = field(repr=False)


def is_description(path: str) -> bool:
    """Tell whether a file says what a conda package or distribution is, or which files it has."""
    return _DESCRIPTION.match(path) is not None


def find_parts(source: Source, items: Sequence[Item]) -> Parts:
    """Return who brought the ``items`` of ``source``.

    A package of ours says so itself; of everything else, ``conda-meta`` and the distributions' RECORD are read: for an archive
    that takes reading it through.
    """
    paths = [item.path for item in items]
    if source.owners_text is not None:
        return Parts(_listed(source.manifest), read_owners(source.owners_text, paths))
    texts = {} if isinstance(source, DirectorySource) else source.texts(is_description)

    def read(path: str) -> bytes:
        if isinstance(source, DirectorySource):
            return _regular.read_bytes(source.path / path)
        if path in texts:
            return texts[path]
        raise FileNotFoundError(path)

    files = dict.fromkeys(item.path for item in items if item.kind == "file")
    found = owners_among(files, read)
    packages = tuple(Named(item.kind, item.name, item.version, item.build) for item in found.packages)
    return Parts(packages, {path: _owner(path, found.groups) for path in paths})


def _owner(path: str, groups: Mapping[str, tuple[int, str]]) -> Owner:
    group = groups.get(path) or groups.get(source_of(path) or "")
    if group is not None:
        name, _, kind = group[1].rpartition(" ")
        return Owner("conda" if kind == "conda" else "pip", name)
    return own_owner(path) or (PONCHO if path in _SCRIPTS else OTHER)


def _listed(manifest: Mapping[str, object]) -> tuple[Named, ...]:
    packages = manifest.get("packages")
    if not isinstance(packages, list) or not all(isinstance(item, dict) for item in packages):
        raise PackageError("the package's manifest has no list of packages", hint="copy the package again")
    return tuple(
        Named(*(str(item.get(key) or "") for key in ("kind", "name", "version", "build"))) for item in packages
    )
