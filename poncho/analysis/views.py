"""What is seen beside the code itself: projects that declare what they need, and recorded runs.

Most analyses meet neither, so what reads them is loaded only where it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

_DECLARING = frozenset({"pyproject.toml", "setup.cfg", "setup.py", "pkg-info", "egg-info", "requirements"})

if TYPE_CHECKING:
    from poncho.analysis.assemble import Assembly
    from poncho.analysis.choose import Choice
    from poncho.analysis.compare import Comparison
    from poncho.analysis.declared import Declared
    from poncho.analysis.environment import Environment
    from poncho.analysis.naming import Namer
    from poncho.analysis.project import Project
    from poncho.analysis.seen import Seen
    from poncho.analysis.trace import Trace


def projects_in(given: Sequence[Any], environment: Environment) -> list[Project]:
    """Return the projects among the sources: directories that declare what they need."""
    paths = [Path(one) for one in given if isinstance(one, os.PathLike) or (isinstance(one, str) and "\n" not in one)]
    directories = [path for path in paths if _is_directory(path) and _may_declare(path)]
    if not directories:
        return []
    from poncho.analysis.project import read_project

    projects = (read_project(path, environment.python) for path in directories)
    return [project for project in projects if project is not None]


def _may_declare(directory: Path) -> bool:
    """Tell, quickly, whether a directory has any file or directory in which a project can say what it needs."""
    try:
        names = os.listdir(directory)
    except OSError:
        return True
    return any(
        name.endswith((".txt", ".in", ".dist-info", ".egg-info")) or name.lower() in _DECLARING for name in names
    )


def compared(
    projects: Sequence[Project], declared: Sequence[Declared], assembly: Assembly, namer: Namer, choice: Choice
) -> tuple[Comparison, ...]:
    """Compare what projects and scripts declare with what they import."""
    if not projects and not declared:
        return ()
    from poncho.analysis.compare import compare, script_projects

    declaring = [*projects, *script_projects(declared)]
    return tuple(compare(one, assembly.findings, assembly.unresolved, namer, choice) for one in declaring)


def run_of(traces: Sequence[Path]) -> Trace | None:
    """Return the recorded runs as one. Raises AnalysisError."""
    if not traces:
        return None
    from poncho.analysis.trace import merged, read_trace

    return merged([read_trace(path) for path in traces])


def seen_in(run: Trace | None, namer: Namer, environment: Environment) -> Seen | None:
    """Return what a run loaded, in the names of the environment that is analysed."""
    if run is None:
        return None
    from poncho.analysis.seen import Seen

    return Seen(run, namer, environment.prefix)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
