"""The seam behind which a conda engine works: solve match specs to records, install records into a prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from poncho._types import Reporter
from poncho.lock.model import LockedConda


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """What to solve: match specs against channels in order of priority.

    ``channels`` are names or URLs (``file://`` too), first wins. ``constraints`` restrict a package if it is chosen.
    ``virtual_packages`` are ``name=version=build`` strings; None detects this machine's. ``platform`` is a conda
    subdir.
    """

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    platform: str
    constraints: tuple[str, ...] = ()
    virtual_packages: tuple[str, ...] | None = None
    offline: bool = False


class CondaEngine(Protocol):
    """Solve and install; nothing above knows which engine it is."""

    @property
    def name(self) -> str:
        """The engine's name for people: ``rattler``, or the command's own."""
        ...

    @property
    def identity(self) -> str:
        """Which program, in which version, does the work: with another one, solutions and prefixes may be others."""
        ...

    def solve(self, request: SolveRequest, *, reporter: Reporter) -> tuple[LockedConda, ...]:
        """Return the records of a solution, sorted by name.

        Raises ResolveError with the solver's own words, FetchError for a channel that cannot be read.
        """
        ...

    def install(
        self, records: Sequence[LockedConda], prefix: Path, *, platform: str, offline: bool, reporter: Reporter
    ) -> None:
        """Install exactly ``records`` into the new directory ``prefix`` (which must not exist or be empty).

        Raises FetchError (a package cannot be downloaded or its sha256 differs), BuildError (a link script failed, the
        disk is full; two packages that hold the same file are a warning to the reporter).
        """
        ...

    def virtual_packages(self, platform: str) -> tuple[str, ...]:
        """Return the virtual packages that a solve for ``platform`` assumes, as ``name=version=build`` strings."""
        ...
