"""What texts said when they were read before, by their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from poncho.analysis.model import Import, Scan, Tier
from poncho.store.answers import Answers

_TIERS = tuple(Tier)
# ``why`` to ``main`` of an import that stands under nothing. Most do, and rename nothing: their rows end before these.
_PLAIN = ("", 0, False, False)


class Scans:
    """The remembered scans of one set of sources; those that this analysis used are what ``save`` writes.

    They are one answer of the cache: digest → a list of imports, each the list of an Import's fields (or of some).
    """

    def __init__(self, answers: Answers, key: str) -> None:
        self._answers = answers
        self._key = key
        self._rows: dict[str, Any] | None = None
        self._used: dict[str, Any] = {}
        self._changed = False

    def known(self, digest: str) -> Scan | None:
        """Return what the text with a digest said, if that is known."""
        if self._rows is None:
            loaded = self._answers.get(self._key)
            self._rows = loaded if isinstance(loaded, dict) else {}
        rows = self._rows.get(digest)
        if rows is None:
            return None
        try:
            scan = Scan(tuple([_import(row) for row in rows]))
        except (TypeError, ValueError, IndexError):
            return None
        self._used[digest] = rows
        return scan

    def add(self, digest: str, scan: Scan) -> None:
        """Remember what a text said."""
        self._used[digest] = [_row(one) for one in scan.imports]
        self._changed = True

    def save(self) -> None:
        """Write what this analysis used, if anything of it is new."""
        if self._changed:
            self._answers.put(self._key, self._used)


def digest_of(text: str) -> str:
    """Return the digest by which a text is known: half of a sha256, for which processors have an instruction."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _row(one: Import) -> tuple[Any, ...]:
    return one[:5] if one[5:] == (*_PLAIN, _bound(one.module, one.names), "") else one


def _bound(module: str, names: Sequence[str]) -> Sequence[str]:
    """Return what an import binds that renames nothing."""
    return names or (module.partition(".")[0],)


def _import(row: Sequence[Any]) -> Import:
    if len(row) == 5:
        row = (*row, *_PLAIN, _bound(row[0], row[1]), "")
    module, names, level, tier, line, why, attempt, fallback, main, binds, scope = row
    return Import(
        module, tuple(names), level, _TIERS[tier], line, why, attempt, bool(fallback), bool(main), tuple(binds), scope
    )
