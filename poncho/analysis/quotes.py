"""Where the strings in triple quotes of a text lie, so that what stands in them is not taken for code."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

_TRIPLE = re.compile(r'"""|' + "'''")
# A comment or a string with all up to the next one: so the matches of a sound text stand without a gap.
_TOKENS = re.compile(
    r'''(?:\#[^\n]*|"{3}[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"{3}|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'''
    r"""|'{3}[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'{3}|'[^'\\\n]*(?:\\.[^'\\\n]*)*')[^\#"']*""",
    re.DOTALL,
)
# A string on one line.
STRING = re.compile(r"""\"(?:[^\\\n\"]|\\.)*\"|'(?:[^\\\n']|\\.)*'""", re.DOTALL)


class NotSureError(Exception):
    """The text has something that only a parser can be trusted with."""


class Quoted:
    """The triple-quoted strings of ``text``. Raises NotSureError where one has no end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._spans = list(_string_spans(text)) if '"""' in text or "'''" in text else []
        self._starts = [start for start, _ in self._spans]

    def holds(self, position: int) -> bool:
        """Tell whether a position lies inside such a string."""
        index = bisect_right(self._starts, position) - 1
        return index >= 0 and position < self._spans[index][1]

    def end(self, position: int) -> int:
        """Return where the string around a position ends."""
        return self._spans[bisect_right(self._starts, position) - 1][1]


def code_of(before: str) -> str | None:
    """Return the beginning of a line without its strings; None inside of a comment or of a string on that line."""
    if not ("#" in before or '"' in before or "'" in before):
        return before
    rest = STRING.sub("", before)
    return None if "#" in rest or '"' in rest or "'" in rest else rest


def _string_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where strings in triple quotes begin and end."""
    position = 0
    while found := _TRIPLE.search(text, position):
        start = found.start()
        before = text[max(text.rfind("\n", 0, start) + 1, position) : start]
        if "#" in before or '"' in before or "'" in before:
            # A comment or a string on the same line may hold the quotes: from here on every token is looked at.
            yield from _all_spans(text, position)
            return
        end = start + 3
        quotes = found.group()
        while True:
            end = text.find(quotes, end)
            if end < 0:
                raise NotSureError
            slashes = end - len(text[:end].rstrip("\\")) if text[end - 1] == "\\" else 0
            if slashes % 2 == 0:
                break
            end += 1
        yield start, end + 3
        position = end + 3


def _all_spans(text: str, position: int) -> Iterator[tuple[int, int]]:
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
