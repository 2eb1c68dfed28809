"""Turn whatever happens into an exit status and, for people, at most two lines on stderr."""

from __future__ import annotations

import json
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

from poncho._redact import redact
from poncho._version import __version__
from poncho.errors import PonchoError

Command = Callable[[Namespace], int]


class Parser(ArgumentParser):
    """An argument parser whose errors look like all others: one line, one hint, exit status 2."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: error: {message}", file=sys.stderr)
        print(f"hint: {self.prog} --help shows how it is called", file=sys.stderr)
        raise SystemExit(2)


def add_common(parser: ArgumentParser, *, version: bool = True) -> None:
    """Add the options that every command has; ``version``: unless it has a --version of its own."""
    if version:
        parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    group = parser.add_argument_group("what is shown")
    group.add_argument("--json", action="store_true", help="write the result, or the error, as one JSON object")
    group.add_argument("-q", "--quiet", action="store_true", help="show errors only")
    group.add_argument("-v", "--verbose", action="store_true", help="show every step, also where there is no terminal")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def run(parser: ArgumentParser, command: Command, argv: Sequence[str] | None) -> int:
    """Parse ``argv`` and run ``command``; return the exit status.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that temporary work is cleaned up: 130, 143 or 129.
    """
    # What goes to stdout is data for programs: the same bytes under every locale.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    arguments = parser.parse_intermixed_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    try:
        status = command(arguments)
        sys.stdout.flush()
        return status
    except PonchoError as error:
        _show(parser.prog, error, arguments)
        # A command whose status 1 is an answer says what stands for an error.
        return getattr(arguments, "trouble", None) or error.exit_code
    except _Interrupted as interrupted:
        return _say_interrupted(parser.prog, interrupted.number)
    except KeyboardInterrupt:
        return _say_interrupted(parser.prog, signal.SIGINT)
    except BrokenPipeError:
        # The reader of our stdout has gone: nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        if arguments.debug:
            raise
        text = redact(f"{type(error).__name__}: {error}").splitlines()
        print(f"{parser.prog}: error: unexpected {text[0] if text else 'error'}", file=sys.stderr)
        print("hint: this is a fault of PONCHO: please report it with the output of --debug", file=sys.stderr)
        return 70


class _Interrupted(BaseException):
    def __init__(self, number: int) -> None:
        self.number = number


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Interrupted(number)


def _say_interrupted(prog: str, number: int) -> int:
    print(f"{prog}: interrupted ({signal.Signals(number).name}); nothing was written", file=sys.stderr)
    return 128 + number


def _show(prog: str, error: PonchoError, arguments: Namespace) -> None:
    if arguments.debug:
        import traceback

        traceback.print_exception(error)
    if getattr(arguments, "json", False):
        print(json.dumps(error.to_json(), indent=4, sort_keys=True, default=str), file=sys.stderr)
        return
    print(f"{prog}: error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
