"""Plain lines, for logs: one for each step with its duration, and one now and then while a step takes long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO

from poncho._types import Event, Reporter
from poncho._words import human_bytes, human_seconds
from poncho.cli.steps import Step, Steps, one_line

LONG = 30.0  # seconds without a line


@dataclass(frozen=True, slots=True)
class Detail:
    """Which lines are written. ``steps``: one for each step that has ended; ``all``: what happens within it, too."""

    steps: bool = False
    all: bool = False


@contextmanager
def plain(prog: str, detail: Detail, *, every: float | None = LONG, stream: TextIO | None = None) -> Iterator[Reporter]:
    """Yield a reporter that writes lines to ``stream`` (default: stderr).

    Warnings are always written; and every ``every`` seconds without a line, one that says how far the running step is
    (None: never).
    """
    lines = _Lines(prog, detail, stream or sys.stderr)
    stop = threading.Event()
    if every is not None:
        threading.Thread(target=lines.keep_alive, args=(stop, every), daemon=True).start()
    try:
        yield lines
    finally:
        stop.set()
        # Not waited for: a reader that hangs must not hold up the end. It writes nothing any more.
        lines.close()


class _Lines:
    def __init__(self, prog: str, detail: Detail, stream: TextIO) -> None:
        self._prog = prog
        self._detail = detail
        self._stream = stream
        self._steps = Steps()
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._began: dict[tuple[str, str], float] = {}
        self._closed = False

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.kind == "warning":
                self._write(f"warning: {one_line(event.message)}")
                return
            self._steps.add(event)
            if event.kind == "progress":
                return
            now = time.monotonic()
            key = (event.step, event.item)
            if event.kind == "start":
                self._began[key] = now
            words = one_line(event.message) or event.kind
            if event.kind == "done":
                began = self._began.pop(key, None)
                took = f" ({human_seconds(now - began)})" if began is not None else ""
                if self._detail.steps or self._detail.all:
                    self._write(f"{event.step}: {words}{took}")
            elif self._detail.all:
                self._write(f"{event.step}: {words}")

    def keep_alive(self, stop: threading.Event, every: float) -> None:
        """Write how far it is, whenever nothing was written for ``every`` seconds, until ``stop`` is set."""
        while not stop.wait(max(0.01, every - (time.monotonic() - self._last))):
            with self._lock:
                now = time.monotonic()
                if now - self._last < every:
                    continue
                running = [step for step in self._steps.all if step.ended is None]
                for step in running[-1:]:
                    self._write(f"{step.name}: {how_far(step, now)}")
                self._last = now

    def close(self) -> None:
        """Write nothing any more."""
        self._closed = True

    def _write(self, words: str) -> None:
        if self._closed:
            return
        self._last = time.monotonic()
        # A log whose reader has gone is no reason to give up a build.
        with suppress(OSError, ValueError):
            self._stream.write(f"{self._prog}: {words}\n")
            self._stream.flush()


def how_far(step: Step, now: float) -> str:
    """Return one line about a step that goes on: ``12.3 MB of 40.1 MB, 2.1 MB/s, about 13 s left (30 s so far)``."""
    parts = [step.amount or step.message or "working"]
    rate, left = step.rate(now), step.left(now)
    if rate is not None and step.unit == "bytes":
        parts.append(f"{human_bytes(rate)}/s")
    if left is not None:
        parts.append(f"about {human_seconds(left)} left")
    return f"{', '.join(parts)} ({human_seconds(step.seconds(now))} so far)"
