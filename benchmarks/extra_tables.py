"""Make ``poncho/analysis/data/extras.tsv`` again: which modules of a distribution cannot be imported without an extra of it.

    python benchmarks/extra_tables.py DIRECTORY... > poncho/analysis/data/extras.tsv

Each DIRECTORY holds unpacked wheels, at any depth: a ``site-packages``, an environment, or the cache of an installer. Of each
distribution the newest copy counts. Nothing is imported or run: a module *needs* what it imports at module level and outright
(no function, ``if``, ``try … except ImportError``), with all that those modules of the same distribution import in turn
which it loads that way, its parent packages included.

A row ``module, distribution, extra, packages``: importing the module needs the packages, the smallest extra that lists all of
them is the named one (``-`` where that brings more than three times as many), and nothing that the distribution requires
at any rate brings them along, as far as the metadata of the distributions read says. Only the topmost module of a tree with
the same row is written. Left out are what the top-level package itself needs (no extra helps there), what is for other systems
only, private modules, tests and commands, modules more than three names deep, extras for development, and distributions that
the table of projects does not know.
"""

from __future__ import annotations

import email
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from measure import CHECKOUT, say

sys.path.insert(0, str(CHECKOUT))

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from poncho.analysis import known
from poncho.analysis.editable import canonical
from poncho.analysis.model import Tier
from poncho.analysis.reading import read_unit
from poncho.analysis.sources import Unit
from poncho.analysis.traps import FOREIGN

PYTHON = (3, 11)
DEEPEST = 3
MUCH = 3
TARGET = {
    "python_version": "3.11",
    "python_full_version": "3.11.7",
    "sys_platform": "linux",
    "platform_system": "Linux",
}
_DEVELOPMENT = re.compile(
    r"dev|test|doc|lint|typ(?:e|ing)|mypy|build|bench|qa|check|release|style|commit|tutorial|nightly|cov"
)
_ASIDE = re.compile(
    r"_.*|tests?|testing|conftest|.*_tests?|test_.*|pytest_.*|docs?|examples?|benchmarks?|vendor.*|cli|main|scripts?|demos?"
)


@dataclass
class Distribution:
    """One distribution that is unpacked: its metadata and its modules."""

    info: Path
    name: str
    version: Version
    required: set[str] = field(default_factory=set)
    extras: dict[str, set[str]] = field(default_factory=dict)

    @cached_property
    def files(self) -> dict[str, Path]:
        """Return its modules' files by dotted name."""
        found = {}
        for line in (self.info / "RECORD").read_text("utf-8", "replace").splitlines():
            name = line.rsplit(",", 2)[0].strip('"')
            parts = name.removesuffix(".py").split("/")
            if name.endswith(".py") and all(part.isidentifier() for part in parts):
                parts = parts[:-1] if parts[-1] == "__init__" else parts
                found[".".join(parts)] = self.info.parent / name
        return found

    @property
    def tops(self) -> set[str]:
        """Return the top-level names that it has, also of modules that are no Python files."""
        lines = (self.info / "RECORD").read_text("utf-8", "replace").splitlines()
        return {
            re.split(r"[./,]", line)[0] for line in lines if re.match(r"\w+(/__init__\.py|\.py|[.\w-]*\.so|/)", line)
        }


def distributions(directories: list[Path]) -> dict[str, Distribution]:
    """Return the newest copy of each distribution below the directories."""
    found: dict[str, Distribution] = {}
    for metadata in (path for each in directories for path in each.rglob("*.dist-info/METADATA")):
        message = email.message_from_string(metadata.read_text("utf-8", "replace"))
        try:
            one = Distribution(metadata.parent, canonical(message["Name"] or ""), Version(message["Version"] or "0"))
        except InvalidVersion:
            continue
        if not (metadata.parent / "RECORD").exists() or (one.name in found and found[one.name].version >= one.version):
            continue
        own: dict[str, set[str]] = {}
        for line in message.get_all("Requires-Dist") or ():
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                continue
            if wanted.marker is None or wanted.marker.evaluate({**TARGET, "extra": ""}):
                one.required.add(canonical(wanted.name))
                continue
            for extra in re.findall(r'extra == "([^"]+)"', str(wanted.marker)):
                if not wanted.marker.evaluate({**TARGET, "extra": extra}) or _DEVELOPMENT.search(extra):
                    continue
                if canonical(wanted.name) == one.name:
                    own.setdefault(extra, set()).update(wanted.extras)
                else:
                    one.extras.setdefault(extra, set()).add(canonical(wanted.name))
        for extra, others in own.items():
            one.extras.setdefault(extra, set()).update(*(one.extras.get(other, ()) for other in others))
        found[one.name] = one
    return found


def brought(one: Distribution, all_: Mapping[str, Distribution]) -> set[str]:
    """Return what installing a distribution without extras brings, as far as it is known."""
    todo, found = [*one.required], {one.name}
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += all_[name].required if name in all_ else ()
    return found


def outright(module: str, path: Path) -> tuple[set[str], set[str]]:
    """Return the dotted names that a module imports at module level and outright: absolute ones, and its relatives."""
    text = path.read_text("utf-8", "replace")
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for one, _ in read_unit(Unit(str(path), text, path, (path.parent,), named=False), PYTHON).imports:
        if one.tier is not Tier.REQUIRED or one.scope or one.main:
            continue
        base = one.module
        if one.level:
            above = package.split(".")[: len(package.split(".")) - one.level + 1]
            base = ".".join([*above, *([one.module] if one.module else [])])
        names |= {base, *(f"{base}.{name}" for name in one.names)}
    return names, {".".join(module.split(".")[:length]) for length in range(1, module.count(".") + 1)}


def rows(one: Distribution, all_: Mapping[str, Distribution]) -> Iterator[tuple[str, str, str]]:
    """Yield ``(module, extra, packages)`` for a distribution."""
    free = brought(one, all_)
    offered = {name for names in one.extras.values() for name in names} - free
    if not offered:
        return
    # The top of a namespace says nothing of who provides what is below it.
    provides = {top: name for name in sorted(offered) for top in _tops(name, all_) if not known.is_own_name(top)}
    imports: dict[str, set[str]] = {}
    needs: dict[str, set[str]] = {}
    for module, path in one.files.items():
        try:
            names, parents = outright(module, path)
        except OSError:
            continue
        imports[module] = {name for name in names | parents if name in one.files and name != module}
        tops = {name.partition(".")[0] for name in names if name not in one.files}
        needs[module] = {provides[top] for top in tops if top in provides}
    found: dict[str, tuple[str, str]] = {}
    for module in sorted(imports):
        parts = module.split(".")
        if len(parts) > DEEPEST or any(map(_ASIDE.fullmatch, parts)):
            continue
        above = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        top = next(name for name in above if name in imports)
        wanted = _reached(module, imports, needs)
        if not wanted or module == top or wanted & _reached(top, imports, needs):
            continue
        if any(map(FOREIGN.fullmatch, wanted)):
            continue
        fitting = [(len(names), extra) for extra, names in one.extras.items() if wanted <= names]
        if not fitting:
            continue
        size, extra = min(fitting)
        # Of an extra for everything, only what is needed here is asked for.
        row = (extra if size <= MUCH * len(wanted) else "-", ",".join(sorted(wanted)))
        if not any(found.get(name) == row for name in above):
            found[module] = row
            yield module, *row


def _tops(name: str, all_: Mapping[str, Distribution]) -> set[str]:
    if name in all_:
        return all_[name].tops
    mapped = {key for key, (pypi, _) in known.TRAPS.items() if pypi == name and "." not in key}
    return mapped or {name.replace("-", "_")}


def _reached(module: str, imports: Mapping[str, set[str]], needs: Mapping[str, set[str]]) -> set[str]:
    todo, seen = [module], {module}
    while todo:
        for name in imports.get(todo.pop(), ()):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return {name for each in seen for name in needs.get(each, ())}


def main() -> None:
    """Print the table."""
    all_ = distributions([Path(each) for each in sys.argv[1:]])
    say(f"{len(all_)} distributions")
    table = []
    for one in sorted(all_.values(), key=lambda each: each.name):
        if one.extras and known.is_project(one.name):
            table += [(module, one.name, extra, packages) for module, extra, packages in rows(one, all_)]
    for row in sorted(table):
        print(*row, sep="\t")


if __name__ == "__main__":
    main()
