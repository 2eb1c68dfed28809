"""See that pip packages left the conda packages whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from poncho._types import Event, Reporter
from poncho.engine.conda_meta import read_records
from poncho.errors import BuildError
from poncho.install.records import recorded_distributions


@dataclass(frozen=True, slots=True)
class CondaDistribution:
    """A Python distribution that a conda package brought: its METADATA file in the prefix, and that file's identity."""

    package: str
    metadata: str
    stamp: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class CondaFiles:
    """What conda installed: the owner (``numpy 1.26.4``) of each path in the prefix, and the Python distributions."""

    owners: Mapping[str, str]
    distributions: Mapping[str, CondaDistribution]


def conda_files(prefix: Path) -> CondaFiles:
    """Return which conda package owns which file and which Python distribution of ``prefix``, from ``conda-meta``."""
    owners: dict[str, str] = {}
    distributions: dict[str, CondaDistribution] = {}
    for _, record in read_records(prefix):
        package = f"{record.get('name')} {record.get('version')}"
        for path in map(str, record.get("files") or ()):
            owners[path] = package
            parent, _, file = path.rpartition("/")
            if file == "METADATA" and parent.endswith(".dist-info"):
                name = canonicalize_name(os.path.basename(parent).partition("-")[0])
                distributions[name] = CondaDistribution(package, path, _stamp(prefix / path))
    return CondaFiles(owners, distributions)


def check_collisions(prefix: Path, before: CondaFiles, reporter: Reporter) -> None:
    """Compare ``prefix`` with what conda had installed before pip came.

    Raises BuildError when a pip package replaced a conda package; warns where one overwrote single files of another's.
    """
    now = {item.name: item for item in recorded_distributions(prefix)}
    for name, distribution in sorted(before.distributions.items()):
        if _stamp(prefix / distribution.metadata) != distribution.stamp:
            by = f"pip package {name} {now[name].version}" if name in now else "a pip package"
            raise BuildError(
                f"{by} replaced conda package {distribution.package}",
                hint=f"ask for {name} in one place only: conda or pip",
            )
    for name, item in sorted(now.items()):
        taken = [] if name in before.distributions else sorted(before.owners.keys() & set(item.files))
        if taken:
            others = ", ".join(sorted({before.owners[path] for path in taken}))
            more = f" and {len(taken) - 1} more files" if len(taken) > 1 else ""
            message = f"pip package {name} {item.version} overwrote {taken[0]}{more} of conda package {others}"
            reporter(Event("warning", "pip", message))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns)
