"""Show what a build is doing: a live display on a terminal, plain lines with ``-v``, warnings only elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from poncho._redact import redact
from poncho._types import Event, Reporter, silent


@contextmanager
def reporter_for(arguments: Namespace, prog: str) -> Iterator[Reporter]:
    """Yield the reporter that fits the terminal and the options."""
    if arguments.quiet:
        yield silent
    elif sys.stderr.isatty() and not arguments.verbose and not arguments.json:
        with _live(prog) as reporter:
            yield reporter
    else:
        yield _PlainReporter(prog, everything=arguments.verbose)


class _PlainReporter:
    """One line per step, or only the warnings."""

    def __init__(self, prog: str, *, everything: bool) -> None:
        self._prog = prog
        self._everything = everything
        self._began: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.kind == "warning":
                print(f"{self._prog}: warning: {redact(event.message)}", file=sys.stderr, flush=True)
            elif self._everything and event.kind != "progress":
                self._line(event)

    def _line(self, event: Event) -> None:
        now = time.monotonic()
        took = ""
        if event.kind == "start":
            self._began[event.step] = now
        elif event.kind == "done" and event.step in self._began:
            took = f" ({now - self._began.pop(event.step):.1f} s)"
        words = event.message or event.kind
        print(f"{self._prog}: {event.step}: {redact(words)}{took}", file=sys.stderr, flush=True)


@contextmanager
def _live(prog: str) -> Iterator[Reporter]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    progress = Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.fields[step]:<8}"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
    )
    tasks: dict[str, TaskID] = {}
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock:
            if event.kind == "warning":
                progress.console.print(f"{prog}: warning: {redact(event.message)}", markup=False)
                return
            if event.step not in tasks:
                tasks[event.step] = progress.add_task("", step=event.step, amount="", total=None)
            task = tasks[event.step]
            if event.message:
                progress.update(task, description=redact(event.message)[:60])
            if event.done is not None:
                progress.update(task, completed=event.done, total=event.total, amount=_amount(event))
            if event.kind == "done":
                total = progress.tasks[progress.task_ids.index(task)].total or 1
                progress.update(task, total=total, completed=total)

    with progress:
        yield report


def _amount(event: Event) -> str:
    if event.unit == "bytes":
        return " / ".join(human_bytes(n) for n in (event.done, event.total) if n is not None)
    return "/".join(str(n) for n in (event.done, event.total) if n is not None) + f" {event.unit}"


def human_bytes(count: int) -> str:
    """Return a number of bytes as people read it: ``1.2 GB`` (powers of 1000)."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit in ("B", "kB") else f"{size:.1f} {unit}"
