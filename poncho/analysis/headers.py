"""The headers of the blocks that a place in a text stands in, and of what belongs to them."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from poncho.analysis.quotes import STRING, NotSureError, Quoted

# Asked at every line, so its alternatives differ in their first letter; what it finds is looked at again. Without ever going
# back in an indentation (Python >= 3.11 knows how) it takes half the time.
_MAYBE = re.compile(
    rf"\n[ \t]*{'+' if sys.version_info >= (3, 11) else ''}[acdefimtw]"
    r"(?:sync[ \t]|ef\b|lass\b|f\b|l(?:if|se)\b|ry\b|xcept\b|inally\b|or\b|hile\b|ith\b|atch\b|ase\b)"
)
_HEADER = re.compile(r"([ \t]*)(?:async[ \t]+)?(def|class|if|elif|else|try|except|finally|for|while|with|match|case)\b")
_NAMED = re.compile(r"[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)")
_NEVER = 1_000_000
# What decides where a header ends.
_MARK = re.compile(r"[()\[\]{}#\"':\n]|\blambda\b")
_ALONE = frozenset({"def", "class", "with"})
_CONTINUES = frozenset({"elif", "else", "except", "finally"})
_LONGEST_HEADER = 40  # lines
_LONGEST = 8_000


@dataclass(slots=True)
class Header:
    """The first line of a block: where it starts, how deep, its word; ``text`` once it is needed.

    ``body`` is where the body of a handler lies, which is kept whole: how it ends tells whether the import is needed.
    ``outer`` is what ``Headers.outer`` gave, ``following`` all of ``Headers.chain`` but the first.
    """

    start: int
    indent: int
    margin: str
    word: str
    text: str = ""
    body: tuple[int, int] | None = None
    outer: int | None = None
    following: list[Header] | None = None


class Headers:
    """The headers of a text, looked for as far as they are asked for; ``needed`` are those that were.

    ``_marks`` are the lines that begin as a header does, up to the last one that was looked at; ``_asked`` says of a depth
    up to which of them ``around`` was asked last, and its answer.
    """

    def __init__(self, quoted: Quoted) -> None:
        self.text = quoted.text
        self.needed: dict[int, Header] = {}
        self._quoted = quoted
        self._found: dict[int, Header] = {}
        self._marks: list[int] = []
        self._asked: dict[int, tuple[int, int]] = {}
        self._rest: Iterator[re.Match[str]] = _MAYBE.finditer(self.text)

    def around(self, start: int, indent: int) -> int:
        """Return which header opens the block that a line at ``start`` stands in, by its number; -1 at the margin.

        Raises NotSureError.
        """
        marks = self._marks
        if not marks or marks[-1] < start:
            for mark in self._rest:
                marks.append(mark.start() + 1)
                if marks[-1] >= start:
                    break
        if indent <= 0:
            return -1
        index = top = bisect_left(marks, start) - 1
        margin = " " * indent
        startswith = self.text.startswith
        # What was so for a line above of the same depth is so still, if nothing came between.
        asked, found = self._asked.get(indent, (-1, -1))
        if asked > top:
            asked = found = -1
        while index > asked:
            if not startswith(margin, marks[index]):  # else it is as deep or deeper
                header = self.at(index)
                if header.indent < indent and self._complete(header):
                    found = index
                    break
            index -= 1
        self._asked[indent] = (top, found)
        if found < 0:
            raise NotSureError
        return found

    def outer(self, index: int) -> int:
        """Return which header opens the block that a header stands in; -1 at the margin. Raises NotSureError."""
        header = self.at(index)
        if header.outer is None:
            header.outer = self.around(header.start, header.indent)
        return header.outer

    def need(self, index: int) -> None:
        """Mark a header and those of all blocks around it as needed. Raises NotSureError."""
        while index >= 0:
            chain, header = self.chain(index), self.at(index)
            for one in chain:
                if one.start <= header.start or chain[0].word == "try":
                    self.needed[one.start] = one
            index = self.outer(index)

    def _mark_next(self) -> bool:
        """Find the next line that begins as a header does, if there is one."""
        found = next(self._rest, None)
        if found is not None:
            self._marks.append(found.start() + 1)
        return found is not None

    def at(self, index: int) -> Header:
        """Return the header of a line that begins as one; one that is deeper than any block where there is none."""
        header = self._found.get(index)
        if header is None:
            start = self._marks[index]
            found = None if self._quoted.holds(start) else _HEADER.match(self.text, start)
            if found is None:
                header = Header(start, _NEVER, "", "")
            else:
                margin = found.group(1)
                header = Header(start, indent_of(margin), margin, found.group(2))
            self._found[index] = header
        return header

    def chain(self, index: int) -> list[Header]:
        """Return the headers of the statement that a header is a part of, as far as they decide on its block.

        They are the first one and those that go on with it (``elif``, ``except`` …) up to this one; of ``try`` all, with
        the bodies of the handlers. Raises NotSureError.
        """
        header = self.at(index)
        first = index
        while (opener := self.at(first)).word in _CONTINUES:
            first -= 1
            while first >= 0 and (self.at(first).indent > header.indent or not self._complete(self.at(first))):
                first -= 1
            if first < 0 or self.at(first).indent < header.indent:
                raise NotSureError
        if opener.word in _ALONE:
            return [opener]
        following = opener.following
        if following is None or (opener.word != "try" and (following or [opener])[-1].start < header.start):
            following = opener.following = list(self._continuing(first, index))
        return [opener, *following]

    def _continuing(self, first: int, last: int) -> Iterator[Header]:
        """Yield the headers that go on with the statement of the header ``first``, up to ``last`` or all of a ``try``."""
        opener = self.at(first)
        deeper = " " * (opener.indent + 1)
        position = first
        while (position := position + 1) < len(self._marks) or self._mark_next():
            if self.text.startswith(deeper, self._marks[position]):
                continue
            one = self.at(position)
            if one.indent > opener.indent:
                continue
            if one.indent < opener.indent or one.word not in _CONTINUES:
                break
            if self._complete(one) and (opener.word == "try" or position <= last):
                if one.word == "except" and one.body is None:
                    one.body = self._body(one)
                yield one

    def _body(self, header: Header) -> tuple[int, int]:
        """Return where the body of a handler lies."""
        start = header.start + len(header.text)
        position = self.text.find("\n", start)  # what follows on the line is part of it
        if position < 0:
            return start, len(self.text)
        while position < len(self.text):
            end = self.text.find("\n", position + 1)
            end = len(self.text) if end < 0 else end
            line = self.text[position + 1 : end]
            content = line.strip()
            if (
                content
                and not content.startswith("#")
                and indent_of(line) <= header.indent
                and not self._quoted.holds(position + 1)
            ):
                break
            position = end
        return start, position

    def _complete(self, header: Header) -> bool:
        """Read a header to its colon; tell whether it is one."""
        if header.text:
            return True
        text, start = self.text, header.start
        if header.word in ("match", "case"):
            line = text[start : text.find("\n", start)]
            if re.match(r"[ \t]*(?:match|case)[ \t]+[^=:,.)][^\n]*:[ \t]*(?:#.*)?$", line):
                raise NotSureError
            return False
        end = self._colon(start)
        if end < 0:
            return False
        header.text = text[start:end]
        if header.text.count("\n") > _LONGEST_HEADER:
            raise NotSureError
        return True

    def _colon(self, start: int) -> int:
        """Return where the colon of a header that starts here ends; -1 if it has none. Raises NotSureError."""
        text = self.text
        depth = lambdas = 0
        found = _MARK.search(text, start, start + _LONGEST)
        while found:
            char, position = found.group(), found.end()
            if char in "([{":
                depth += 1
            elif char in ")]}":
                depth -= 1
                if depth < 0:
                    return -1
            elif char == "#":
                position = text.find("\n", position)
                if position < 0:
                    return -1
            elif char in "\"'":
                if text.startswith(char * 3, found.start()):
                    raise NotSureError
                string = STRING.match(text, found.start())
                if string is None:
                    return -1
                position = string.end()
            elif depth == 0 and char == "lambda":
                lambdas += 1
            elif depth == 0 and char == ":" and lambdas:
                lambdas -= 1
            elif depth == 0 and char == ":":
                if text.startswith("=", position):
                    raise NotSureError
                return position
            elif depth == 0 and char == "\n" and text[position - 2] != "\\":
                return -1
            found = _MARK.search(text, position, start + _LONGEST)
        return -1


def plain(header: Header) -> str:
    """Return a header with what says nothing about imports left out."""
    if header.word in ("def", "class") and (name := name_of(header)):
        return f"{header.margin}{header.word} {name}{'()' if header.word == 'def' else ''}:"
    if header.word in ("for", "while"):
        return f"{header.margin}{'for _ in _' if header.word == 'for' else 'while _'}:"
    return re.sub(r"^([ \t]*)async[ \t]+", r"\1", header.text) if "async" in header.text else header.text


def name_of(header: Header) -> str:
    """Return the name of the function or class that a header begins; empty where there is none."""
    found = _NAMED.match(header.text)
    return found.group(1) if found else ""


def indent_of(text: str) -> int:
    """Return how far the first line is indented, a tab as Python counts it."""
    margin = text[: len(text) - len(text.lstrip(" \t"))]
    return len(margin.expandtabs(8)) if "\t" in margin else len(margin)
