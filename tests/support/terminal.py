"""A real terminal for a command: a pty of a given size, and a screen that shows what a person would see on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect
import pyte

from tests.support.cli import command_path, environment


@dataclass
class Terminal:
    """A command on a terminal. ``screens`` are the states that its screen was in, each as its lines."""

    columns: int
    lines: int
    process: pexpect.spawn
    screens: list[list[str]] = field(default_factory=list)
    raw: bytes = b""

    def __post_init__(self) -> None:
        self.screen = pyte.HistoryScreen(self.columns, self.lines, history=1000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)

    def read(self, until: Callable[[], bool] | None = None, seconds: float = 120) -> Terminal:
        """Show what comes until the command ends, or ``until`` is true."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            try:
                chunk = self.process.read_nonblocking(1 << 16, timeout=0.2)
            except pexpect.TIMEOUT:
                chunk = b""
            except pexpect.EOF:
                break
            if chunk:
                self.raw += chunk
                self._stream.feed(chunk)
                self.screens.append(self.shown())
            if until and until():
                return self
        return self

    def end(self) -> int:
        """Read to the end and return the exit status, 128 + n for a signal."""
        self.read()
        self.process.close()
        if self.process.signalstatus:
            return 128 + int(self.process.signalstatus)
        return int(self.process.exitstatus or 0)

    def shown(self) -> list[str]:
        """Return the screen's lines without the empty ones at its end."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def everything(self) -> list[str]:
        """Return what was ever scrolled out, and the screen."""
        above = ["".join(row[x].data for x in range(self.columns)).rstrip() for row in self.screen.history.top]
        return above + self.shown()


def on_terminal(name: str, *arguments: str | Path, **how: Any) -> Terminal:
    """Start one of the project's commands on a terminal; see ``start``."""
    return start([command_path(name), *arguments], **how)


def start(
    command: Sequence[str | Path],
    *,
    size: tuple[int, int] = (80, 24),
    term: str = "xterm-256color",
    env: Mapping[str, str | Path | None] | None = None,
    cwd: Path | None = None,
) -> Terminal:
    """Start a command on a terminal of ``size`` (columns, lines)."""
    columns, lines = size
    variables = environment({"TERM": term, "CI": None, "COLUMNS": None, "LINES": None, **(env or {})})
    process = pexpect.spawn(
        str(command[0]),
        [str(argument) for argument in command[1:]],
        dimensions=(lines, columns),
        env=variables,
        cwd=str(cwd or os.environ["HOME"]),
        timeout=120,
        echo=False,
    )
    return Terminal(columns, lines, process)
