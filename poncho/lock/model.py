"""A lock: exactly which bytes an environment is made of, as plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poncho._frozen import Frozen
from poncho.spec.model import Spec


@dataclass(frozen=True, slots=True)
class LockedConda:
    """One conda package. ``url`` may hold credentials in memory; the codec writes it without them.

    ``record`` is the repodata record (a JSON object) as the engine gave it, so that an install needs no channel index.
    """

    name: str
    version: str
    build: str
    subdir: str
    channel: str
    url: str
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    record: Mapping[str, object] = field(default_factory=Frozen)

    @property
    def filename(self) -> str:
        """Return the archive's file name, the last part of the URL."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class LockedPip:
    """One distribution that pip installs: a wheel or sdist by URL and sha256, or a local or VCS requirement.

    ``requirement`` is what to hand to the installer (``name==version``, ``name @ URL``, or an absolute path for local code,
    in which case ``sha256`` is the digest of that tree's content). ``size`` is in bytes, where the index says it.
    """

    name: str
    version: str
    requirement: str
    url: str | None = None
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class LockedGit:
    """One git repository at one commit (40 hexadecimal digits)."""

    remote: str
    commit: str
    ref: str | None = None
    depth: int | None = None
    submodules: bool = False
    lfs: bool = False
    subdirectory: str | None = None


@dataclass(frozen=True, slots=True)
class LockedHttp:
    """One http file by the sha256 of the bytes that were transferred (before any decompression).

    ``headers`` maps a header's name to the NAME of the environment variable that holds its value, as in a spec.
    """

    url: str
    sha256: str
    size: int
    type: str = "file"
    compression: str | None = None
    filename: str | None = None
    headers: Mapping[str, str] = field(default_factory=Frozen)


@dataclass(frozen=True, slots=True)
class LockedBase:
    """The interpreter of this machine that serves as base: what it is, not where it lies."""

    version: str
    kind: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Everything an environment is made of, for one platform (a conda subdir such as ``linux-64``).

    ``spec`` is what was asked for, as it may travel (``poncho.spec.portable``), and ``spec_digest`` its digest.
    """

    platform: str
    spec_digest: str
    virtual_packages: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    base: LockedBase | None = None
    spec: Spec | None = None
    conda: tuple[LockedConda, ...] = ()
    pip: tuple[LockedPip, ...] = ()
    git: Mapping[str, LockedGit] = field(default_factory=Frozen)
    http: Mapping[str, LockedHttp] = field(default_factory=Frozen)
