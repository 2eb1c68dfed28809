"""The headers of the blocks that a place in a text stands in, and of what belongs to them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from poncho.analysis.quotes import STRING, NotSureError, Quoted

# Asked at every line, so its alternatives differ in their first letter; what it finds is looked at again.
_MAYBE = re.compile(
    r"\n[ \t]*[acdefimtw](?:sync[ \t]|ef\b|lass\b|f\b|l(?:if|se)\b|ry\b|xcept\b|inally\b|or\b|hile\b|ith\b|atch\b|ase\b)"
)
_HEADER = re.compile(r"([ \t]*)(?:async[ \t]+)?(def|class|if|elif|else|try|except|finally|for|while|with|match|case)\b")
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
    """

    start: int
    indent: int
    margin: str
    word: str
    text: str = ""
    body: tuple[int, int] | None = None


class Headers:
    """The headers of a text, looked for as far as they are asked for; ``needed`` are those that were.

    ``_marks`` are the lines that begin as a header does, up to the last one that was looked at.
    """

    def __init__(self, quoted: Quoted) -> None:
        self.text = quoted.text
        self.needed: dict[int, Header] = {}
        self._quoted = quoted
        self._found: dict[int, Header] = {}
        self._marks: list[int] = []
        self._rest: Iterator[re.Match[str]] = _MAYBE.finditer(self.text)

    def enclose(self, start: int, indent: int) -> None:
        """Mark the headers of all blocks around a place as needed. Raises NotSureError."""
        marks = self._marks
        if not marks or marks[-1] < start:
            for found in self._rest:
                marks.append(found.start() + 1)
                if marks[-1] >= start:
                    break
        index = bisect_left(marks, start) - 1
        margin = " " * indent
        while indent > 0 and index >= 0:
            if self.text.startswith(margin, marks[index]):
                index -= 1  # as deep or deeper
                continue
            header = self._at(index)
            if header.indent < indent and (header.start in self.needed or self._complete(header)):
                indent = header.indent
                margin = " " * indent
                index = self._need(index)
            index -= 1
        if indent > 0:
            raise NotSureError

    def _mark_next(self) -> bool:
        """Find the next line that begins as a header does, if there is one."""
        found = next(self._rest, None)
        if found is not None:
            self._marks.append(found.start() + 1)
        return found is not None

    def _at(self, index: int) -> Header:
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

    def _need(self, index: int) -> int:
        """Take a header and what belongs to it: the start of its chain, and the handlers of a ``try``."""
        header = self._at(index)
        first = index
        while (opener := self._at(first)).word in _CONTINUES:
            first -= 1
            while first >= 0 and (self._at(first).indent > header.indent or not self._complete(self._at(first))):
                first -= 1
            if first < 0 or self._at(first).indent < header.indent:
                raise NotSureError
        if opener.start in self.needed and header.start in self.needed:
            return first
        self.needed[opener.start] = opener
        if opener.word in _ALONE:
            return first
        position = first
        deeper = " " * (opener.indent + 1)
        while (position := position + 1) < len(self._marks) or self._mark_next():
            if self.text.startswith(deeper, self._marks[position]):
                continue
            one = self._at(position)
            if one.indent > opener.indent:
                continue
            if one.indent < opener.indent or one.word not in _CONTINUES:
                break
            if not self._complete(one):
                continue
            if opener.word == "try" or position <= index:
                self.needed[one.start] = one
                if one.word == "except":
                    one.body = self._body(one)
        return first

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
    found = re.match(r"[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", header.text)
    if header.word in ("def", "class") and found:
        empty = f"{header.word} {found.group(1)}{'()' if header.word == 'def' else ''}:"
        return header.margin + empty
    if header.word in ("for", "while"):
        return f"{header.margin}{'for _ in _' if header.word == 'for' else 'while _'}:"
    return re.sub(r"^([ \t]*)async[ \t]+", r"\1", header.text)


def indent_of(text: str) -> int:
    """Return how far the first line is indented, a tab as Python counts it."""
    return len(text[: len(text) - len(text.lstrip(" \t"))].expandtabs(8))
