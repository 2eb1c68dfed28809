"""``poncho trace -- python app.py``: run a program as it is, and record what it loads from its environment."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from poncho._words import counted
from poncho.cli.guard import Parser, add_common
from poncho.cli.said import say, say_lines
from poncho.errors import AnalysisError, UsageError

_EPILOG = """The command's streams, arguments, working directory and exit status are its own; 126 and 127 stand for one that
cannot be run or is not found. Every Python process it starts in the same environment is recorded, unless it is started
with -I, -E or -S. Then: poncho_package_analyze app.py spec.json --trace trace.json"""


class _Parser(Parser):
    """Options end at the first word that is none: everything after it is the command's."""

    def parse_intermixed_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        number = 0
        while number < len(words) and words[number].startswith("-") and words[number] not in ("-", "--"):
            number += 2 if words[number] in ("-o", "--output") else 1
        arguments = self.parse_args(words[:number], namespace)
        rest = words[number:]
        arguments.command = rest[1:] if rest[:1] == ["--"] else rest
        return arguments


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = _Parser(
        prog=prog,
        usage=f"{prog} [-o FILE] [--] COMMAND [ARGUMENT]…",
        description="Run a command and record what its Python processes import, and the shared libraries, data files "
        "and programs of the environment that they use.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("trace.json"), metavar="FILE", help="the trace (default: trace.json)"
    )
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Run the command, write the trace; return the command's status."""
    from poncho.analysis.tracing import trace
    from poncho.store import atomic_file

    if not arguments.command:
        raise UsageError("a COMMAND is needed", hint="poncho trace -- python app.py")
    output = Path(os.path.abspath(arguments.output))
    if os.path.isdir(output) or not os.path.isdir(output.parent) or not os.access(output.parent, os.W_OK):
        raise UsageError(
            f"{arguments.output}: cannot be written", hint="name a file in a directory that is there: -o FILE"
        )
    _check_is_trace(output, arguments.output)
    try:
        status, found = trace(arguments.command, os.environ)
    except AnalysisError as error:
        if "status" not in error.context:
            raise
        say_lines(f"poncho trace: error: {error.message}")
        if error.hint:
            say_lines(f"hint: {error.hint}")
        return int(error.context["status"])
    if found is None:
        say("poncho trace: nothing was recorded: no Python process of the command read PYTHONPATH")
        say("hint: start it without -I, -E and -S, and not in another environment or container")
        return status or 1
    with atomic_file(output) as private:
        private.write_text(json.dumps(found.to_json(), indent=1, sort_keys=True) + "\n", "utf-8", "surrogateescape")
    if not arguments.quiet:
        tops = {one.name.partition(".")[0] for one in found.modules}
        cut = f", {found.unfinished} of them cut short" if found.unfinished else ""
        what = [
            counted(found.processes, "process") + cut,
            counted(len(tops), "top-level module"),
            *([counted(len(found.libraries), "shared library")] if found.libraries else []),
            *([counted(len(found.data), "data file")] if found.data else []),
        ]
        say(f"poncho trace: {arguments.output}: {', '.join(what)}")
        if status:
            say(
                f"poncho trace: note: the command ended with status {status}: what it would have loaded later is not there"
            )
    return status


def _check_is_trace(output: Path, named: Path) -> None:
    """Refuse to write over anything but a trace, or nothing: the program itself, most likely. Raises UsageError, StoreError."""
    from poncho.analysis.trace import is_trace
    from poncho.store.atomic import check_replaceable

    check_replaceable(output)
    if os.path.exists(output) and not is_trace(output):
        hint = "-o names the trace, which is written anew; the command stands behind --"
        raise UsageError(f"{named}: is no trace, and would be overwritten", hint=hint)
