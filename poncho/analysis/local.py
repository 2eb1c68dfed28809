"""Follow a program's own modules and tell which imports leave them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poncho.analysis import disk
from poncho.analysis.lazy import IN_A_TABLE
from poncho.analysis.model import ASIDE, ELSEWHERE, GUARDED, Import, Need, Place, Problem, Tier, Unresolved
from poncho.analysis.reach import EXTENSIONS, INIT, Finder, Outside, relative
from poncho.analysis.reading import Reading
from poncho.analysis.sources import Unit, UnreadableError, unit_of_file


@dataclass(slots=True)
class Graph:
    """All that was reached from the sources: needs that leave the program, its own files, what went wrong."""

    needs: list[Need] = field(default_factory=list)
    modules: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    missing: list[Unresolved] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Node:
    unit: Unit
    reading: Reading
    tier: Tier
    edges: dict[str, Tier] = field(default_factory=dict)
    instead: set[str] = field(default_factory=set)
    needs: list[Need] = field(default_factory=list)


def follow(
    units: Sequence[Unit], read: Callable[[Unit], Reading], outside: Outside, *, paths: tuple[Path, ...] = ()
) -> Graph:
    """Return everything that ``units`` reach. ``read`` reads one unit; each file is read once.

    A module's imports are as sure as the surest way by which the module is reached, and no surer.
    """
    graph = Graph()
    nodes: dict[str, _Node] = {}
    entries: list[str] = []
    for index, unit in enumerate(units):
        # Of one file, several functions may be looked at, and the file itself.
        key = str(unit.path) if unit.path and unit.label[:1] != "<" else f"{unit.label}#{index}"
        if key not in nodes:
            nodes[key] = _Node(unit, read(unit), max(unit.cap, Tier.CONDITIONAL) if unit.inner else unit.cap)
            entries.append(key)
    todo = list(entries)
    finders: dict[tuple[Any, ...], Finder] = {}
    here = os.path.join(os.getcwd(), "")
    while todo:
        node = nodes[todo.pop()]
        looked_in = (node.unit.roots, node.unit.near, node.unit.inside)
        finder = finders.get(looked_in)
        if finder is None:
            finder = finders[looked_in] = Finder(node.unit, outside)
        _split(node, outside, finder, graph)
        graph.reached.update(node.edges)
        for path in node.edges:
            if path in nodes:
                continue
            label = path.removeprefix(here)
            try:
                unit = unit_of_file(path, paths, entry=False)
            except UnreadableError as error:
                graph.problems.append(Problem(Place(label, 1), str(error)))
                continue
            unit = replace(unit, label=label, roots=_inherited(unit, node.unit))
            nodes[path] = _Node(unit, read(unit), Tier.HINT)
            todo.append(path)
    _demote(nodes)
    _settle(nodes, entries)
    imported = {path for key, node in nodes.items() for path, tier in node.edges.items() if not tier and path != key}
    for key in sorted(nodes):
        node = nodes[key]
        graph.problems += node.reading.problems
        graph.needs += [_weighed(need, node, key in imported) for need in node.needs]
        if not node.unit.entry and node.unit.path:
            graph.modules.append(node.unit.path)
    return graph


def _demote(nodes: dict[str, _Node]) -> None:
    """Make a package's module optional that its other modules only try to import (``except ImportError``).

    What tests import says nothing of that, nor what is imported for type checkers: such modules are loaded by name. The
    module in an ``except`` branch is the one that is there when the other cannot be.
    """
    reached: dict[str, Tier] = {}
    for key, node in nodes.items():
        if node.unit.cap >= Tier.OPTIONAL:
            continue
        for path, tier in node.edges.items():
            if path != key and tier <= Tier.OPTIONAL:
                taken = Tier.CONDITIONAL if path in node.instead else tier
                reached[path] = min(taken, reached.get(path, taken))
    for key, tier in reached.items():
        module = nodes.get(key)
        if tier is Tier.OPTIONAL and module is not None and module.unit.inner:
            module.tier = max(module.tier, tier)


def _weighed(need: Need, node: _Node, imported: bool) -> Need:
    """Return a need with the tier that its module allows; ``imported``: another module imports that one outright."""
    tier, why = max(need.tier, node.tier), need.why
    if node.unit.cap >= Tier.OPTIONAL and node.tier >= Tier.OPTIONAL:
        return need._replace(tier=tier, why=ASIDE)
    if node.unit.inside and need.why == "under if":
        # A switch in a library's module: of those in the benchmark's corpus, none was ever declared as required.
        tier, why = max(tier, Tier.OPTIONAL), "under if, in a package's module"
    elif node.unit.inside and need.why == GUARDED:
        tier = max(tier, Tier.OPTIONAL)
    elif node.unit.inner and need.tier <= Tier.CONDITIONAL and tier is Tier.OPTIONAL:
        why = "in a module that the package goes on without"
    elif node.unit.inner and need.tier is Tier.REQUIRED and tier is Tier.CONDITIONAL:
        why = "in a module that importing the package does not load"
        return need._replace(tier=tier, why=why, firm=imported)
    return need if tier is need.tier and why is need.why else need._replace(tier=tier, why=why)


def _settle(nodes: dict[str, _Node], entries: list[str]) -> None:
    """Give each module the surest tier by which it is reached."""
    todo = list(entries)
    while todo:
        node = nodes[todo.pop()]
        for path, tier in node.edges.items():
            target = nodes.get(path)
            reached = max(node.tier, tier)
            if target is not None and reached < target.tier:
                target.tier = reached
                todo.append(path)


def _inherited(unit: Unit, parent: Unit) -> tuple[Path, ...]:
    # A module found through a script's directory sees that directory too: it is on sys.path while the script runs.
    return tuple(dict.fromkeys((*parent.roots, *unit.roots)))


def _split(node: _Node, outside: Outside, finder: Finder, graph: Graph) -> None:
    """Sort a unit's imports into edges to local files and needs that leave the program."""
    unit = node.unit
    folder = os.path.dirname(str(unit.path)) if unit.path is not None else ""
    owned: bool | None = None
    for one, place in node.reading.imports:
        if one.main and not unit.entry:
            continue
        if one.level and unit.path is not None and owned is None:
            owned = outside.owns(unit.path)
        if one.level and unit.path is not None and owned:
            # A file of an installed package: what it takes from its own package comes with that distribution.
            node.needs.append(Need(_own_package(unit.path), one.tier, place, one.why, inside=unit.inside))
            continue
        if one.level and one.why != ELSEWHERE:
            found = relative(folder, one) if unit.path is not None else ()
            if found:
                _reach(node, one, found)
            elif unit.path is None or (max(one.tier, unit.cap) <= Tier.CONDITIONAL and one.why != IN_A_TABLE):
                name = "." * one.level + (one.module or ", ".join(one.names))
                graph.problems.append(Problem(place, f"the relative import of {name!r} leads to no file"))
            continue
        top = one.module.partition(".")[0]
        if not top or top == "__main__" or one.level:
            continue
        reached = finder.find(one, top)
        if reached is not None and one.why == ELSEWHERE:
            continue
        if reached is not None:
            _reach(node, one, [path for path in reached if path.endswith((".py", ".pyw"))])
            graph.modules += [Path(path) for path in reached if path.endswith(EXTENSIONS)]
            if reached and finder.is_editable(top, reached[0]) and not _is_part_of(unit, Path(reached[0])):
                node.needs.append(Need(top, one.tier, place, one.why, inside=unit.inside))
        elif not outside.standard(one.module):
            attempt = (unit.label, one.attempt) if one.attempt else None
            for name in _dotted(one):
                node.needs.append(
                    Need(name, one.tier, place, one.why, attempt, one.fallback, inside=unit.inside)
                )  # fmt: skip


def _reach(node: _Node, one: Import, files: Sequence[str]) -> None:
    """Note the files that an import of a node's unit runs."""
    for path in files:
        known = node.edges.get(path)
        if known is None or one.tier < known:
            node.edges[path] = one.tier
    if one.fallback:
        node.instead.update(files)


def _own_package(path: Path) -> str:
    """Return the top-level package that a file belongs to."""
    folder = path.parent
    while disk.is_file(folder.parent / INIT):
        folder = folder.parent
    return folder.name


def _is_part_of(unit: Unit, package: Path) -> bool:
    """Tell whether a unit lies in the package whose ``__init__`` (or whose one file) is ``package``."""
    if unit.path is None:
        return False
    return unit.path == package or (package.name == "__init__.py" and unit.path.is_relative_to(package.parent))


def _dotted(one: Import) -> Iterator[str]:
    # What ``from google.cloud import storage`` takes may be a distribution of its own.
    if one.names and one.names != ("*",):
        yield from (f"{one.module}.{name}" for name in one.names)
    else:
        yield one.module
