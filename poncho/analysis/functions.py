"""Functions as sources: live ones, walked, and those that are asked for by name in a file."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poncho._home import working_directory
from poncho.errors import AnalysisError

if TYPE_CHECKING:
    from poncho.analysis.reading import Reading
    from poncho.analysis.sources import Unit

_SHOWN = 20


def is_live(value: object) -> bool:
    """Tell whether ``value`` can be walked: something to call, or a collection of Dask, which holds its functions."""
    return callable(value) or hasattr(type(value), "__dask_graph__")


def read_functions(
    units: Sequence[Unit], functions: Sequence[str], version: tuple[int, int], readings: dict[int, Reading]
) -> None:
    """Read units for what ``functions`` use, those that define none of them whole.

    Raises AnalysisError for a function that is nowhere, with the names that exist.
    """
    from poncho.analysis.reading import read_unit

    missing = list(dict.fromkeys(functions))
    names: set[str] = set()
    for unit in units:
        read = [read_unit(unit, version, function=name) for name in dict.fromkeys(functions)]
        found = [one for one in read if one.found]
        here = {name for name, one in zip(dict.fromkeys(functions), read, strict=True) if one.found}
        missing = [name for name in missing if name not in here]
        names.update(read[0].functions)
        readings[id(unit)] = _merged(found) if found else read[0]
    if not missing:
        return
    from difflib import get_close_matches

    existing = sorted(names)
    near = [match for name in missing for match in get_close_matches(name, existing, n=1, cutoff=0.6)]
    meant = f"did you mean {' and '.join(dict.fromkeys(near))}? " if near else ""
    more = f" and {len(existing) - _SHOWN} more" if len(existing) > _SHOWN else ""
    raise AnalysisError(
        f"no function {' and '.join(map(repr, missing))} in {', '.join(unit.label for unit in units)}",
        hint=f"{meant}there are: {', '.join(existing[:_SHOWN])}{more}" if existing else "there are no functions in it",
        context={"functions": existing},
    )


def _merged(readings: Sequence[Reading]) -> Reading:
    from poncho.analysis.reading import Reading

    return Reading(
        imports=list(dict.fromkeys(pair for one in readings for pair in one.imports)),
        functions=readings[0].functions,
        problems=list(dict.fromkeys(problem for one in readings for problem in one.problems)),
    )


def live_units(
    live: Sequence[object],
    version: tuple[int, int],
    is_local: Callable[[str, Path], bool],
    readings: dict[int, Reading],
    *,
    whole: bool = False,
) -> tuple[list[Unit], list[Path]]:
    """Return one unit for each live function, already read, units for the local modules it would import, and the files
    where the functions are written.

    ``whole`` reads those files whole too: where they are imported, all of each runs.
    """
    if not live:
        return [], []
    # Few programs pass functions: what looks into them is not loaded for the others.
    from poncho.analysis.live import walk_callable
    from poncho.analysis.reading import Reading
    from poncho.analysis.sources import Unit, unit_of_file

    roots = tuple(working_directory() / entry for entry in sys.path if os.path.isdir(entry or "."))
    roots = tuple(root for root in roots if is_local("", root))
    units: list[Unit] = []
    files: list[Path] = []
    own_files: list[Path] = []
    for one in live:
        walk = walk_callable(one, version, is_local)
        unit = Unit(f"<function {name_of(one)}>", "", walk.own_files[0] if walk.own_files else None, roots)
        readings[id(unit)] = Reading(imports=walk.imports)
        units.append(unit)
        files += walk.files
        own_files += walk.own_files
    for file in dict.fromkeys([*files, *(own_files if whole else ())]):
        units.append(unit_of_file(file, roots, entry=False))
    return units, list(dict.fromkeys(own_files))


def name_of(function: object) -> str:
    """Return what a live function is called in messages; asked of the type only, an instance may answer with code."""
    named = isinstance(function, (types.FunctionType, types.MethodType, type))
    return str(function.__qualname__) if named else type(function).__name__  # type: ignore[attr-defined]


def local_to(holds: Callable[[Path], bool], editable: Callable[[str, Path], bool]) -> Callable[[str, Path], bool]:
    """Return what tells the program's own modules from those of the standard library and of what is installed, also
    editable.

    ``holds`` tells whether a file is the environment's, ``editable`` whether one is the code of an editable install.
    """
    standard = Path(os.__file__).parent
    known: dict[tuple[str, Path], bool] = {}

    def is_local(module: str, path: Path) -> bool:
        top = module.partition(".")[0]
        if (top, path) not in known:
            inside = holds(path) or path.is_relative_to(standard) or bool(top and editable(top, path))
            known[top, path] = not inside
        return known[top, path]

    return is_local


def as_functions(function: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names asked for: none, one or several."""
    if function is None:
        return ()
    return (function,) if isinstance(function, str) else tuple(function)
