"""What the metadata of installed distributions said about their modules when an earlier analysis read it.

To read 150 RECORDs takes a quarter of the analysis of a program that has not changed. One
answer of the builder's cache, bucket ``analysis``, for one list of site directories: of each metadata directory the names of its
modules and packages, and the times of the directory and of the files in it that tell. It counts as long as these are as
they were (see ``settled``): a file that comes or goes changes the directory's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poncho.analysis.settled import NOTHING, code_of_analysis, is_as_it_was, times_of
from poncho.errors import PonchoError
from poncho.store.answers import Answers, answer_key
from poncho.store.place import answers_root

# The files that name modules.
_TELLING = ("METADATA", "RECORD", "installed-files.txt", "top_level.txt", "direct_url.json")
# Fewer are read again sooner than the cache is looked up and written.
_FEWEST = 16


class Inventory:
    """The remembered modules of the distributions in some site directories; ``add`` more, and ``save``."""

    def __init__(self, answers: Answers, key: str) -> None:
        self._answers = answers
        self._key = key
        self._started = time.time_ns()
        self._kept: dict[str, Any] | None = None
        self._sound: dict[str, bool] = {}
        self._added: dict[str, Any] = {}

    @classmethod
    def of(cls, site: Sequence[Path]) -> Inventory | None:
        """Return the inventory of site directories; None where there is no cache directory."""
        try:
            bucket = answers_root("analysis")
            key = answer_key("inventory", [str(one) for one in site], code_of_analysis(), sys.version)
        except (PonchoError, OSError, RuntimeError):
            return None
        return cls(Answers(bucket), key)

    def modules(self, metadata: str) -> frozenset[str] | None:
        """Return the modules that a metadata directory named, None where that is not known (any more)."""
        return self._names(metadata, 1)

    def tops(self, metadata: str) -> frozenset[str] | None:
        """Return the first parts of their names."""
        return self._names(metadata, 2)

    def add(self, metadata: str, modules: frozenset[str]) -> None:
        """Remember what a metadata directory names, if its times tell when that changes."""
        times = {name: times_of(os.path.join(metadata, name), self._started) for name in _present(metadata)}
        if NOTHING not in times.values():
            tops = {name.partition(".")[0] for name in modules}
            self._added[metadata] = [times, "\n".join(sorted(modules)), "\n".join(sorted(tops))]

    def save(self) -> None:
        """Write what was added, and what of the others still is as it was when it was asked for."""
        if len(self._added) < _FEWEST and not (self._added and self._kept):
            return
        kept = {path: row for path, row in (self._kept or {}).items() if self._sound.get(path)}
        self._answers.put(self._key, kept | self._added)

    def _names(self, metadata: str, column: int) -> frozenset[str] | None:
        if self._kept is None:
            loaded = self._answers.get(self._key)
            self._kept = loaded if isinstance(loaded, dict) else {}
        row = self._kept.get(metadata)
        if row is None:
            return None
        try:
            if metadata not in self._sound:
                self._sound[metadata] = all(
                    is_as_it_was(os.path.join(metadata, name), times) for name, times in row[0].items()
                )
            return frozenset(row[column].split("\n")) if self._sound[metadata] else None
        except (IndexError, KeyError, TypeError, ValueError, AttributeError):
            return None


def _present(metadata: str) -> list[str]:
    """Return what is looked at of a metadata directory: itself, and the files in it that tell."""
    return ["", *(name for name in _TELLING if os.path.lexists(os.path.join(metadata, name)))]
