"""Reduce a module to its skeleton: its imports and the headers of the blocks they stand in, on the lines they had.

Parsing is what costs in an analysis, and most of a module says nothing about imports. Imports at the margin are read
as they stand; what is left for the parser is a small part of the file that gives the same imports under the same
conditions. Whatever the reduction is not sure of, it gives up, and the whole file is parsed. What it passes over is
not checked: a syntax error outside of what it keeps does not show.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from poncho.analysis.enclosed import Enclosed, Lines
from poncho.analysis.headers import Headers, indent_of, plain
from poncho.analysis.hints import may_hint
from poncho.analysis.lazy import has_tables, mentions_lazy
from poncho.analysis.model import Import
from poncho.analysis.outright import outright
from poncho.analysis.quotes import NotSureError, Quoted, code_of
from poncho.analysis.standins import stand_ins

_LONGEST_STATEMENT = 100_000
_LONGEST_LINE = 4_000
# What is on the line before the word, where it is no statement of its own.
_AFTER_OTHERS = re.compile(r"[;:][ \t]*(?:from\b[^#]*)?$")


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What of a text says something about imports: those that were ``read``, in their order, and what has to be parsed
    (``rest``, each line where it was)."""

    read: tuple[Import, ...] = ()
    rest: str = ""


def skeleton(text: str, version: tuple[int, int]) -> Skeleton | None:
    """Return what of ``text`` says something about imports, for programs that run on Python ``version``.

    None where only parsing all of it will do.
    """
    if mentions_lazy(text):
        return None
    if "import" not in text and "find_spec" not in text and "run_module" not in text and not may_hint(text):
        return Skeleton()
    if "\f" in text:
        text = text.replace("\f", "")  # it counts for no indentation
    try:
        return _reduce("\n" + text, version)
    except NotSureError:
        return None


def _reduce(text: str, version: tuple[int, int]) -> Skeleton:
    quoted = Quoted(text)
    imports = _Imports(quoted)
    kept = dict(imports.statements())
    if imports.dynamic and has_tables(text):
        raise NotSureError
    lines = set(kept)
    for start, statement in stand_ins(quoted, dynamic=imports.dynamic, code=imports.in_code):
        if start in lines:
            raise NotSureError
        kept[start] = f"{kept[start]}; {statement.lstrip()}" if start in kept else statement
    headers = Headers(quoted)
    read = _read(text, kept, headers, version)
    handlers = _Handlers(headers)
    found = tuple([one for start, imports in read.items() for one in imports if not handlers.hold(start)])
    return Skeleton(found, _emit(text, kept, headers, handlers) if kept else "")


def _read(text: str, kept: dict[int, str], headers: Headers, version: tuple[int, int]) -> dict[int, list[Import]]:
    """Take the statements out of ``kept`` that need no parser and return what they import; mark the headers that the
    parser needs for the others."""
    read: dict[int, list[Import]] = {}
    lines = Lines(text)
    enclosed = Enclosed(headers, lines, version)
    for start, statement in kept.items():
        if statement[0] not in " \t":
            imports = outright(statement, lines.at(start))
        else:
            bare = statement.lstrip(" \t")
            margin = statement[: len(statement) - len(bare)]
            index = enclosed.block(start, margin)
            here = enclosed.context(index) if "\t" not in margin else None
            imports = None if here is None else outright(bare, lines.at(start), here)
            if imports is None:
                headers.need(index)
        if imports is not None:
            read[start] = imports
    for start in read:
        del kept[start]
    return read


class _Imports:
    """The places of the word ``import``: statements, ``dynamic`` names such as import_module, and whether there is one
    in a string that may be code (``in_code``)."""

    def __init__(self, quoted: Quoted) -> None:
        self._quoted = quoted
        self.dynamic = False
        self.in_code = False

    def statements(self) -> Iterator[tuple[int, str]]:
        """Yield the statements that import, each with the start of its line."""
        text, holds = self._quoted.text, self._quoted.holds
        position = text.find("import")
        while position >= 0:
            start = text.rfind("\n", 0, position) + 1
            if position - start > _LONGEST_LINE:
                # No one writes a statement there; and looking at such a line for each word in it takes for ever.
                self.in_code = True
                position = text.find("import", position + 6)
                continue
            before = text[start:position].lstrip(" \t")
            after = text[position + 6 : position + 7]
            statement, end = None, position + 6
            if after in ("_", "o") and not self.dynamic:
                self.dynamic = text.startswith(("_module", "orskip", "__"), position + 6)
            if holds(position):
                self.in_code = self.in_code or _is_argument(text, self._quoted.begin(position))
            elif not before:
                if text[start - 2 : start - 1] == "\\":
                    raise NotSureError
                if after in " \t\\":
                    statement, end = _statement(text, start)
            elif before.startswith("from") and before[4:5] in " \t.":
                statement, end = _statement(text, start)
            else:
                self.in_code = self.in_code or '"' in before or "'" in before
                code = code_of(before) if ";" in before or ":" in before else None
                is_word = not (after.isalnum() or after == "_")
                if is_word and code is not None and _AFTER_OTHERS.search(code):
                    raise NotSureError
            if statement is not None:
                yield start, statement
            position = text.find("import", end)


def _is_argument(text: str, start: int) -> bool:
    """Tell whether a string may be what is passed to a call, or go on with one that is."""
    before = text[max(0, start - 200) : start].rstrip("rRuU").rstrip()
    return not before or before.endswith(("(", '"', "'"))


def _statement(text: str, start: int) -> tuple[str, int]:
    """Return the whole import statement that begins with a line, without its comments, and where it ends."""
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    statement = text[start:end]
    if "#" in statement:
        statement = statement.partition("#")[0]
    if "(" not in statement and statement[-1:] != "\\":
        return statement, end
    while statement.count("(") > statement.count(")") or statement.endswith("\\"):
        if end >= len(text) or end - start > _LONGEST_STATEMENT:
            raise NotSureError
        following = text.find("\n", end + 1)
        following = len(text) if following < 0 else following
        statement += "\n" + text[end + 1 : following].partition("#")[0]
        end = following
    return statement, end


class _Handlers:
    """The bodies of the handlers that the parser gets, which are kept whole."""

    def __init__(self, headers: Headers) -> None:
        self._bodies: list[tuple[int, int]] = []
        for body in sorted(header.body for header in headers.needed.values() if header.body):
            if not self._bodies or body[0] >= self._bodies[-1][1]:
                self._bodies.append(body)
        self._firsts = [first for first, _ in self._bodies]

    def hold(self, position: int) -> bool:
        """Tell whether a position lies inside of one."""
        index = bisect_right(self._firsts, position) - 1
        return index >= 0 and self._bodies[index][0] < position < self._bodies[index][1]


def _emit(text: str, kept: dict[int, str], headers: Headers, handlers: _Handlers) -> str:
    """Return the statements and headers as a text, with the bodies of handlers whole and ``pass`` in empty blocks."""
    pieces = [(start, statement, -1) for start, statement in kept.items() if not handlers.hold(start)]
    for start, header in headers.needed.items():
        if header.body and not handlers.hold(start):
            pieces.append((start, text[start : header.body[1]], -1))
        elif not header.body and not handlers.hold(start):
            pieces.append((start, plain(header), header.indent))
    pieces.sort()
    lines: list[str] = []
    line, position = 0, 1
    for number, (start, piece, indent) in enumerate(pieces):
        line += text.count("\n", position, start)
        position = start
        if indent >= 0:
            follows = pieces[number + 1][1] if number + 1 < len(pieces) else ""
            if indent_of(follows) <= indent:
                piece += " pass"
        missing = line - len(lines)
        if missing < 0:
            raise NotSureError
        lines += [""] * missing
        lines += piece.split("\n")
    return "\n".join(lines)
