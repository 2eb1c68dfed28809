"""What a project says it needs: pyproject.toml, setup.cfg, setup.py, requirements files, metadata. Nothing is run.

Formats: ``[project]`` (PEP 621), ``[dependency-groups]`` (PEP 735), the tables of Poetry, PDM, uv and Hatch;
setuptools' ``[options]``; literal arguments of ``setup()``; pip's requirements files; ``Requires-Dist`` of core metadata
and an egg's ``requires.txt``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from poncho.analysis.declarations import Entry, read_metadata, read_pyproject, read_setup_cfg, read_setup_py
from poncho.analysis.declared import Declared
from poncho.analysis.editable import canonical
from poncho.analysis.layout import installed_files
from poncho.analysis.model import Place, Problem

Role = Literal["run time", "extra", "development"]
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_DEVELOPMENT = frozenset(
    """
    bench benchmark benchmarks build check checks ci contrib cov coverage debug dev devel develop developer development
    doc docs documentation e2e example examples format formatting hatch integration lint linter linting mypy notebook
    notebooks nox precommit profiling publish qa quality release style test testing tests tox tutorial tutorials type
    typecheck types typing unittest
    """.split()  # noqa: SIM905 (read as words)
)
# Flavours of one project that provide the same import.
_FLAVOUR = re.compile(
    r"(?:-(?:headless|binary|bin|c|cpu|gpu|cu\d+|contrib|lite|nightly|standalone|slim|min|intel|rocm))+$"
)
_FILES = ("pyproject.toml", "setup.cfg", "setup.py")
_REQUIREMENTS = re.compile(r"(?i)(?:[\w.-]*[-_.])?(?:requirements?|requires)(?:[-_.][\w.-]*)?\.(?:txt|in)")


@dataclass(frozen=True, slots=True)
class Dependency:
    """One declared requirement: ``name`` is normalised, ``requirement`` as written; ``group`` the extra or group it is
    in (empty for run time); ``here`` whether its marker holds for the environment."""

    name: str
    requirement: str
    role: Role
    group: str
    place: Place
    here: bool = True

    @property
    def plain(self) -> str:
        """Return the requirement without its marker."""
        if " @ " in self.requirement:
            return re.split(r"\s;", self.requirement, maxsplit=1)[0].strip()
        return self.requirement.partition(";")[0].strip()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "requirement": self.requirement,
            "role": self.role,
            "group": self.group,
            "place": str(self.place),
        }


@dataclass(slots=True)
class Project:
    """A directory that declares what it needs.

    ``files`` are those that say so; ``packaged``: it can be installed; ``installed`` what of it is, None for all.
    """

    root: Path
    name: str = ""
    files: list[str] = field(default_factory=list)
    dependencies: list[Dependency] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    packaged: bool = False
    installed: tuple[Path, ...] | None = None

    def wanted(self) -> Iterator[Declared]:
        """Yield what the project declares for run time, as far as it holds here."""
        for one in self.dependencies:
            if one.role == "run time" and one.here:
                yield Declared(one.plain, one.place, f"declared in {one.place}")


def read_project(root: Path, python: str) -> Project | None:
    """Return what the directory ``root`` declares, for Python ``python`` on Linux; None where it declares nothing."""
    project = Project(root)
    entries: list[Entry] = []
    for name, read in zip(_FILES, (read_pyproject, read_setup_cfg, read_setup_py), strict=True):
        path = root / name
        if not path.is_file():
            continue
        found = read(path)
        project.packaged = project.packaged or found.packaged
        project.name = project.name or found.name
        project.problems += found.problems
        entries += found.entries
        if found.entries or found.name:
            project.files.append(name)
    if not any(entry.group == "" for entry in entries):
        for found in read_metadata(root):
            project.name, project.packaged = project.name or found.name, True
            entries += found.entries
            project.files += [str(Path(place).relative_to(root)) for place in found.files]
    has_run = any(entry.group == "" for entry in entries)
    for path in _requirements_files(root):
        group = _group_of(path.relative_to(root))
        if group or not has_run:
            more = list(_requirement_entries(path, group, ()))
            entries += more
            if more:
                project.files.append(str(path.relative_to(root)))
    if not project.files:
        return None
    project.installed = installed_files(root)
    project.dependencies = list(_dependencies(entries, python, project))
    return project


def declared_as(projects: Iterable[Project], names: Iterable[str]) -> Dependency | None:
    """Return how one of several names that an import may mean is declared, for run time or in an extra."""
    wanted = list(dict.fromkeys(names))
    found = [one for project in projects for one in project.dependencies if one.here and one.role != "development"]
    for name in wanted:
        for one in found:
            if name in (one.name, plain_flavour(one.name)):
                return one
    return None


def plain_flavour(name: str) -> str:
    """Return a name without what tells flavours of one project apart (``opencv-python-headless``)."""
    return _FLAVOUR.sub("", name) or name


def _requirements_files(root: Path) -> list[Path]:
    found = [path for path in _entries(root) if _REQUIREMENTS.fullmatch(path.name) and path.is_file()]
    folder = root / "requirements"
    if folder.is_dir():
        found += [path for path in _entries(folder) if path.suffix in (".txt", ".in") and path.is_file()]
    # What pip-compile made of a .in file says nothing that was declared.
    return sorted(path for path in found if path.suffix == ".in" or path.with_suffix(".in") not in found)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []  # the walk that looks for sources says so


def _group_of(path: Path) -> str:
    """Return the group that a requirements file is for, empty for run time."""
    words = [
        word
        for word in re.split(r"[-_.]", path.stem.lower())
        if word not in ("requirements", "requirement", "requires", "")
    ]
    return (
        ""
        if not words
        or words[0] in ("base", "main", "prod", "production", "common", "default", "core", "run", "runtime")
        else "-".join(words)
    )


def _requirement_entries(path: Path, group: str, within: tuple[Path, ...]) -> Iterator[Entry]:
    try:
        lines = path.read_text("utf-8", "replace").replace("\0", " ").splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        line = re.sub(r"(^|\s)#.*$", "", line).split(" --hash")[0].rstrip("\\").strip()
        if include := re.fullmatch(r"(?:-r|--requirement)[ =]?\s*(.+)", line):
            inner = Path(os.path.realpath(path.parent / include[1].strip()))
            if inner not in within and inner.is_file():
                yield from _requirement_entries(inner, group, (*within, inner))
        elif line and not line.startswith("-"):
            yield Entry(line, group, Place(str(path), number))


def _dependencies(entries: Iterable[Entry], python: str, project: Project) -> Iterator[Dependency]:
    seen: set[tuple[str, str, str]] = set()
    for entry in entries:
        found = _NAME.match(entry.requirement)
        if not found or re.match(r"\s*(?:[a-z+]+://|\.{0,2}/)", entry.requirement):
            continue
        name = canonical(found[1])
        key = (name, entry.group, entry.requirement)
        # A project names itself to get its own extras.
        if key in seen or name == canonical(project.name or "-"):
            continue
        seen.add(key)
        role: Role = "run time"
        if entry.group:
            words = set(re.split(r"[-_. :]", entry.group.lower()))
            role = "development" if entry.development or words & _DEVELOPMENT else "extra"
        yield Dependency(
            name, entry.requirement.strip(), role, entry.group, entry.place, _holds(entry.requirement, python)
        )


def _holds(requirement: str, python: str) -> bool:
    """Tell whether a requirement's marker holds for Python ``python`` on Linux."""
    if ";" not in requirement:
        return True
    from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

    text = re.split(r"\s;|;\s", requirement, maxsplit=1)[-1] if " @ " in requirement else requirement.partition(";")[2]
    short = ".".join(python.split(".")[:2])
    try:
        return Marker(text.strip()).evaluate(
            {
                "python_version": short,
                "python_full_version": python if python.count(".") > 1 else f"{python}.0",
                "platform_system": "Linux",
                "sys_platform": "linux",
                "os_name": "posix",
                "extra": "",
            }
        )
    except (InvalidMarker, UndefinedEnvironmentName, ValueError):
        return True
