"""Follow a program's own modules and tell which imports leave them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from poncho._home import working_directory
from poncho.analysis import disk
from poncho.analysis.byname import ByName, Walked
from poncho.analysis.lazy import IN_A_TABLE
from poncho.analysis.model import ELSEWHERE, Graph, Import, Need, Place, Problem, Tier
from poncho.analysis.reach import EXTENSIONS, INIT, Finder, Outside, relative
from poncho.analysis.reading import Reading
from poncho.analysis.sources import Unit, UnreadableError, unit_of_file
from poncho.analysis.weighing import (
    Node,
    demote,
    is_own,
    outright_imported,
    put_aside,
    running,
    settle,
    surely_loaded,
    weighed,
)


def follow(
    units: Sequence[Unit], read: Callable[[Unit], Reading], outside: Outside, *, paths: tuple[Path, ...] = ()
) -> Graph:
    """Return everything that ``units`` reach. ``read`` reads one unit; each file is read once.

    A module's imports are as sure as the surest way by which the module is reached, and no surer.
    """
    graph = Graph()
    nodes: dict[str, Node] = {}
    entries: list[str] = []
    for index, unit in enumerate(units):
        # Of one file, several functions may be looked at, and the file itself.
        key = str(unit.path) if unit.path and unit.label[:1] != "<" else f"{unit.label}#{index}"
        if key not in nodes:
            nodes[key] = Node(unit, read(unit), max(unit.cap, Tier.CONDITIONAL) if unit.inner else unit.cap)
            entries.append(key)
    todo = list(entries)
    finders: dict[tuple[Any, ...], Finder] = {}
    here = os.path.join(working_directory(), "")
    by_name = ByName()
    walked: list[Walked] = []

    def enter(node: Node) -> None:
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
            nodes[path] = Node(unit, read(unit), Tier.HINT)
            todo.append(path)

    while todo:
        key = todo.pop()
        node = nodes[key]
        looked_in = (node.unit.roots, node.unit.near, node.unit.inside)
        finder = finders.get(looked_in)
        if finder is None:
            finder = finders[looked_in] = Finder(node.unit, outside)
        _split(node, outside, finder, graph)
        _follow_names(key, node, by_name, outside)
        enter(node)
        for one in () if todo else by_name.walked():
            namer = nodes[one.namer]
            walked.append(one._replace(files=[path for path in one.files if path not in namer.edges]))
            _go(namer, one.files, Tier.CONDITIONAL)
            enter(namer)
    demote(nodes)
    settle(nodes, entries)
    own = is_own([nodes[key] for key in entries])
    called = set() if own else running(nodes, entries)
    loaded = nodes.keys() if own else surely_loaded(nodes, entries, called)
    put_aside(nodes, entries, [one for one in walked if loaded.isdisjoint(one.walkers)])
    imported = outright_imported(nodes)
    for key in sorted(nodes):
        node = nodes[key]
        known = {"own": own, "loaded": key in loaded, "imported": key in imported}
        graph.problems += node.reading.problems
        for need in node.needs:
            deep = need.place.line in node.deep
            runs = deep and (key, need.place.line) in called
            graph.needs.append(weighed(need, node, **known, deep=deep, runs=runs))
        if not node.unit.entry and node.unit.path:
            graph.modules.append(node.unit.path)
    return graph


def _follow_names(key: str, node: Node, by_name: ByName, outside: Outside) -> None:
    """Let a module that is followed lead to what its text names."""
    unit = node.unit
    if unit.inside and not unit.entry and unit.path and not outside.owns(unit.path):
        modules = [one.module for one, _ in node.reading.imports]
        _go(node, by_name.read(key, unit.text, _own_package(unit.path), modules), Tier.CONDITIONAL)


def _inherited(unit: Unit, parent: Unit) -> tuple[Path, ...]:
    # A module found through a script's directory sees that directory too: it is on sys.path while the script runs.
    return tuple(dict.fromkeys((*parent.roots, *unit.roots)))


def _split(node: Node, outside: Outside, finder: Finder, graph: Graph) -> None:
    """Sort a unit's imports into edges to local files and needs that leave the program."""
    unit = node.unit
    folder = os.path.dirname(str(unit.path)) if unit.path is not None else ""
    owned: bool | None = None
    for one, place in node.reading.imports:
        module, names, level, tier, _, why, attempt, fallback, main, _, scope = one
        if main and not unit.entry:
            continue
        if scope:
            node.deep.add(place.line)
        if level:
            if unit.path is not None and owned is None:
                owned = outside.owns(unit.path)
            if unit.path is not None and owned:
                # A file of an installed package: what it takes from its own package comes with that distribution.
                node.needs.append(Need(_own_package(unit.path).name, tier, place, why, inside=unit.inside))
            elif why != ELSEWHERE:
                found = relative(folder, one) if unit.path is not None else ()
                if found:
                    _reach(node, one, found)
                elif unit.path is None or (max(tier, unit.cap) <= Tier.CONDITIONAL and why != IN_A_TABLE):
                    name = "." * level + (module or ", ".join(names))
                    graph.problems.append(Problem(place, f"the relative import of {name!r} leads to no file"))
            continue
        top = module.partition(".")[0]
        if not top or top == "__main__":
            continue
        reached = finder.find(one, top)
        if reached is None:
            if not outside.standard(module):
                tried = (unit.label, attempt) if attempt else None
                for name in _dotted(one):
                    node.needs.append(Need(name, tier, place, why, tried, fallback, inside=unit.inside))
        elif why != ELSEWHERE:
            _reach(node, one, [path for path in reached if path.endswith((".py", ".pyw"))])
            graph.modules += [Path(path) for path in reached if path.endswith(EXTENSIONS)]
            if reached and finder.is_editable(top, reached[0]) and not _is_part_of(unit, Path(reached[0])):
                node.needs.append(Need(top, tier, place, why, inside=unit.inside))


def _reach(node: Node, one: Import, files: Sequence[str]) -> None:
    """Note the files that an import of a node's unit runs, and what it takes from them."""
    _go(node, files, one.tier)
    if one.scope:
        node.inner.setdefault(one.line, []).extend(files)
    if one.fallback:
        node.instead.update(files)
    if not (node.unit.entry and node.unit.inside):
        for name, bound in zip(one.names, one.binds, strict=False):
            node.takes.setdefault(bound, []).extend((path, name) for path in files)


def _go(node: Node, files: Sequence[str], tier: Tier) -> None:
    for path in files:
        known = node.edges.get(path)
        if known is None or tier < known:
            node.edges[path] = tier


def _own_package(path: Path) -> Path:
    """Return the top-level package that a file belongs to."""
    folder = path.parent
    while disk.is_file(folder.parent / INIT):
        folder = folder.parent
    return folder


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
