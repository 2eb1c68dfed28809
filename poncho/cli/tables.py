"""Tables for people: coloured and cut to the width on a terminal, whole and plain elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 240
Column = tuple[str, Literal["left", "right"]]


def console() -> Console:
    """Return the console for standard output. What comes from a package must be made fit for showing before."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDE
    return Console(highlight=False, markup=False, emoji=False, width=width, soft_wrap=not sys.stdout.isatty())


def print_table(
    target: Console, title: str, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, strong: int = -1
) -> None:
    """Print a table; ``strong`` is the column that stands out. On a terminal, what is too long is cut."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
    for number, (name, side) in enumerate(columns):
        style = "bold" if number == strong else None
        table.add_column(name, justify=side, style=style, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    target.print()
    target.print(Text(title, style="bold"))
    _print(target, table)


def print_facts(target: Console, facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values below each other; values are broken over lines where they must be."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value:
            table.add_row(Text(name), Text(value))
    _print(target, table)


def _print(target: Console, table: Table) -> None:
    with target.capture() as captured:
        target.print(table)
    lines = captured.get().splitlines()
    sys.stdout.write("".join(f"{line if target.is_terminal else line.rstrip()}\n" for line in lines))
