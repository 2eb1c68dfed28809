"""Words that hardly any text has, looked for by their rarest letter: one letter is found ten times as fast as a word."""

from __future__ import annotations

from collections.abc import Iterator


def places(text: str, word: str, rare: str) -> Iterator[int]:
    """Yield where ``word`` begins in a text; ``rare`` is the letter of it (or more of it) to go by."""
    offset = word.index(rare)
    position = text.find(rare, offset)
    while position >= 0:
        if text.startswith(word, position - offset):
            yield position - offset
        position = text.find(rare, position + 1)


def has(text: str, word: str, rare: str) -> bool:
    """Tell whether ``word`` is in a text."""
    return next(places(text, word, rare), -1) >= 0
