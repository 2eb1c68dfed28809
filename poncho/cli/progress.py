"""How a build is shown: a live display on a terminal, plain lines in logs, lines of JSON for programs."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from poncho._types import Reporter, silent
from poncho.cli.events import JsonLines
from poncho.cli.plain import LONG, Detail, plain

_HOW = ("auto", "live", "plain", "json", "none")


def add_progress(parser: ArgumentParser) -> None:
    """Add ``--progress`` to a command that builds."""
    parser.add_argument(
        "--progress",
        choices=_HOW,
        default="auto",
        metavar="HOW",
        help="how a build is shown on stderr: live (a terminal's default), plain (a line for each step: the default with "
        "-v and where CI is set), json (an event a line, the result last), none (warnings only); auto chooses",
    )


@contextmanager
def reporter_for(arguments: Namespace, prog: str) -> Iterator[Reporter]:
    """Yield the reporter that fits the terminal and the options."""
    how = shown_as(arguments)
    if how == "json":
        yield JsonLines()
    elif arguments.quiet:
        yield silent
    elif how == "live":
        from poncho.cli.live import live

        with live(prog) as reporter:
            yield reporter
    else:
        chosen = getattr(arguments, "progress", "auto")
        steps = chosen == "plain" or (chosen == "auto" and (_is_ci() or sys.stderr.isatty()))
        detail = Detail(steps=steps, all=arguments.verbose and chosen != "none")
        with plain(prog, detail, every=None if chosen == "none" else LONG) as reporter:
            yield reporter


def shown_as(arguments: Namespace) -> str:
    """Return ``live``, ``plain`` or ``json``: what the options and the terminal come to."""
    chosen = getattr(arguments, "progress", "auto")
    if chosen == "json":
        return "json"
    if chosen == "live":
        return "live"
    if chosen != "auto" or arguments.verbose or arguments.quiet or arguments.json or _is_ci():
        return "plain"
    return "live" if _can_redraw() else "plain"


def _is_ci() -> bool:
    """Tell whether this is a CI job: all the common services set ``CI``."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def _can_redraw() -> bool:
    """Tell whether stderr is a terminal that can move its cursor, and ours to draw on."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        return False
    try:
        # In the background the terminal belongs to somebody else, who would not like it.
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except OSError:
        return True  # a terminal, but not the one that controls us
