"""A live display of a build: a line for each step, redrawn in place.

It never hides the cursor, changes no mode of the terminal and needs no alternate screen, so there is nothing that could
be left broken, however the process ends. A line is never longer than the terminal is wide, and there are never more than
fit, because what wraps or scrolls cannot be redrawn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from poncho._types import Event, Reporter
from poncho._words import human_bytes, human_seconds
from poncho.cli.steps import Step, Steps, one_line

_REFRESH = 8  # times a second
_BAR = 20
_STEP_WIDTH = 8


@dataclass(frozen=True, slots=True)
class _Glyphs:
    done: str
    spinner: str
    full: str
    empty: str
    cut: str


_UNICODE = _Glyphs("✓", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "━", "─", "…")
_ASCII = _Glyphs("*", "|/-\\", "#", "-", "~")


@contextmanager
def live(prog: str, console: Console | None = None) -> Iterator[Reporter]:
    """Yield a reporter that keeps a display on stderr (or ``console``) up to date; the last state stays there."""
    console = console or Console(stderr=True, highlight=False)
    display = _Display()
    lock = threading.Lock()
    view = Live(
        display,
        console=console,
        refresh_per_second=_REFRESH,
        redirect_stdout=False,
        redirect_stderr=True,
        vertical_overflow="crop",
    )

    def report(event: Event) -> None:
        if event.kind == "warning":
            console.print(Text(f"{prog}: warning: {one_line(event.message)}"), soft_wrap=True)
            return
        with lock:
            display.steps.add(event)

    try:
        with view:
            console.show_cursor(True)
            yield report
    finally:
        # Where there is no terminal the last state is written without an end of its line.
        if not console.is_terminal and display.steps.all:
            console.line()


class _Display:
    def __init__(self) -> None:
        self.steps = Steps()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = time.monotonic()
        glyphs = _ASCII if options.ascii_only or options.legacy_windows else _UNICODE
        steps = self.steps.all
        room = max(1, (options.height or console.height) - 1)
        if len(steps) > room:
            # What goes on is what counts; of the rest, the latest.
            keep = sorted(steps, key=lambda step: (step.ended is not None, -(step.ended or 0.0)))[:room]
            steps = [step for step in steps if step in keep]
        for step in steps:
            yield line(step, now, options.max_width, glyphs)


def line(step: Step, now: float, width: int, glyphs: _Glyphs = _UNICODE) -> Text:
    """Return a step in one line of less than ``width`` cells: what does not fit is left out, the least needed first."""
    running = step.ended is None
    mark = glyphs.spinner[int(now * _REFRESH) % len(glyphs.spinner)] if running else glyphs.done
    text = Text(no_wrap=True, overflow="crop", end="\n")
    text.append(mark, style="cyan" if running else "green")
    text.append(f" {step.name:<{_STEP_WIDTH}}", style="bold" if running else "")
    room = width - 1 - cell_len(text.plain)
    took = human_seconds(step.seconds(now))
    parts = _running(step, now) if running else []
    # From the right: the time always, then the numbers as long as there is room for some words.
    tail = [took]
    for part in parts:
        if sum(map(cell_len, (*tail, part))) + 2 * len(tail) + 2 + 12 <= room:
            tail.insert(-1, part)
    right = "  ".join(tail)
    room -= cell_len(right) + 2
    share = step.share if running else None
    if share is not None and room >= _BAR + 14:
        full = round(share * _BAR)
        text.append(" ")
        text.append(glyphs.full * full, style="cyan")
        text.append(glyphs.empty * (_BAR - full), style="dim")
        room -= _BAR + 1
    if room > 4:
        words = step.message or step.amount
        if cell_len(words) > room - 1:
            words = set_cell_size(words, max(0, room - 2)).rstrip() + glyphs.cut
        text.append(f" {words}")
        text.append(" " * (room - 1 - cell_len(words)))
    text.append("  ")
    text.append(right, style="dim" if not running else "")
    text.truncate(max(1, width - 1), overflow="crop")
    return text


def _running(step: Step, now: float) -> list[str]:
    """Return what is known of a running step's numbers, the most telling first."""
    rate, left, share = step.rate(now), step.left(now), step.share
    parts = [f"{share:.0%}".rjust(4)] if share is not None else []
    if step.amount:
        parts.append(step.amount)
    if rate is not None and step.unit == "bytes":
        parts.append(f"{human_bytes(rate)}/s")
    if left is not None:
        parts.append(f"{human_seconds(left)} left")
    return parts
