"""Where the strings in triple quotes of a text lie, so that what stands in them is not taken for code."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

# A comment or a string with all up to the next one: so the matches of a sound text stand without a gap.
_TOKENS = re.compile(
    r'''(?:\#[^\n]*|"{3}[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"{3}|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'''
    r"""|'{3}[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'{3}|'[^'\\\n]*(?:\\.[^'\\\n]*)*')[^\#"']*""",
    re.DOTALL,
)
# A string on one line.
STRING = re.compile(r"""\"(?:[^\\\n\"]|\\.)*\"|'(?:[^\\\n']|\\.)*'""", re.DOTALL)


_AHEAD = 1_000


class NotSureError(Exception):
    """The text has something that only a parser can be trusted with."""


class Quoted:
    """The triple-quoted strings of ``text``, looked for as far as they are asked for.

    Its methods raise NotSureError where one has no end.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._known = 0  # all strings that begin before are known
        self._last = self._end = 0  # where the last of them lies; most questions are about a place after it
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._tokens: Iterator[tuple[int, int]] | None = None

    def holds(self, position: int) -> bool:
        """Tell whether a position lies inside such a string."""
        if position >= self._known:
            self._look_up_to(position)
        if position >= self._last:
            return position < self._end
        index = bisect_right(self._starts, position) - 1
        return index >= 0 and position < self._ends[index]

    def begin(self, position: int) -> int:
        """Return where the string around a position begins."""
        return self._starts[bisect_right(self._starts, position) - 1]

    def end(self, position: int) -> int:
        """Return where the string around a position ends."""
        return self._ends[bisect_right(self._starts, position) - 1]

    def _look_up_to(self, position: int) -> None:
        """Find all strings that begin at a position or before it."""
        text = self.text
        while self._known <= position and self._tokens is None:
            # One that begins at the position itself counts, and the next question is about a place not far away.
            start = _first_triple(text, self._known, position + _AHEAD)
            if start > position:
                self._known = start
                return
            last = self._ends[-1] if self._ends else 0
            before = text[max(text.rfind("\n", 0, start) + 1, last) : start]
            if "#" in before or '"' in before or "'" in before:
                # A comment or a string on the same line may hold the quotes: from here on every token is looked at.
                self._tokens = _all_spans(text, last)
            else:
                self._add(start, _end_of(text, start))
        while self._known <= position and self._tokens is not None:
            span = next(self._tokens, None)
            if span is None:
                self._known = len(text) + 1
            else:
                self._add(*span)

    def _add(self, start: int, end: int) -> None:
        self._starts.append(start)
        self._ends.append(end)
        self._known = self._end = end
        self._last = start


def _first_triple(text: str, start: int, end: int) -> int:
    """Return where the first three quotes stand; up to where there are none, if there are none."""
    first = text.find('"""', start, end)
    other = text.find("'''", start, first if first >= 0 else end)
    found = other if other >= 0 else first
    return found if found >= 0 else end - 2


def code_of(before: str) -> str | None:
    """Return the beginning of a line without its strings; None inside of a comment or of a string on that line."""
    if not ("#" in before or '"' in before or "'" in before):
        return before
    rest = STRING.sub("", before)
    return None if "#" in rest or '"' in rest or "'" in rest else rest


def _end_of(text: str, start: int) -> int:
    """Return where the string that begins with three quotes ends."""
    quotes = text[start : start + 3]
    end = text.find(quotes, start + 3)
    while end >= 0:
        slashes = end - len(text[:end].rstrip("\\")) if text[end - 1] == "\\" else 0
        if slashes % 2 == 0:
            return end + 3
        end = text.find(quotes, end + 1)
    raise NotSureError


def _all_spans(text: str, position: int) -> Iterator[tuple[int, int]]:
    """Yield where strings in triple quotes begin and end, told by every token from a position on."""
    first = True
    for token in _TOKENS.finditer(text, position):
        start = token.start()
        if start != position and not first:
            raise NotSureError
        if first and any(quote in text[position:start] for quote in "\"'#"):
            raise NotSureError
        first = False
        position = token.end()
        if text.startswith(('"""', "'''"), start):
            yield start, text.rfind(text[start], start, position) + 1
    if any(quote in text[position:] for quote in "\"'#"):
        raise NotSureError
