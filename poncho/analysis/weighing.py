"""How sure an import is, by the way on which its module is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from poncho.analysis.byname import Walked
from poncho.analysis.calls import Definitions
from poncho.analysis.model import ASIDE, GUARDED, IN_BRANCH, IN_FUNCTION, Need, Tier
from poncho.analysis.reading import Reading, parse
from poncho.analysis.sources import Unit, text_of

# How the console scripts end that pip, uv and conda write for an installed package.
_LAUNCHER = re.compile(r"^[ \t]+sys\.argv\[0\] = .*\n(?:.*\n){0,4}[ \t]+sys\.exit\(\w[\w.]*\(\)\)\s*\Z", re.MULTILINE)


@dataclass(slots=True)
class Node:
    """One text. ``deep`` are the lines of imports in functions, ``inner`` the program's files that such lines import;
    ``takes`` says of a name what it is in which files."""

    unit: Unit
    reading: Reading
    tier: Tier
    edges: dict[str, Tier] = field(default_factory=dict)
    instead: set[str] = field(default_factory=set)
    needs: list[Need] = field(default_factory=list)
    deep: set[int] = field(default_factory=set)
    inner: dict[int, list[str]] = field(default_factory=dict)
    takes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def demote(nodes: Mapping[str, Node]) -> None:
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


def settle(nodes: Mapping[str, Node], entries: Sequence[str]) -> None:
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


def put_aside(nodes: Mapping[str, Node], entries: Sequence[str], walked: Sequence[Walked]) -> None:
    """Make optional what only walking through packages leads to, where no module that walks need be loaded."""
    if not walked:
        return
    for one in walked:
        for path in one.files:
            nodes[one.namer].edges[path] = Tier.OPTIONAL
    for key in nodes.keys() - set(entries):
        nodes[key].tier = Tier.HINT
    settle(nodes, entries)


def outright_imported(nodes: Mapping[str, Node]) -> set[str]:
    """Return the modules that others import outright; a package's own modules say nothing of its ``__init__``."""
    return {
        path
        for key, node in nodes.items()
        for path, tier in node.edges.items()
        if not tier and path != key and not _is_within(key, path)
    }


def _is_within(key: str, path: str) -> bool:
    """Tell whether a module lies in the package whose ``__init__`` ``path`` is."""
    return path.endswith("/__init__.py") and key.startswith(path.removesuffix("__init__.py"))


def is_own(entries: Sequence[Node]) -> bool:
    """Tell whether the sources are scripts that somebody wrote: their packages are their author's own, too.

    A directory may be a published package, and so may be what the console script of an installation starts: of functions
    in such packages most are features that its metadata does not require.
    """
    written = [
        "sys.argv[0] = " not in node.unit.text or not _LAUNCHER.search(node.unit.text)
        for node in entries
        if not node.unit.inside
    ]
    return len(written) == len(entries) and any(written)


def running(nodes: Mapping[str, Node], entries: Sequence[str]) -> set[tuple[str, int]]:
    """Return the imports, by file and line, in functions that surely run.

    Those are what scripts name and what importing the modules calls, and what these call. A name that a module only passes
    on (``from .cli import main``) is followed.
    """
    if not any(node.deep and node.unit.inside and not node.unit.entry for node in nodes.values()):
        return set()  # nothing depends on it
    scripts = (nodes[key] for key in entries if not nodes[key].unit.inside)
    todo = [taken for node in scripts for each in node.takes.values() for taken in each]
    trees: dict[str, Definitions] = {}
    for key, node in nodes.items():
        if node.unit.inside and not node.unit.entry and node.tier is Tier.REQUIRED:
            trees[key] = Definitions(parse(node.unit.text)[0])
            todo += [(key, f"{name}.{attribute}" if attribute else name) for name, attribute in trees[key].called()]
    seen: set[tuple[str, str]] = set()
    found: set[tuple[str, int]] = set()
    while todo:
        key, name = taken = todo.pop()
        if taken in seen or key not in nodes:
            continue
        seen.add(taken)
        node = nodes[key]
        if key not in trees:
            trees[key] = Definitions(parse(text_of(node.unit))[0])
        used = trees[key].used_by(name)
        found |= {(key, line) for line in used.lines}
        first, _, last = name.partition(".")
        for bound, attribute in used.names if first in trees[key] else {(first, last)}:
            for path, inner in node.takes.get(bound, ()):
                # A module's function, or a class's method.
                more = [(path, attribute), (path, f"{inner}.{attribute}")] if attribute else []
                todo += [(path, inner), *more]
    return found


def surely_loaded(nodes: Mapping[str, Node], entries: Sequence[str], called: set[tuple[str, int]]) -> set[str]:
    """Return the modules that are loaded whenever the program runs; ``called`` are the imports in functions that do."""
    found: set[str] = set()
    todo = list(entries)
    while todo:
        key = todo.pop()
        if key in found or key not in nodes:
            continue
        found.add(key)
        node = nodes[key]
        todo += [path for path, tier in node.edges.items() if tier is Tier.REQUIRED]
        todo += [path for line, files in node.inner.items() if (key, line) in called for path in files]
    return found


def weighed(need: Need, node: Node, *, own: bool, loaded: bool, imported: bool, deep: bool, runs: bool) -> Need:
    """Return a need with the tier that the place where it stands allows.

    ``own``: see ``is_own``; ``loaded``: its module surely is, as all are of code that is one's own; ``imported``: another
    module imports that one outright; ``deep``: it stands in a function, ``runs``: in one that surely runs.
    """
    unit = node.unit
    tier, why = max(need.tier, node.tier), need.why
    if unit.cap >= Tier.OPTIONAL and node.tier >= Tier.OPTIONAL:
        return need._replace(tier=tier, why=ASIDE)
    if unit.inside and (need.why == "under if" or (need.why == IN_BRANCH and not own)):
        # A switch in a library's module. In the benchmark's corpus none at module level is required; of those in functions
        # none is in the projects that were looked at, two are in those held out, and the spec is right more often without.
        tier, why = max(tier, Tier.OPTIONAL), f"{need.why}, in a package's module"
    elif unit.inside and need.why == GUARDED:
        tier = max(tier, Tier.OPTIONAL)
    elif unit.inside and not own and not unit.entry and need.why == IN_FUNCTION and not runs:
        # Reached from a console script, but only where this function is called: two times of three the metadata of its
        # package does not require it.
        tier, why = max(tier, Tier.OPTIONAL), f"{need.why} of a package that need not run"
    elif unit.inside and not loaded and tier is Tier.CONDITIONAL and _is_adapter(unit, need):
        tier, why = Tier.OPTIONAL, "in a module of its name, which need not be loaded"
    elif unit.inner and need.tier <= Tier.CONDITIONAL and tier is Tier.OPTIONAL:
        why = "in a module that the package goes on without"
    elif unit.inner and need.tier is Tier.REQUIRED and tier is Tier.CONDITIONAL:
        why = "in a module that importing the package does not load"
        return need._replace(tier=tier, why=why, firm=imported)
    elif unit.inside and not unit.entry and need.tier is Tier.REQUIRED and tier is Tier.CONDITIONAL:
        return need._replace(tier=tier, why=why, firm=imported)
    if unit.inside and not own and deep and not runs and tier is Tier.OPTIONAL:
        need = need._replace(attempt=None)  # nothing asks for one of several ways
    return need if tier is need.tier and why is need.why else need._replace(tier=tier, why=why)


def _is_adapter(unit: Unit, need: Need) -> bool:
    """Tell whether a module has the name of what it imports: ``backends/redis.py`` is there for those who have redis."""
    return unit.path is not None and unit.path.stem.casefold() == need.name.partition(".")[0].casefold()
