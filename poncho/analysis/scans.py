"""What texts said when they were read before, by their digest."""

from __future__ import annotations

import hashlib
from typing import Any

from poncho.analysis.model import Import, Scan, Tier
from poncho.store.answers import Answers

_TIERS = tuple(Tier)


class Scans:
    """The remembered scans of one set of sources; those that this analysis used are what ``save`` writes.

    They are one answer of the cache: digest → what the text said, a line for each import (see ``_row``). One string for
    each text is written four times as fast as its imports would be as JSON values.
    """

    def __init__(self, answers: Answers, key: str) -> None:
        self._answers = answers
        self._key = key
        self._rows: dict[str, Any] | None = None
        self._used: dict[str, str] = {}
        self._changed = False

    def known(self, digest: str) -> Scan | None:
        """Return what the text with a digest said, if that is known."""
        if self._rows is None:
            loaded = self._answers.get(self._key)
            self._rows = loaded if isinstance(loaded, dict) else {}
        rows = self._rows.get(digest)
        if not isinstance(rows, str):
            return None
        try:
            scan = Scan(tuple([_import(row) for row in rows.split("\n")]) if rows else ())
        except (ValueError, IndexError):
            return None
        self._used[digest] = rows
        return scan

    def add(self, digest: str, scan: Scan) -> None:
        """Remember what a text said."""
        self._used[digest] = "\n".join([_row(one) for one in scan.imports])
        self._changed = True

    def save(self) -> None:
        """Write what this analysis used, if anything of it is new."""
        if self._changed:
            self._answers.put(self._key, self._used)


def digest_of(text: str) -> str:
    """Return the digest by which a text is known: half of a sha256, for which processors have an instruction."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _row(one: Import) -> str:
    """Return the fields of an import between tabs, of what stands under nothing and renames nothing the first five."""
    module, names, level, tier, line, why, attempt, fallback, main, binds, scope = one
    start = f"{module}\t{','.join(names)}\t{level}\t{int(tier)}\t{line}"
    if not (why or attempt or fallback or main or scope) and binds == (names or (module.partition(".")[0],)):
        return start
    return f"{start}\t{why}\t{attempt}\t{int(fallback)}\t{int(main)}\t{','.join(binds)}\t{scope}"


def _import(row: str) -> Import:
    """Return the import of a row. Raises ValueError and IndexError for what is none."""
    module, names_, level, tier, line, *rest = row.split("\t")
    names = tuple(names_.split(",")) if names_ else ()
    if not rest:
        binds = names or (module.partition(".")[0],)
        return Import(module, names, int(level), _TIERS[int(tier)], int(line), binds=binds)
    why, attempt, fallback, main, binds_, scope = rest
    binds = tuple(binds_.split(",")) if binds_ else ()
    return Import(
        module, names, int(level), _TIERS[int(tier)], int(line), why, int(attempt), fallback == "1", main == "1", binds, scope
    )  # fmt: skip
