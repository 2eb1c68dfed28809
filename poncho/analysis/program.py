"""Sources → spec: read, follow, name, assemble."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from poncho._types import Event, Reporter, silent
from poncho.analysis.assemble import assemble, refuse_unresolved, spec_of
from poncho.analysis.declared import declared_in
from poncho.analysis.environment import Environment, find_environment
from poncho.analysis.local import Graph, Outside, follow, forget_listings
from poncho.analysis.model import Analysis, Problem
from poncho.analysis.naming import Namer
from poncho.analysis.reading import Reading, read_unit
from poncho.analysis.sources import SourceText, Unit, read_sources
from poncho.analysis.stdlib import standard_modules
from poncho.errors import AnalysisError


def analyze(
    sources: Any,
    *,
    toplevel: bool = False,
    function: str | None = None,
    mapping: Mapping[str, str] = {},
    extra: Sequence[str] = (),
    prefix: Path | None = None,
    reporter: Reporter = silent,
    stdin: str | None = None,
    strict: bool = True,
) -> Analysis:
    """Find what programs need, and name it for a spec. Nothing of the programs is imported or run.

    ``sources`` is one or several of: a path (file, directory, package, notebook), ``"-"`` (standard input, or the
    text ``stdin``), a SourceText or a string with a line break (source itself, possibly an indented function), a live
    callable. ``toplevel`` keeps what is imported at module level; ``function`` (``f``, ``Class.method``,
    ``outer.inner``) what that function uses. ``mapping`` names packages by import (an empty name leaves the import
    out); ``extra`` are packages that nothing imports. ``prefix`` is the environment to take names and versions from
    (see ``find_environment`` for the default). ``strict=False`` returns what has no name in ``Analysis.unresolved``
    instead of raising.

    Raises AnalysisError for sources that are not there, a function that is nowhere (naming those that exist), and,
    once for all of them, imports for which no package is known.
    """
    given = _listed(sources)
    live = [one for one in given if callable(one)]
    environment = find_environment(prefix, running=bool(live))
    forget_listings()
    namer = Namer(environment, mapping)
    reporter(Event("start", "analyze", f"reading {len(given)} sources"))
    texts = [one for one in given if not callable(one)]
    units, unread = read_sources(texts, stdin=stdin, paths=environment.paths)
    if not units and not live:
        listed = "; ".join(str(problem) for problem in unread)
        raise AnalysisError(
            f"nothing to analyse: {listed or 'no source was named'}", hint="name a Python file, a directory or '-'"
        )
    readings: dict[int, Reading] = {}
    if function is not None:
        _read_function(units, function, environment, readings)

    def read(unit: Unit) -> Reading:
        known = readings.get(id(unit))
        return known if known is not None else read_unit(unit, environment.version, toplevel=toplevel and unit.entry)

    live_units, own_files = _live_units(live, environment, readings)
    graph = follow([*units, *live_units], read, _outside(environment, namer), paths=environment.paths)
    declared, faults = declared_in(units, environment.python)
    problems = [*unread, *graph.problems, *faults]
    for problem in problems:
        reporter(Event("warning", "analyze", str(problem)))
    assembly = assemble(graph.needs, declared, tuple(extra), namer)
    if strict:
        refuse_unresolved(assembly.unresolved)
    analysis = Analysis(
        spec=spec_of(assembly.findings, environment, namer),
        findings=tuple(assembly.findings),
        problems=_once(problems),
        unresolved=tuple(assembly.unresolved),
        local_modules=tuple(sorted({*_own(graph, environment), *own_files})),
        editable=tuple(sorted(assembly.editable.items())),
        environment=environment.prefix,
    )
    reporter(Event("done", "analyze", f"{sum(one.included for one in analysis.findings)} packages"))
    return analysis


def _listed(sources: Any) -> list[Any]:
    single = isinstance(sources, (str, os.PathLike, SourceText)) or callable(sources)
    given = [sources] if single else list(sources)
    for one in given:
        if not (isinstance(one, (str, os.PathLike, SourceText)) or callable(one)):
            raise AnalysisError(
                f"{type(one).__name__} is nothing that can be analysed", hint="pass paths, '-', SourceText or callables"
            )
    return given


def _read_function(units: list[Unit], function: str, environment: Environment, readings: dict[int, Reading]) -> None:
    """Read units for ``function``, those that do not define it whole. Raises AnalysisError if none does."""
    for unit in units:
        readings[id(unit)] = read_unit(unit, environment.version, function=function)
    if any(reading.found for reading in readings.values()):
        return
    names = sorted({name for reading in readings.values() for name in reading.functions})
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    where = ", ".join(unit.label for unit in units)
    raise AnalysisError(
        f"no function {function!r} in {where}",
        hint=f"there are: {shown}" if names else "there are no functions in it",
        context={"functions": names},
    )


def _live_units(
    live: Sequence[Callable[..., Any]], environment: Environment, readings: dict[int, Reading]
) -> tuple[list[Unit], list[Path]]:
    """Return one unit for each live function, already read, and units for the local modules it would import."""
    if not live:
        return [], []
    import sys

    from poncho.analysis.live import walk_callable
    from poncho.analysis.sources import unit_of_file

    standard_library = Path(os.__file__).parent

    def is_local(path: Path) -> bool:
        return not environment.holds(path) and not path.is_relative_to(standard_library)

    roots = tuple(Path(entry or ".").absolute() for entry in sys.path if os.path.isdir(entry or "."))
    roots = tuple(root for root in roots if is_local(root))
    units: list[Unit] = []
    files: list[Path] = []
    own_files: list[Path] = []
    for one in live:
        walk = walk_callable(one, environment.version, is_local)
        # Asked of the type only: an instance may answer with code of its own.
        name = one.__qualname__ if isinstance(one, (types.FunctionType, types.MethodType, type)) else type(one).__name__
        unit = Unit(f"<function {name}>", "", walk.own_files[0] if walk.own_files else None, roots)
        readings[id(unit)] = Reading(imports=walk.imports)
        units.append(unit)
        files += walk.files
        own_files += walk.own_files
    for file in dict.fromkeys(files):
        units.append(unit_of_file(file, roots, entry=False))
    return units, own_files


def _outside(environment: Environment, namer: Namer) -> Outside:
    standard = standard_modules(environment.version)
    return Outside(
        standard=lambda top: top in standard,
        installed=lru_cache(maxsize=None)(namer.has),
        owns=lru_cache(maxsize=None)(environment.holds),
        editable=namer.editable,
    )


def _own(graph: Graph, environment: Environment) -> list[Path]:
    return [path for path in graph.modules if not environment.holds(path)]


def _once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problems))
