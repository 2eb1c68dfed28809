"""A spec: what an application wants, as plain frozen values.

What is read is described by ``specs/spec.schema.json``; the codec turns its dialects into these values and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from poncho._frozen import Frozen

Compression = Literal["gzip", "bz2", "xz", "zst"]
HttpType = Literal["file", "tar", "zip"]


def _empty() -> Mapping[str, str]:
    return Frozen()


@dataclass(frozen=True, slots=True)
class GitSource:
    """A git repository at one ref, found at run time through an environment variable.

    ``ref`` is a branch, a tag or a commit (None: the remote's HEAD). ``subdirectory`` is where the variable points,
    relative to the repository's root.
    """

    remote: str
    ref: str | None = None
    depth: int | None = None
    submodules: bool = False
    lfs: bool = False
    subdirectory: str | None = None


@dataclass(frozen=True, slots=True)
class HttpSource:
    """A file, or an archive to extract, from http(s).

    ``headers`` maps a header's name to the NAME of the environment variable that holds its value, so that a spec never
    holds a secret. ``filename`` is the name in the package; None takes it from the URL.
    """

    url: str
    type: HttpType = "file"
    compression: Compression | None = None
    sha256: str | None = None
    filename: str | None = None
    headers: Mapping[str, str] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class Spec:
    """What an environment must hold.

    ``channels`` is in order of priority and is never re-ordered. ``conda`` holds conda match specs
    (``numpy=1.26``, ``conda-forge::root``), ``pip`` PEP 508 requirements or local paths, ``pinned`` exact
    conda versions by name. ``python`` is a version or version range. ``git`` and ``http`` are keyed by the name of the
    environment variable.
    ``source`` names where the spec was read from, for messages only; it is no part of equality.
    """

    channels: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    python: str | None = None
    pinned: Mapping[str, str] = field(default_factory=_empty)
    git: Mapping[str, GitSource] = field(default_factory=Frozen)
    http: Mapping[str, HttpSource] = field(default_factory=Frozen)
    source: str | None = field(default=None, compare=False)

    @property
    def names_a_channel(self) -> bool:
        """Tell whether the spec needs a conda channel; without one the base interpreter comes from this machine."""
        return bool(self.channels) or any("::" in match for match in self.conda)
