"""Follow a program's own modules and tell which imports leave them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from poncho.analysis import disk
from poncho.analysis.lazy import IN_A_TABLE
from poncho.analysis.model import ASIDE, ELSEWHERE, GUARDED, Import, Need, Place, Problem, Tier, Unresolved
from poncho.analysis.reading import Reading
from poncho.analysis.sources import Unit, UnreadableError, unit_of_file

_EXTENSIONS = (".so", ".pyd")
_INIT = "__init__.py"


@dataclass(slots=True)
class Graph:
    """All that was reached from the sources: needs that leave the program, its own files, what went wrong."""

    needs: list[Need] = field(default_factory=list)
    modules: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    missing: list[Unresolved] = field(default_factory=list)
    reached: set[Path] = field(default_factory=set)


@dataclass(slots=True)
class _Node:
    unit: Unit
    reading: Reading
    tier: Tier
    edges: list[tuple[Path, Tier]] = field(default_factory=list)
    instead: set[Path] = field(default_factory=set)
    needs: list[Need] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the walk asks: is a dotted name in the standard library, do the tables know a top-level name, does the
    environment have it; is a file the environment's, is it the code of an editable install."""

    standard: Callable[[str], bool]
    known: Callable[[str], bool]
    installed: Callable[[str], bool]
    owns: Callable[[Path], bool]
    editable: Callable[[str, Path], bool]


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
    while todo:
        node = nodes[todo.pop()]
        _split(node, outside, graph)
        graph.reached.update(path for path, _ in node.edges)
        for path, _tier in node.edges:
            key = str(path)
            if key in nodes:
                continue
            try:
                unit = unit_of_file(path, paths, entry=False)
            except UnreadableError as error:
                graph.problems.append(Problem(Place(_label(path), 1), str(error)))
                continue
            unit = replace(unit, label=_label(path), roots=_inherited(unit, node.unit))
            nodes[key] = _Node(unit, read(unit), Tier.HINT)
            todo.append(key)
    _demote(nodes)
    _settle(nodes, entries)
    imported = {str(path) for key, node in nodes.items() for path, tier in node.edges if not tier and str(path) != key}
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
        for path, tier in node.edges:
            if str(path) != key and tier <= Tier.OPTIONAL and node.unit.cap < Tier.OPTIONAL:
                taken = Tier.CONDITIONAL if path in node.instead else tier
                reached[str(path)] = min(taken, reached.get(str(path), taken))
    for key, tier in reached.items():
        module = nodes.get(key)
        if tier is Tier.OPTIONAL and module is not None and module.unit.inner:
            module.tier = max(module.tier, tier)


def _weighed(need: Need, node: _Node, imported: bool) -> Need:
    """Return a need with the tier that its module allows; ``imported``: another module imports that one outright."""
    need = replace(need, inside=node.unit.inside)
    tier, why = max(need.tier, node.tier), need.why
    if node.unit.cap >= Tier.OPTIONAL and node.tier >= Tier.OPTIONAL:
        return replace(need, tier=tier, why=ASIDE)
    if node.unit.inside and need.why == "under if":
        # A switch in a library's module: of those in the benchmark's corpus, none was ever declared as required.
        tier, why = max(tier, Tier.OPTIONAL), "under if, in a package's module"
    elif node.unit.inside and need.why == GUARDED:
        tier = max(tier, Tier.OPTIONAL)
    elif node.unit.inner and need.tier <= Tier.CONDITIONAL and tier is Tier.OPTIONAL:
        why = "in a module that the package goes on without"
    elif node.unit.inner and need.tier is Tier.REQUIRED and tier is Tier.CONDITIONAL:
        why = "in a module that importing the package does not load"
        return replace(need, tier=tier, why=why, firm=imported)
    return replace(need, tier=tier, why=why)


def _settle(nodes: dict[str, _Node], entries: list[str]) -> None:
    """Give each module the surest tier by which it is reached."""
    todo = list(entries)
    while todo:
        node = nodes[todo.pop()]
        for path, tier in node.edges:
            target = nodes.get(str(path))
            reached = max(node.tier, tier)
            if target is not None and reached < target.tier:
                target.tier = reached
                todo.append(str(path))


def _inherited(unit: Unit, parent: Unit) -> tuple[Path, ...]:
    # A module found through a script's directory sees that directory too: it is on sys.path while the script runs.
    return tuple(dict.fromkeys((*parent.roots, *unit.roots)))


def _label(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _split(node: _Node, outside: Outside, graph: Graph) -> None:
    """Sort a unit's imports into edges to local files and needs that leave the program."""
    unit = node.unit
    for one, place in node.reading.imports:
        if one.main and not unit.entry:
            continue
        if one.level and unit.path is not None and outside.owns(unit.path):
            # A file of an installed package: what it takes from its own package comes with that distribution.
            node.needs.append(Need(_own_package(unit.path), one.tier, place, one.why))
            continue
        if one.level and one.why != ELSEWHERE:
            found = list(_relative(unit, one))
            if found:
                node.edges += [(path, one.tier) for path in found]
                node.instead.update(found if one.fallback else ())
            elif unit.path is None or (max(one.tier, unit.cap) <= Tier.CONDITIONAL and one.why != IN_A_TABLE):
                name = "." * one.level + (one.module or ", ".join(one.names))
                graph.problems.append(Problem(place, f"the relative import of {name!r} leads to no file"))
            continue
        top = one.module.partition(".")[0]
        if not top or top == "__main__" or one.level:
            continue
        reached = _absolute(unit, one, top, outside)
        if reached is not None and one.why == ELSEWHERE:
            continue
        if reached is not None:
            found = reached
            node.edges += [(path, one.tier) for path in found if str(path).endswith((".py", ".pyw"))]
            node.instead.update(found if one.fallback else ())
            graph.modules += [path for path in found if str(path).endswith(_EXTENSIONS)]
            if found and outside.editable(top, found[0]) and not _is_part_of(unit, found[0]):
                node.needs.append(Need(top, one.tier, place, one.why))
        elif not outside.standard(one.module):
            attempt = (unit.label, one.attempt) if one.attempt else None
            for name in _dotted(one):
                node.needs.append(Need(name, one.tier, place, one.why, attempt, one.fallback))


def _own_package(path: Path) -> str:
    """Return the top-level package that a file belongs to."""
    folder = path.parent
    while disk.is_file(folder.parent / _INIT):
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


def _relative(unit: Unit, one: Import) -> Iterator[Path]:
    if unit.path is None:
        return
    folder = unit.path.parent
    for _ in range(one.level - 1):
        folder = folder.parent
    parts = tuple(one.module.split(".")) if one.module else ()
    yield from _files(folder, parts, one.names, folder)


def _absolute(unit: Unit, one: Import, top: str, outside: Outside) -> list[Path] | None:
    """Return the local files an absolute import stands for; None when it leaves the program.

    Modules beside the program hide standard and installed ones, as they do when it runs; a bare directory does not.
    """
    parts = tuple(one.module.split("."))
    for roots, last in ((unit.roots, False), (unit.near, True)):
        for root in roots:
            if outside.owns(root):
                continue
            kind = _kind(root, top)
            if kind is None or ((kind == "directory" or last) and (outside.standard(top) or outside.installed(top))):
                continue
            if last and unit.inside and outside.known(top):
                continue  # inside a package an absolute import does not mean the file beside it
            if kind == "module" and outside.standard(top) and _is_frozen(top):
                continue
            found = list(_files(root, parts, one.names))
            shared = (len(parts) > 1 or kind == "directory") and all(_is_namespace(file) for file in found)
            if shared and (not found or len(found[-1].relative_to(root).parts) <= len(parts)):
                continue  # another distribution's part of a namespace that the program has a part of
            return found
    return None


@disk.once
def _is_namespace(file: Path) -> bool:
    """Tell whether an ``__init__`` shares its package with other distributions (pkgutil, pkg_resources)."""
    try:
        text = file.read_text("utf-8", "replace") if file.name == "__init__.py" and file.stat().st_size < 4096 else ""
    except OSError:
        return False
    return "extend_path" in text or "declare_namespace" in text


def _is_frozen(name: str) -> bool:
    # Loaded before any program starts, so no file of the same name ever hides them.
    return name in (
        "sys",
        "os",
        "io",
        "abc",
        "codecs",
        "site",
        "stat",
        "posixpath",
        "genericpath",
        "builtins",
        "time",
        "zipimport",
    )


@disk.once
def _files(root: Path, parts: tuple[str, ...], names: tuple[str, ...], package: Path | None = None) -> tuple[Path, ...]:
    """Return the files that importing ``parts`` below ``root``, and then ``names`` from it, runs."""
    return tuple([_path(path) for path in _walk_files(str(root), parts, names, package)])


_path = disk.once(Path)


def _walk_files(root: str, parts: tuple[str, ...], names: tuple[str, ...], package: Path | None) -> Iterator[str]:
    folder = root
    if package is not None and _INIT in disk.listing(str(package)):
        yield f"{package}/{_INIT}"
    for part in parts:
        kind, path = _place(folder, part)
        if kind == "module":
            yield path
        if kind in ("module", ""):
            return
        folder = f"{folder}/{part}"
        if kind == "package":
            yield path
    for name in names:
        kind, path = _place(folder, name)
        if kind in ("module", "package"):
            yield path


@disk.once
def _kind(root: Path, top: str) -> str | None:
    kind, _ = _place(str(root), top)
    if kind == "directory":
        folder = f"{root}/{top}"
        return kind if any(name.endswith(".py") or is_a != "f" for name, is_a in disk.listing(folder).items()) else None
    return kind or None


def _place(folder: str, name: str) -> tuple[str, str]:
    """Return ``package``, ``module``, ``directory`` or nothing for a name in a directory, and the file that runs."""
    entries = disk.listing(folder)
    is_a = entries.get(name, "f")
    if is_a != "f" and disk.listing(f"{folder}/{name}").get(_INIT) == "f":
        return "package", f"{folder}/{name}/{_INIT}"
    for suffix in (".py", ".pyw"):
        if entries.get(name + suffix) == "f":
            return "module", f"{folder}/{name}{suffix}"
    for entry in _extensions(folder):
        if entry.startswith(f"{name}."):
            return "module", f"{folder}/{entry}"
    return ("directory", "") if is_a != "f" else ("", "")


@disk.once
def _extensions(folder: str) -> tuple[str, ...]:
    return tuple(sorted(entry for entry in disk.listing(folder) if entry.endswith(_EXTENSIONS)))
