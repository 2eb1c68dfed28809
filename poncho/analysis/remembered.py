"""What an earlier analysis of the same sources found: in the builder's cache, bucket ``analysis``.

There are two answers for a set of sources, an environment and a version of PONCHO: what was found, with every file and
directory that was looked at; and what each text said, by its digest. Both are replaced as a whole by one rename, so any
number of analyses may run at once, and the last one's stay.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poncho.analysis import disk
from poncho.analysis.declared import Declared
from poncho.analysis.environment import Environment
from poncho.analysis.model import Graph, Need, Place, Problem, Tier
from poncho.analysis.reach import Outside
from poncho.analysis.scans import Scans, digest_of
from poncho.analysis.settled import code_of_analysis, is_as_it_was, times_of
from poncho.analysis.sources import Unit, UnreadableError, read_text
from poncho.errors import PonchoError
from poncho.store.answers import Answers, answer_key
from poncho.store.place import answers_root

# Fewer files are read again sooner than the cache is looked up and written.
_FEWEST = 16
_TIERS = tuple(Tier)


@dataclass(slots=True)
class Found:
    """What reading and following the sources gives; all that is left to do is naming.

    ``units`` and ``own_files`` (of live functions) are not remembered: they are empty in what is recalled.
    """

    graph: Graph
    declared: list[Declared]
    unread: list[Problem]
    faults: list[Problem]
    units: list[Unit] = field(default_factory=list)
    own_files: list[Path] = field(default_factory=list)


@dataclass(slots=True)
class Memory:
    """The memory of one set of sources, seen in one environment by one version of PONCHO.

    ``answers`` are what was asked about the environment on the way, ``digests`` the texts that were read.
    """

    cache: Answers
    key: str
    started: int
    scans: Scans
    answers: dict[tuple[str, ...], bool] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, sources: Sequence[Any], environment: Environment, *options: Any) -> Memory | None:
        """Return the memory for paths; None for other sources, and where there is no cache directory."""
        if not all(isinstance(one, os.PathLike) or (isinstance(one, str) and _is_path(one)) for one in sources):
            return None
        try:
            bucket = answers_root("analysis")
            parts = [[os.fspath(one) for one in sources], os.getcwd(), options, code_of_analysis(), sys.version]
            places = [environment.prefix, *environment.site, None, *environment.paths]
            key = answer_key(*parts, environment.python, [str(place) for place in places])
        except (PonchoError, OSError, RuntimeError, TypeError):
            return None
        cache = Answers(bucket)
        return cls(cache, answer_key(key, "found"), time.time_ns(), Scans(cache, answer_key(key, "scans")))

    def digest(self, path: Path | None, text: str) -> str:
        """Return the digest of a text that was read from ``path``."""
        digest = digest_of(text)
        self.digests[str(path)] = digest
        return digest

    def listening(self, outside: Outside) -> Outside:
        """Return ``outside`` with its answers noted."""

        def installed(top: str) -> bool:
            return ask((top,), lambda: outside.installed(top))

        def editable(top: str, path: str) -> bool:
            return ask((top, path), lambda: outside.editable(top, path))

        def ask(question: tuple[str, ...], answer: Callable[[], bool]) -> bool:
            known = self.answers.get(question)
            if known is None:
                known = self.answers[question] = answer()
            return known

        return replace(outside, installed=installed, editable=editable)

    def recall(self, outside: Outside) -> Found | None:
        """Return what was found, if nothing has changed that it rests on.

        A file or directory whose times have changed is compared by content, and what was asked about the environment
        is asked again.
        """
        kept = self.cache.get(self.key)
        if not isinstance(kept, dict):
            return None
        try:
            if any(_ask(outside, *question) != answer for *question, answer in kept["answers"]):
                return None
            touched = False
            for kind, digest in (("files", _digest_of_file), ("folders", _digest_of_folder)):
                for row in kept[kind]:
                    if is_as_it_was(row[0], row[2:]):
                        continue
                    if digest(row[0]) != row[1]:
                        return None
                    times = self._times(row[0])
                    touched = touched or times != row[2:]
                    row[2:] = times
            found = _found(kept["found"])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            return None
        if touched:
            self.cache.put(self.key, kept)
        return found

    def keep(self, found: Found) -> None:
        """Remember what was found; it rests on the texts that were read and on all that ``disk`` has seen."""
        if len(self.digests) < _FEWEST:
            return
        self.scans.save()
        for problem in (*found.unread, *found.graph.problems):
            path = os.path.abspath(problem.place.file)
            if path not in self.digests:
                self.digests[path] = _digest_of_file(path)
        files = [[path, digest, *self._times(path)] for path, digest in self.digests.items()]
        folders = [[path, _digest_of_entries(entries), *self._times(path)] for path, entries in disk.seen().items()]
        answers = [[*question, answer] for question, answer in self.answers.items()]
        self.cache.put(self.key, {"files": files, "folders": folders, "answers": answers, "found": _found_rows(found)})

    def _times(self, path: str) -> list[int]:
        return times_of(path, self.started)


def _is_path(source: str) -> bool:
    return source != "-" and "\n" not in source


def _ask(outside: Outside, top: str, path: str | None = None) -> bool:
    return outside.installed(top) if path is None else outside.editable(top, path)


def _digest_of_file(path: str) -> str:
    try:
        return digest_of(read_text(path))
    except UnreadableError:
        return ""


def _digest_of_folder(path: str) -> str:
    return _digest_of_entries(disk.read(path))


def _digest_of_entries(entries: Any) -> str:
    return digest_of("\0".join(f"{name}/{kind}" for name, kind in sorted(entries.items())))


def _found_rows(found: Found) -> dict[str, Any]:
    """Return what was found as JSON values; names that come again and again are numbers in ``words``."""
    words: dict[str, int] = {}

    def number(word: str) -> int:
        return words.setdefault(word, len(words))

    needs = [
        [
            number(need.name),
            int(need.tier),
            number(need.place.file),
            need.place.line,
            need.place.cell,
            number(need.why),
            number(need.attempt[0]) if need.attempt else -1,
            need.attempt[1] if need.attempt else 0,
            need.fallback,
            need.firm,
            need.inside,
        ]
        for need in found.graph.needs
    ]
    return {
        "needs": needs,
        "modules": [str(path) for path in found.graph.modules],
        "problems": [_problem_row(one) for one in found.graph.problems],
        "declared": [[one.requirement, _place_row(one.place)] for one in found.declared],
        "unread": [_problem_row(one) for one in found.unread],
        "faults": [_problem_row(one) for one in found.faults],
        "words": list(words),
    }


def _found(rows: dict[str, Any]) -> Found:
    words = rows["words"]
    needs = [
        Need(
            words[name],
            _TIERS[tier],
            Place(words[file], line, cell),
            words[why],
            (words[label], attempt) if label >= 0 else None,
            fallback,
            firm,
            inside,
        )
        for name, tier, file, line, cell, why, label, attempt, fallback, firm, inside in rows["needs"]
    ]
    graph = Graph(needs, [Path(path) for path in rows["modules"]], [_problem(row) for row in rows["problems"]])
    declared = [Declared(requirement, Place(*place)) for requirement, place in rows["declared"]]
    return Found(graph, declared, [_problem(row) for row in rows["unread"]], [_problem(row) for row in rows["faults"]])


def _place_row(place: Place) -> list[Any]:
    return [place.file, place.line, place.cell]


def _problem_row(problem: Problem) -> list[Any]:
    return [_place_row(problem.place), problem.message]


def _problem(row: list[Any]) -> Problem:
    return Problem(Place(*row[0]), row[1])
