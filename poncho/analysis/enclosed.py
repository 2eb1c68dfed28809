"""What a statement stands under, told by the headers around it, without parsing the module.

Most imports that are not at the margin stand in functions, classes and under an ``if``; there the headers alone tell,
and the same ones come again in file after file. A header is read as ever: it is parsed by itself, with an import as its
block, and walked; that is done once for each text. Where a block's contents matter, or anything is odd, None is given,
and the parser gets the statement with all that is around it.
"""

from __future__ import annotations

import ast
import keyword
import re
from functools import lru_cache

from poncho.analysis.headers import Header, Headers, name_of, plain
from poncho.analysis.outright import outright
from poncho.analysis.quiet import without_warnings
from poncho.analysis.quotes import NotSureError
from poncho.analysis.walk import Context, Walker, may_count

_MARGIN = Context()
# The parser allows a hundred levels.
_DEEPEST = 40
# Stands for the line of a ``try`` until it is known.
_SOME_LINE = -1
_KEYWORDS = frozenset(keyword.kwlist)
_LONGEST_HANDLER = 600
# A line of a handler that gives plain values to names.
_ASSIGNS = re.compile(r"""(?:[A-Za-z_]\w*[ \t]*=[ \t]*)+(?:[A-Za-z_]\w*|\d|""|''|\(\)|\[\]|\{\})""", re.ASCII)
_VALUES = frozenset({"None", "True", "False"})


class Lines:
    """Counts the lines of a text up to places that are near to each other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = self._line = 0

    def at(self, position: int) -> int:
        """Return how many line ends come before a position."""
        count, last = self._text.count, self._position
        self._line += count("\n", last, position) if position >= last else -count("\n", position, last)
        self._position = position
        return self._line


class Enclosed:
    """The contexts of the blocks of one text, for programs that run on Python ``version``."""

    def __init__(self, headers: Headers, lines: Lines, version: tuple[int, int]) -> None:
        self._headers = headers
        self._lines = lines
        self._version = version
        self._contexts: dict[int, Context | None] = {-1: _MARGIN}
        self._margins: dict[int, str] = {}

    def block(self, start: int, margin: str) -> int:
        """Return the number of the header whose block a line stands in that starts with ``margin``.

        Raises NotSureError; lines of one block that are not indented alike are for the parser to refuse.
        """
        indent = len(margin.expandtabs(8)) if "\t" in margin else len(margin)
        index = self._headers.around(start, indent)
        self._align(index, margin)
        return index

    def context(self, index: int) -> Context | None:
        """Return what the block of a header stands under; None where the parser has to tell. Raises NotSureError."""
        todo = []
        while index not in self._contexts:
            todo.append(index)
            outer = self._headers.outer(index)
            self._align(outer, self._headers.at(index).margin)
            index = outer
        here = self._contexts[index] if len(todo) < _DEEPEST else None
        for one in reversed(todo):
            here = self._contexts[one] = self._inside(one, here) if here is not None else None
        return here

    def _align(self, index: int, margin: str) -> None:
        if self._margins.setdefault(index, margin) != margin:
            raise NotSureError

    def _inside(self, index: int, here: Context) -> Context | None:
        """Return what the block of a header stands under that itself stands under ``here``."""
        header = self._headers.at(index)
        if "\t" in header.margin:
            return None
        if header.word in ("def", "class"):
            name = name_of(header)
            if not (name.isascii() and name.isidentifier()) or name in _KEYWORDS:
                return None
            return here.in_function(name) if header.word == "def" else here.in_class(name)
        chain = self._headers.chain(index)
        if not all(one.word != "except" or _is_plain(one, self._headers.text) for one in chain):
            return None
        text = "".join(f"{plain(one).strip()}\n {'import _' if one is header else 'pass'}\n" for one in chain)
        found = _under(text, here._replace(scope="") if here.scope else here, self._version)
        if found is None:
            return None
        attempt = self._lines.at(chain[0].start) if found.attempt == _SOME_LINE else found.attempt
        return found._replace(attempt=attempt, scope=here.scope)


@lru_cache(maxsize=1 << 12)
def _under(text: str, here: Context, version: tuple[int, int]) -> Context | None:
    """Return what ``import _`` in a statement stands under; None where the statement says more, or nothing."""
    if ("(" in text or "://" in text) and may_count(text):
        return None
    try:
        with without_warnings():
            (statement,) = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    statement.lineno = _SOME_LINE
    for one in Walker(version, expressions=False).walk([statement], here):
        return Context(one.tier, one.why, one.attempt, one.fallback, one.main, one.scope)
    return None


def _is_plain(header: Header, text: str) -> bool:
    """Tell whether a handler only imports, passes, or gives plain values to names: it does not leave, and hints at nothing."""
    if header.body is None or header.body[1] - header.body[0] > _LONGEST_HANDLER:
        return False
    first, *lines = (line.partition("#")[0].rstrip() for line in text[slice(*header.body)].split("\n"))
    content = [line for line in lines if line]
    margins = {line[: len(line) - len(line.lstrip())] for line in content}
    return not first and len(margins) == 1 and "\t" not in "".join(margins) and all(map(_does_little, content))


def _does_little(line: str) -> bool:
    line = line.strip()
    if line.startswith(("import", "from")):
        return outright(line, 0) is not None
    if not _ASSIGNS.fullmatch(line):
        return line == "pass"
    *names, value = (part.strip() for part in line.split("="))
    return _KEYWORDS.isdisjoint(names) and (value in _VALUES or value not in _KEYWORDS)
