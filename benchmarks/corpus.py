"""The corpus of the accuracy benchmark: which projects, their source, what they declare, what that provides.

The names stand in ``accuracy_names.txt``:

    python benchmarks/corpus.py REPODATA.json DRAW

takes a seeded random order of (a) the pure Python conda packages with two or more dependencies in a channel's
``repodata.json`` and (b) the projects that PONCHO knows by name, half of which are the most downloaded ones; it keeps
those whose newest release for CPython 3.11 is pure Python, has a source distribution, and declares two or more run-time
requirements, until there are enough of them (at most 80 and 40 in the first draw).

The first draw was made before anything was tuned on it; a hash of the name splits it in ``tuning`` and the rest. That rest
was held out until it had been measured twice; then its misses were seen, and it is called ``seen``. A second draw, of which
nothing was known while tuning, took its place as ``held-out``.
"""

from __future__ import annotations

import email
import hashlib
import json
import random
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measure import CHECKOUT, say

sys.path.insert(0, str(CHECKOUT))

from packaging.requirements import InvalidRequirement, Requirement

from poncho.analysis.editable import canonical
from poncho.analysis.index import File, Index, Release
from poncho.errors import AnalysisError

NAMES = Path(__file__).with_name("accuracy_names.txt")
PYTHON = "3.11"
# Of each draw: its seed, and how many of each population are wanted of how many that are looked at.
DRAWS = {
    1: (20261121, {"conda": (80, 110), "pypi": (40, 100)}),
    2: (20261122, {"conda": (40, 70), "pypi": (20, 60)}),
}
TARGET = {
    "python_version": "3.11",
    "python_full_version": "3.11.7",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "sys_platform": "linux",
    "os_name": "posix",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}
# Beside the code in a source distribution, not installed with it.
_ASIDE = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmark", "benchmarks", "scripts"}
)


@dataclass(frozen=True)
class Project:
    """One project of the corpus."""

    name: str
    version: str
    population: str
    draw: int

    @property
    def half(self) -> str:
        """Return ``tuning``, ``seen`` (held out at first, then looked at) or ``held-out``."""
        if self.draw > 1:
            return "held-out"
        return "seen" if hashlib.sha256(self.name.encode()).digest()[0] & 1 else "tuning"


@dataclass(frozen=True)
class Fetched:
    """A project's importable code, and what it declares: run-time requirements, and those of its extras."""

    project: Project
    code: Path
    tops: tuple[str, ...]
    declared: frozenset[str]
    extras: frozenset[str]


def listed() -> list[Project]:
    """Return the projects of the corpus."""
    lines = (line.split() for line in NAMES.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return [Project(name, version, population, int(draw)) for name, version, population, draw in lines]


def fetch(project: Project, index: Index, work: Path) -> Fetched:
    """Bring a project's code below ``work`` (once), only what importing it can reach.

    The files that declare requirements are left out: no tool shall read the answer there.
    """
    place = work / "projects" / project.name
    facts = place / "facts.json"
    if not facts.exists():
        _bring(project, index, place)
    data = json.loads(facts.read_text())
    declared = frozenset(data["declared"])
    return Fetched(project, place / "code", tuple(data["tops"]), declared, frozenset(data["extras"]) - declared)


def _bring(project: Project, index: Index, place: Path) -> None:
    files = [file for file in index.files(project.name) if file.version == project.version]
    release = Release(project.name, project.version, tuple(files))
    source = next((file for file in files if not file.is_wheel), None)
    if source is None:
        raise AnalysisError(f"{project.name} {project.version} has no source distribution")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    archive = place / source.name
    index.download(source, archive)
    root = _unpack(archive, place / "sdist")
    archive.unlink()
    declared, extras = _requirements(index, release, root)
    tops = _importable(root, index.modules(release), place / "code")
    shutil.rmtree(place / "sdist")
    own = {project.name}
    facts = {"declared": sorted(declared - own), "extras": sorted(extras - own), "tops": sorted(tops)}
    (place / "facts.json").write_text(json.dumps(facts))


def _unpack(archive: Path, target: Path) -> Path:
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(target)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
    return next(path for path in target.iterdir() if path.is_dir())


def _requirements(index: Index, release: Release, root: Path) -> tuple[set[str], set[str]]:
    """Return the names that a release requires at run time for CPython 3.11 on Linux, and those of its extras."""
    wheel = release.plainest_wheel
    texts = [index.metadata(wheel)] if wheel else []
    texts += [path.read_text("utf-8", "replace") for path in [root / "PKG-INFO"] if path.exists()]
    lines = next((found for text in texts if (found := email.message_from_string(text).get_all("Requires-Dist"))), [])
    declared, extras = set(), set()
    for line in lines:
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate({**TARGET, "extra": ""}):
            declared.add(canonical(one.name))
        elif "extra" in str(one.marker):
            extras.add(canonical(one.name))
    return declared, extras


def _importable(root: Path, modules: frozenset[str] | None, code: Path) -> set[str]:
    """Copy the importable code of a source distribution to ``code`` and return its top-level names."""
    tops = {name.partition(".")[0] for name in modules or ()}
    copied: set[str] = set()
    for base in (
        root,
        root / "src",
        root / "lib",
        root / "python",
        *sorted(path for path in root.iterdir() if path.is_dir()),
    ):
        for path in sorted(base.iterdir()) if base.is_dir() else ():
            name = path.name.removesuffix(".py")
            wanted = name in tops if tops else name not in _ASIDE and (path / "__init__.py").exists()
            if not wanted or name in copied or name.startswith("."):
                continue
            code.mkdir(exist_ok=True)
            if path.is_dir() and any(path.rglob("*.py")):
                shutil.copytree(path, code / name, ignore=_only_python)
                copied.add(name)
            elif path.suffix == ".py":
                shutil.copy(path, code / path.name)
                copied.add(name)
        if copied and (not tops or copied >= tops):
            break
    return copied


def _only_python(directory: str, names: list[str]) -> set[str]:
    return {name for name in names if not (Path(directory, name).is_dir() or name.endswith((".py", ".pyi")))}


def _draw(repodata: Path, index: Index, draw: int, taken: set[str]) -> Iterator[Project]:
    """Yield the projects of a draw, without those that are ``taken``."""
    seed, wanted_of = DRAWS[draw]
    rows = [line.split("\t") for line in (CHECKOUT / "poncho/analysis/data/projects.tsv").read_text().splitlines()]
    pypi_of = {(row[1] or row[0]): row[0] for row in (*rows,) if len(row) > 1} | {row[0]: row[0] for row in rows}
    data = json.loads(repodata.read_text())
    depends: dict[str, set[str]] = {}
    for record in (*data.get("packages", {}).values(), *data.get("packages.conda", {}).values()):
        depends.setdefault(record["name"], set()).update(text.split()[0] for text in record["depends"])
    conda = sorted(
        canonical(pypi_of.get(name, name))
        for name, needed in depends.items()
        if "python" in needed and sum(not one.startswith(("_", "python")) for one in needed) >= 2
    )
    populations = {"conda": sorted(set(conda)), "pypi": sorted(row[0] for row in rows)}
    taken = set(taken)
    for population, (wanted, most) in wanted_of.items():
        order = [name for name in populations[population] if not re.match(r"types-|.*-stubs$", name)]
        random.Random(seed).shuffle(order)
        found = 0
        for name in order[:most]:
            if found == wanted or name in taken:
                continue
            if project := _qualifies(name, population, index, draw):
                taken.add(name)
                found += 1
                yield project


def _qualifies(name: str, population: str, index: Index, draw: int) -> Project | None:
    release = pure_release(name, index)
    if release is None:
        return None
    declared, _ = _requirements(index, release, Path("/nonexistent"))
    return Project(name, release.version, population, draw) if len(declared - {name}) >= 2 else None


def pure_release(name: str, index: Index) -> Release | None:
    """Return a project's newest release when it is pure Python and has a source distribution."""
    release = index.newest(name, PYTHON)
    wheel = release.plainest_wheel if release else None
    if release is None or wheel is None or not wheel.name.endswith("-none-any.whl"):
        return None
    return release if any(is_source(file) for file in release.files) else None


def is_source(file: File) -> bool:
    """Tell a source distribution that can be unpacked."""
    return not file.is_wheel and file.name.endswith((".tar.gz", ".zip"))


def main() -> None:
    """Make a draw: add its projects to the list."""
    index = Index()
    draw = int(sys.argv[2])
    head, *lines = NAMES.read_text("utf-8").splitlines()
    taken = {line.partition(" ")[0] for line in lines}
    for project in _draw(Path(sys.argv[1]), index, draw, taken):
        say(f"{project.name} {project.version} ({project.population}, {project.half})")
        lines.append(f"{project.name} {project.version} {project.population} {draw}")
    NAMES.write_text("\n".join([head, *sorted(lines)]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
