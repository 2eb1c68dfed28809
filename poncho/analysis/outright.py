"""Import statements that say everything in themselves: on lines of their own, in plain words.

Most imports are such, and the same ones come again in file after file, so they are read by a pattern and known from
then on. What the pattern does not take (names that are not ASCII, keywords, anything odd) is left to the parser.
"""

from __future__ import annotations

import keyword
import re
from functools import lru_cache

from poncho.analysis.model import Import
from poncho.analysis.walk import Context

# What one statement says, without its line: module, names, level, what it binds.
Said = tuple[str, tuple[str, ...], int, tuple[str, ...]]

_IMPORT = re.compile(r"import[ \t]+([A-Za-z0-9_., \t]+)")
_FROM = re.compile(
    r"from[ \t]*(\.*)[ \t]*((?<=[. \t])[A-Za-z0-9_.]+)?[ \t]+import"
    r"(?:[ \t]+(\*|[A-Za-z0-9_, \t]+)|[ \t]*\(([A-Za-z0-9_, \t\n]+)\))[ \t]*"
)
_KEYWORDS = frozenset(keyword.kwlist)
_MARGIN = Context()


def outright(statement: str, line: int, here: Context = _MARGIN) -> list[Import] | None:
    """Return what a statement imports that stands under ``here``, without its indentation; None where the parser has to
    tell."""
    said = _said(statement)
    if said is None:
        return None
    tier, why, attempt, fallback, main, scope = here
    return [
        Import(module, names, level, tier, line, why, attempt, fallback, main, binds, scope)
        for module, names, level, binds in said
    ]


@lru_cache(maxsize=1 << 14)
def _said(statement: str) -> tuple[Said, ...] | None:
    if "\\" in statement:
        statement = statement.replace("\\\n", " ")
    if found := _IMPORT.fullmatch(statement):
        pairs = _pairs(found.group(1))
        if pairs is None:
            return None
        return tuple(
            [(module, (), 0, (bound if bound != module else module.partition(".")[0],)) for module, bound in pairs]
        )
    found = _FROM.fullmatch(statement)
    if not found:
        return None
    dots, module, bare, enclosed = found.groups()
    if not dots and not module:
        return None
    if bare == "*":
        return ((module or "", ("*",), len(dots), ("*",)),) if not module or _is_name(module) else None
    pairs = _pairs(bare or enclosed.rstrip(" \t\n").removesuffix(","))
    if not pairs or (module and not _is_name(module)) or any("." in name for name, _ in pairs):
        return None
    return ((module or "", tuple([name for name, _ in pairs]), len(dots), tuple([bound for _, bound in pairs])),)


def _pairs(text: str) -> list[tuple[str, str]] | None:
    """Return the names of a list and what they are bound to; None unless all is plain."""
    names = [part.strip() for part in text.split(",")]
    if all(map(str.isidentifier, names)):
        return [(name, name) for name in names] if _KEYWORDS.isdisjoint(names) else None
    pairs = []
    for part in text.split(","):
        words = part.split()
        if len(words) == 3 and words[1] == "as" and "." not in words[2] and _is_name(words[2]):
            pairs.append((words[0], words[2]))
        elif len(words) == 1:
            pairs.append((words[0], words[0]))
        else:
            return None
        if not _is_name(words[0]):
            return None
    return pairs


def _is_name(dotted: str) -> bool:
    parts = dotted.split(".")
    return all(map(str.isidentifier, parts)) and _KEYWORDS.isdisjoint(parts)
