"""What the commands say to people goes through here: a terminal gets text that it shows, never what it obeys.

Names of files, arguments and the words of others are in it. What is data for programs is printed as it is.
"""

from __future__ import annotations

import sys

from poncho._words import shown


def say(line: str) -> None:
    """Write a line for people to stderr; a newline in it is of some name, and shown as one."""
    print(shown(line), file=sys.stderr)


def say_lines(words: str) -> None:
    """Write words for people to stderr that may be several lines: solvers speak so."""
    print(shown_lines(words), file=sys.stderr)


def tell(line: str) -> None:
    """Write a line of what a command was asked for to stdout, in a form for people."""
    print(shown(line))


def shown_lines(text: str) -> str:
    """Return ``text`` fit for a terminal, its lines as they are."""
    return "\n".join(map(shown, text.split("\n")))
