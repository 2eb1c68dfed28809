"""Sources → spec: read, follow, name, assemble."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poncho._arguments import as_path, kind, several
from poncho._types import Event, Reporter, silent
from poncho._words import counted
from poncho.analysis import disk
from poncho.analysis.archives import unpacked
from poncho.analysis.assemble import assemble, refuse_unresolved, spec_of
from poncho.analysis.choose import Choice, refuse_unknown
from poncho.analysis.environment import Environment, find_environment
from poncho.analysis.functions import as_functions, is_live, local_to
from poncho.analysis.known import answer as known_answer
from poncho.analysis.known import later_module
from poncho.analysis.model import Analysis, Graph, Place, Problem, Tier
from poncho.analysis.naming import Namer
from poncho.analysis.quiet import without_warnings
from poncho.analysis.reach import Outside
from poncho.analysis.remembered import Found, Memory
from poncho.analysis.sources import SourceText, Unit
from poncho.analysis.stdlib import standard_modules
from poncho.analysis.traps import BACKPORTS
from poncho.analysis.views import compared, projects_in, run_of, seen_in
from poncho.errors import AnalysisError

if TYPE_CHECKING:
    from poncho.analysis.online import Online
    from poncho.analysis.shipping import Shipped


def analyze(
    sources: Any,
    *,
    toplevel: bool = False,
    function: str | Sequence[str] | None = None,
    mapping: Mapping[str, str] = {},
    extra: Sequence[str] = (),
    prefix: Path | None = None,
    reporter: Reporter = silent,
    stdin: str | None = None,
    strict: bool = True,
    ship_local: bool = False,
    python: str | None = None,
    online: bool = False,
    pin: str = "none",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    traces: Sequence[Path] = (),
) -> Analysis:
    """Find what programs need, and name it for a spec. Nothing of the programs is imported or run.

    ``sources`` is one or several of: a path (file, directory, package, project, notebook, zipapp, wheel, egg, zip file or
    tarball of a source distribution), ``"-"`` (standard input, or the text ``stdin``), a SourceText or a string with a
    line break (source itself, possibly an indented function), a live callable or Dask collection.
    ``toplevel`` keeps what is imported at module level; ``function`` (one or several of ``f``,
    ``Class.method``, ``outer.inner``) what that function uses. ``mapping`` names packages by import (an empty name leaves the
    import out); ``extra`` are packages that nothing imports. ``prefix`` is the environment to take names and versions from
    (see ``find_environment`` for the default), ``python`` another version than its own to analyse for. ``online`` asks
    the package index that pip is set up with about imports that nothing else knows or on which the tables disagree;
    ``pin`` asks it for the versions of what is not installed: ``none``, ``compatible`` (``~=``) or ``latest`` (``==``).
    ``include`` and ``exclude`` take in and leave out tiers (``required`` … ``hint``), imports and distributions by
    name, and ``include`` what projects among the sources declare (``declared``). ``traces`` are files that ``poncho
    trace`` wrote: what only the run saw is taken in, and the environment of the run counts unless ``prefix`` is given.
    ``strict=False`` returns what has no name in ``Analysis.unresolved`` instead of raising. ``ship_local`` puts the
    program's own modules into the spec, as a wheel in the builder's cache.

    Raises AnalysisError for sources that are not there, a function that is nowhere (naming those that exist), and,
    once for all of them, imports for which no package is known.
    """
    choice = Choice.of(several(include), several(exclude))
    extra, traces = several(extra), [as_path(one, "a trace") for one in several(traces)]
    run = run_of(traces)
    prefix = None if prefix is None else as_path(prefix, "prefix")
    if run is not None and prefix is None and run.prefix.is_dir():
        prefix = run.prefix
    with _without_collector(), without_warnings(), disk.remembering(), unpacked(_listed(sources)) as inputs:
        given = inputs.sources
        environment = find_environment(prefix, running=any(map(is_live, given))).for_python(python)
        asked = _online(environment, online=online, pin=pin)
        projects = projects_in(given, environment)
        namer = Namer(environment, mapping, asked if online else None, projects)
        reporter(Event("start", "analyze", f"reading {counted(len(given), 'source')}"))
        is_local = local_to(environment.holds, namer.editable)
        outside = _outside(environment, namer, inputs.bundled)
        options = _Options(toplevel, tuple(as_functions(function)), ship_local, stdin, once=bool(inputs.names))
        found = _find(given, environment, outside, is_local, options)
        graph = found.graph
        problems = [*found.unread, *graph.problems, *found.faults, *(one for each in projects for one in each.problems)]
        for problem in problems:
            reporter(Event("warning", "analyze", str(inputs.problem(problem))))
        declared = [*found.declared, *(one for each in projects if choice.declared for one in each.wanted())]
        assembly = assemble(graph.needs, declared, tuple(extra), namer, choice)
        if (seen := seen_in(run, namer, environment)) is not None:
            needs = [*graph.needs, *seen.needs(assembly.findings)]
            declared += seen.owners(assembly.findings, Place(str(traces[0]), 1))
            assembly = assemble(needs, declared, tuple(extra), namer, choice)
        namer.installed.save()
        refuse_unknown(choice, assembly.findings, assembly.unresolved)
        if strict:
            refuse_unresolved(assembly.unresolved, choice)
        if asked is not None and pin != "none":
            from poncho.analysis.online import pinned

            assembly.findings = pinned(assembly.findings, asked, pin)
        problems += assembly.doubts
        local = {*_own(graph, environment), *found.own_files}
        view = None
        if seen is not None:
            view = seen.told(assembly.findings, local, [str(one) for one in given])
            local |= {Path(os.path.abspath(file)) for file in view.files}
            assembly.findings = seen.seen_of(assembly.findings)
        shipped = None
        if ship_local:
            shipped = _shipped(found.units, graph, found.own_files, is_local, environment)
        analysis = Analysis(
            spec=spec_of([*assembly.findings, *([shipped.finding()] if shipped else [])], environment, namer),
            findings=(*assembly.findings, *([shipped.finding()] if shipped else [])),
            problems=_once(problems),
            unresolved=tuple(assembly.unresolved),
            local_modules=tuple(sorted(path for path in local if not inputs.holds(path))),
            shipped=shipped.modules if shipped else (),
            editable=tuple(sorted(assembly.editable.items())),
            environment=environment.prefix,
            projects=compared(projects, found.declared, assembly, namer, choice),
            run=view,
        )
        if inputs.names:
            from poncho.analysis.renaming import renamed

            analysis = renamed(analysis, inputs)
    reporter(Event("done", "analyze", counted(sum(one.included for one in analysis.findings), "package")))
    return analysis


def _online(environment: Environment, *, online: bool, pin: str) -> Online | None:
    """Return whom to ask, if anything shall be asked. Raises AnalysisError for a ``pin`` that does not exist."""
    if pin not in ("none", "compatible", "latest"):
        raise AnalysisError(f"{pin!r} is no way to pin versions", hint="use none, compatible or latest")
    if not online and pin == "none":
        return None
    from poncho.analysis.index import Index
    from poncho.analysis.online import Online

    return Online(Index(), environment.python)


@dataclass(frozen=True, slots=True)
class _Options:
    """What ``analyze`` was asked for beside the sources."""

    toplevel: bool
    functions: tuple[str, ...]
    ship_local: bool
    stdin: str | None
    once: bool


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let the garbage collector rest: what is made has no cycles, and it would look at all of it again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():
                # What was made counts as old now; else the collector would look at all of it at once.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _find(
    given: list[Any],
    environment: Environment,
    outside: Outside,
    is_local: Callable[[str, Path], bool],
    options: _Options,
) -> Found:
    """Read the sources and follow the program's own modules, or take what was found when nothing has changed since."""
    live = [one for one in given if is_live(one)]
    texts = [one for one in given if not is_live(one)]
    memory = None
    if not (live or options.ship_local or options.once):
        memory = Memory.of(texts, environment, options.toplevel, options.functions)
    if memory and (known := memory.recall(outside)) is not None:
        return known
    # What reads texts takes longer to load than to see that nothing has changed.
    from poncho.analysis.search import Search

    return Search(
        environment, outside, is_local, memory, options.toplevel, options.functions, options.ship_local
    ).found(texts, live, stdin=options.stdin)


def _listed(sources: Any) -> list[Any]:
    single = isinstance(sources, (str, os.PathLike, SourceText)) or is_live(sources)
    if not single and (isinstance(sources, bytes) or not isinstance(sources, Iterable)):
        raise AnalysisError(
            f"{kind(sources)} is nothing that can be analysed", hint="pass paths, '-', SourceText or callables"
        )
    given = [sources] if single else list(sources)
    for one in given:
        if not (isinstance(one, (str, os.PathLike, SourceText)) or is_live(one)):
            raise AnalysisError(
                f"{kind(one)} is nothing that can be analysed", hint="pass paths, '-', SourceText or callables"
            )
    return given


def _outside(environment: Environment, namer: Namer, bundled: frozenset[str]) -> Outside:
    standard = standard_modules(environment.version)
    version = environment.version

    def is_standard(dotted: str) -> bool:
        if dotted.partition(".")[0] in bundled:
            return True  # it travels inside the archive
        later = later_module(dotted)
        return dotted.partition(".")[0] in standard and (later is None or version >= BACKPORTS[later][0])

    return Outside(
        standard=lru_cache(maxsize=None)(is_standard),
        known=lambda top: known_answer(top, version) is not None,
        installed=lru_cache(maxsize=None)(namer.has),
        owns=lru_cache(maxsize=None)(environment.holds),
        editable=namer.editable,
    )


def _own(graph: Graph, environment: Environment) -> list[Path]:
    return [path for path in graph.modules if not environment.holds(path)]


def _shipped(
    units: Sequence[Unit],
    graph: Graph,
    own_files: Sequence[Path],
    is_local: Callable[[str, Path], bool],
    environment: Environment,
) -> Shipped | None:
    """Make a wheel of what the program imports of its own: also the sources, where they are modules, not scripts."""
    from poncho.analysis.shipping import ship

    wanted = [unit for unit in units if unit.path and unit.cap <= Tier.CONDITIONAL]
    packaged = [unit.path for unit in wanted if unit.path and (unit.path.parent / "__init__.py").is_file()]
    # Nearest first: a script's directory, then what PYTHONPATH and the running program add.
    roots = tuple(dict.fromkeys(root for unit in units if unit.entry for root in unit.roots)) + environment.paths
    files = {*_own(graph, environment), *map(Path, graph.reached), *own_files, *packaged}
    return ship([file for file in files if is_local(_top(file), file)], roots)


def _top(file: Path) -> str:
    """Return the top-level module that a file is, or is in."""
    top = file if not (file.parent / "__init__.py").is_file() else file.parent
    while top != file and (top.parent / "__init__.py").is_file():
        top = top.parent
    return top.stem


def _once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problems))
