"""A recorded run as a value and as a file (``poncho trace -o trace.json``).

The file is JSON: ``poncho_trace`` (1), ``command``, ``status``, ``environment`` (``prefix``, ``python``), ``processes``,
``unfinished`` (those that ended without a last word), ``modules`` (name → ``file``, ``by``: ``file:line`` of the first
import), ``libraries``, ``data`` and ``programs`` below the environment. Modules of the standard library are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._regular import is_name
from poncho.analysis.model import Place
from poncho.errors import AnalysisError

VERSION = 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """A module that a run loaded, its file, and the line that imported it first, if that is known."""

    name: str
    file: str
    by: Place | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run of a program loaded from its environment ``prefix``, and of its own modules."""

    command: tuple[str, ...]
    status: int
    prefix: Path
    python: str
    processes: int
    unfinished: int
    modules: tuple[Loaded, ...]
    libraries: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the trace as JSON values."""
        return {
            "poncho_trace": VERSION,
            "command": list(self.command),
            "status": self.status,
            "environment": {"prefix": str(self.prefix), "python": self.python},
            "processes": self.processes,
            "unfinished": self.unfinished,
            "modules": {
                one.name: {"file": one.file, **({"by": str(one.by)} if one.by else {})} for one in self.modules
            },
            "libraries": list(self.libraries),
            "data": list(self.data),
            "programs": list(self.programs),
        }


def read_trace(path: Path) -> Trace:
    """Return what ``poncho trace`` wrote. Raises AnalysisError for a file that is none."""
    try:
        document = _json.loads(path.read_bytes())
    except OSError as error:
        raise AnalysisError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="poncho trace -o FILE -- python app.py writes one",
        ) from error
    except ValueError as error:
        raise AnalysisError(f"{path}: not JSON ({error})", hint="it must be what poncho trace wrote") from error
    if not isinstance(document, dict) or "poncho_trace" not in document:
        raise AnalysisError(f"{path}: no trace", hint="it must be what poncho trace wrote")
    if document["poncho_trace"] != VERSION:
        raise AnalysisError(
            f"{path}: a trace of form {document['poncho_trace']!r}, this PONCHO reads {VERSION}", hint="trace again"
        )
    try:
        environment = document["environment"]
        return Trace(
            tuple(map(str, document["command"])),
            int(document["status"]),
            Path(_path(environment["prefix"])),
            str(environment["python"]),
            int(document["processes"]),
            int(document["unfinished"]),
            tuple(Loaded(name, _path(one["file"]), _place(one.get("by"))) for name, one in document["modules"].items()),
            *(tuple(map(_path, document[key])) for key in ("libraries", "data", "programs")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise AnalysisError(f"{path}: a trace with {type(error).__name__} at {error}", hint="trace again") from error


def is_trace(path: Path) -> bool:
    """Tell whether a file is what ``poncho trace`` wrote, of any form, or empty."""
    try:
        with path.open("rb") as stream:
            first = stream.read(1)
            return not first or (first == b"{" and "poncho_trace" in _json.loads(first + stream.read()))
    except (OSError, ValueError, TypeError):
        return False


def merged(traces: Sequence[Trace]) -> Trace:
    """Return several runs in one environment as one. Raises AnalysisError for runs in different ones."""
    first = traces[0]
    for other in traces[1:]:
        if other.prefix != first.prefix:
            raise AnalysisError(
                f"the traces are of runs in two environments: {first.prefix} and {other.prefix}",
                hint="analyse with one of them at a time",
            )
    modules: dict[str, Loaded] = {}
    for one in (module for trace in traces for module in trace.modules):
        modules.setdefault(one.name, one)
    return Trace(
        first.command,
        max(trace.status for trace in traces),
        first.prefix,
        first.python,
        sum(trace.processes for trace in traces),
        sum(trace.unfinished for trace in traces),
        tuple(modules.values()),
        *(
            tuple(sorted({one for trace in traces for one in getattr(trace, kind)}))
            for kind in ("libraries", "data", "programs")
        ),
    )


def _path(value: object) -> str:
    if not is_name(text := str(value)):
        raise ValueError(f"{text!r}, which is no path")
    return text


def _place(text: Any) -> Place | None:
    found = re.fullmatch(r"(.*):(\d+)", text, re.DOTALL) if isinstance(text, str) else None
    return Place(found[1], int(found[2])) if found else None
