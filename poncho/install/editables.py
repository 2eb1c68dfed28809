"""Local code that an environment holds by reference: built as wheels and installed into a directory to pack over it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poncho._types import Event, Reporter
from poncho.errors import BuildError, PonchoError
from poncho.install.distributions import EditableDistribution, editable_distributions
from poncho.install.local import stage_local
from poncho.install.pip import PipTool
from poncho.lock.model import LockedPip
from poncho.resolution.local import locked_directory
from poncho.store import BuilderCache

_PROJECT_FILES = ("pyproject.toml", "setup.py")


@dataclass(frozen=True, slots=True)
class LocalWheels:
    """What was built: the names of the editable installs that it stands for, and the lock entries (by content)."""

    replaces: frozenset[str] = frozenset()
    locked: tuple[LockedPip, ...] = ()


def install_editables(
    prefix: Path,
    python: Path,
    into: Path,
    *,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter,
    environ: Mapping[str, str],
) -> LocalWheels:
    """Build the code that is installed editable in ``prefix`` and install it into ``into``, laid out as a prefix.

    ``python`` is the environment's interpreter. The code's directories and the prefix are only read: a copy is built.
    Raises BuildError that lists all that cannot be built because it is no project, or is gone, before anything is built.
    """
    found = [item for item in editable_distributions(prefix) if not _is_inside(item, prefix)]
    if not found:
        return LocalWheels()
    _refuse([item for item in found if not _is_project(item)])
    locked: list[LockedPip] = []
    with cache.scratch("editable") as work:
        tool = PipTool(python, cache, environ, offline, work, reporter)
        wheels = work / "wheels"
        for number, item in enumerate(found):
            assert item.source is not None
            reporter(
                Event(
                    "warning",
                    "pip",
                    f"{item.name} is installed editable: the code in {item.source} is packed as it is now",
                )
            )
            staged = stage_local(item.source, work / "source" / str(number))
            try:
                tool.wheel(staged, wheels)
            except PonchoError as error:
                raise BuildError(
                    f"{item.name}, installed editable from {item.source}, cannot be built: {error.message}",
                    hint="install it without -e, or leave it out with --ignore-editable-packages",
                    context=error.context,
                ) from error
            locked.append(locked_directory(item.name, item.version, item.source))
        tool.install_into(into, wheels)
    return LocalWheels(frozenset(item.name for item in found), tuple(locked))


def _is_inside(item: EditableDistribution, prefix: Path) -> bool:
    # Not Path.resolve(): it raises for links that lead in a circle, before Python 3.13.
    return item.source is not None and Path(os.path.realpath(item.source)).is_relative_to(os.path.realpath(prefix))


def _is_project(item: EditableDistribution) -> bool:
    return item.source is not None and any(os.path.isfile(item.source / name) for name in _PROJECT_FILES)


def _where(item: EditableDistribution) -> str:
    if item.source is None:
        return str(item.evidence)
    return f"{item.source}" if os.path.exists(item.source) else f"{item.source}, which is gone"


def _refuse(items: Sequence[EditableDistribution]) -> None:
    if items:
        listed = ", ".join(f"{item.name} ({_where(item)})" for item in items)
        raise BuildError(
            f"local code that the environment refers to cannot be packed, it is no project that can be built: {listed}",
            hint="give it a pyproject.toml, put it inside the environment, or leave it out with --ignore-editable-packages",
            context={"editable": sorted(item.name for item in items)},
        )
