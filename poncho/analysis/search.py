"""Sources → what they need: read them, and follow the program's own modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poncho.analysis.declared import declared_in, may_declare
from poncho.analysis.environment import Environment
from poncho.analysis.functions import live_units, read_functions
from poncho.analysis.local import follow
from poncho.analysis.model import Problem
from poncho.analysis.reach import Outside
from poncho.analysis.reading import Reading, read_unit
from poncho.analysis.remembered import Found, Memory
from poncho.analysis.sources import Unit, read_sources
from poncho.errors import AnalysisError


@dataclass(slots=True)
class Search:
    """One search through the sources of a program; ``ship_local`` reads the files of live functions whole.

    ``_readings`` are those of the units that were read, by their ids.
    """

    environment: Environment
    outside: Outside
    is_local: Callable[[str, Path], bool]
    memory: Memory | None
    toplevel: bool
    functions: Sequence[str]
    ship_local: bool
    _readings: dict[int, Reading] = field(default_factory=dict)

    def found(self, texts: Sequence[Any], live: Sequence[Any], *, stdin: str | None) -> Found:
        """Return what ``texts`` (all sources but functions) and ``live`` ones need, and remember it where that is possible.

        Raises AnalysisError for sources that are not there, and for a function that is nowhere.
        """
        memory, paths = self.memory, self.environment.paths
        units: list[Unit] = []
        unread: list[Problem] = []
        declaring: list[Unit] = []
        for unit in read_sources(texts, unread, stdin=stdin, paths=paths):
            if may_declare(unit.text):
                declaring.append(unit)
            if self.functions:
                if memory:
                    memory.digest(unit.path, unit.text)
            else:
                reading = self._read(unit)
                if unit.inside and not unit.named:
                    # Hardly any text of a package's modules is asked for again, and thousands fill the memory.
                    unit = replace(unit, text="", kept=False)
                self._readings[id(unit)] = reading
            units.append(unit)
        if not units and not live:
            listed = "; ".join(str(problem) for problem in unread)
            raise AnalysisError(
                f"nothing to analyse: {listed or 'no source was named'}", hint="name a Python file, a directory or '-'"
            )
        if self.functions:
            read_functions(units, self.functions, self.environment.version, self._readings)
        walked, own_files = live_units(
            live, self.environment.version, self.is_local, self._readings, whole=self.ship_local
        )
        asked = memory.listening(self.outside) if memory else self.outside
        graph = follow([*units, *walked], self._read, asked, paths=paths)
        declared, faults = declared_in(declaring, self.environment.python)
        found = Found(graph, declared, unread, faults, [*units, *walked], list(own_files))
        if memory:
            memory.keep(found)
        return found

    def _read(self, unit: Unit) -> Reading:
        if (known := self._readings.get(id(unit))) is not None:
            return known
        memory = self.memory
        digest = memory.digest(unit.path, unit.text) if memory else ""
        toplevel = self.toplevel and unit.entry
        scans = memory.scans if memory else None
        return read_unit(unit, self.environment.version, toplevel=toplevel, scans=scans, digest=digest)
