"""Turn whatever happens into an exit status and, for people, at most two lines on stderr."""

from __future__ import annotations

import difflib
import errno
import json
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from poncho import _cleanup
from poncho._home import working_directory
from poncho._redact import redact
from poncho._version import __version__
from poncho.cli.events import write_line
from poncho.cli.said import say_lines, shown_lines
from poncho.errors import PonchoError, UsageError

Command = Callable[[Namespace], int]
_UNKNOWN = "unrecognized arguments: "  # argparse's words

# What is said of a file when it is this machine, and no fault of ours.
_MACHINE = frozenset(
    getattr(errno, name)
    for name in "EACCES EPERM ENAMETOOLONG ELOOP ENOTDIR EROFS EIO ESTALE EMFILE ENFILE ENOSPC EDQUOT ENXIO".split()  # noqa: SIM905
)
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class Parser(ArgumentParser):
    """An argument parser whose errors look like all others: one line, one hint, exit status 2."""

    # What it is called with: an error may come before the options are known.
    words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        words = message.removeprefix(_UNKNOWN).split() if message.startswith(_UNKNOWN) else []
        hint = self.near(words) or f"{self.prog} --help shows how it is called"
        _show(self.prog, UsageError(message, hint=hint), _form_of(self.words))
        raise SystemExit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write --help or --version; where argparse passes over what cannot be written, say so."""
        stream = file or sys.stderr
        try:
            if stream is not None:
                stream.write(message)
                stream.flush()
        except OSError as error:
            raise SystemExit(_failed(self.prog, error, _form_of(self.words))) from error

    def near(self, words: Sequence[str]) -> str | None:
        """Return what ``words``, which this command does not know, were probably meant to be."""
        for word in words:
            option = word.partition("=")[0]
            found = difflib.get_close_matches(option, self._option_string_actions, n=1, cutoff=0.75)
            if option.startswith("--") and found:
                return f"did you mean {found[0]}?"
        return None


def add_common(parser: ArgumentParser, *, version: bool = True) -> None:
    """Add the options that every command has; ``version``: unless it has a --version of its own."""
    if version:
        shown = f"{parser.prog} {__version__}"
        parser.add_argument("--version", action="version", version=shown, help="show the version and stop")
    group = parser.add_argument_group("what is shown")
    group.add_argument("--json", action="store_true", help="write the result, or the error, as one JSON object")
    group.add_argument("-q", "--quiet", action="store_true", help="show errors only")
    group.add_argument("-v", "--verbose", action="store_true", help="show every step, also where there is no terminal")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def run(parser: ArgumentParser, command: Command, argv: Sequence[str] | None) -> int:
    """Parse ``argv`` and run ``command``; return the exit status.

    SIGTERM and SIGHUP end it as Ctrl-C does, with all temporary work undone: 143, 129, 130. A command may set
    ``arguments.afterwards``, a function that says in a few words what an interrupted run has left; None means nothing.
    """
    _open_what_is_closed()
    # What goes to stdout is data for programs: the same bytes under every locale.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if isinstance(parser, Parser):
        parser.words = sys.argv[1:] if argv is None else argv
    arguments = parser.parse_intermixed_args(argv)
    arguments.prog = parser.prog
    try:
        status = _guarded(parser.prog, command, arguments)
        _cleanup.finish()
    except _cleanup.Interrupted:
        # The frames that it held, and the clean-up in them, are gone when this block is.
        status = 128
    number = _cleanup.interrupted()
    if number is None:
        _cleanup.restore_handlers()
        return status
    return _end_interrupted(parser.prog, number, arguments)


def _open_what_is_closed() -> None:
    """Open what the caller left closed of stdin, stdout and stderr: the next file would get its number, and our words.

    Python's own objects for them are None then. Writing to this stdout fails, as to any that cannot take what is asked for.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(opened := os.open(os.devnull, flags), number)
            if opened != number:
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _guarded(prog: str, command: Command, arguments: Namespace) -> int:
    _cleanup.install_handlers(lambda: _say(f"{prog}: cleaning up"))
    try:
        status = command(arguments)
        sys.stdout.flush()
        return status
    except BaseException as error:
        if _cleanup.interrupted() is not None:
            # Whatever the exception became on its way here: what was asked for is to end.
            return 128
        return _failed(prog, error, arguments)


def _failed(prog: str, error: BaseException, arguments: Namespace) -> int:
    """Say what went wrong and return the exit status."""
    if isinstance(error, BrokenPipeError):
        # The reader of our stdout has gone: nothing to say, and nobody to say it to.
        _forget_stdout()
        return 128 + signal.SIGPIPE
    if isinstance(error, OSError) and _is_of_a_stream(error):
        _forget_stdout()
        error = PonchoError(
            f"standard output cannot be written ({error.strerror})", hint="what was printed is not whole"
        )
    elif isinstance(error, OSError) and error.filename is not None and error.errno in _MACHINE:
        # pathlib's own is_dir and exists raise for what may not be looked at, where a library's user is not told of it.
        where, hint = os.fsdecode(error.filename), "check the path, and whether you may use it"
        error = PonchoError(f"{where}: cannot be used ({error.strerror})", hint=hint)
    elif isinstance(error, FileNotFoundError) and error.filename is None and not working_directory().exists():
        error = PonchoError(
            "the working directory was deleted", hint="go to one that is there, or name absolute paths only"
        )
    elif isinstance(error, ModuleNotFoundError) and not f"{error.name}.".startswith("poncho."):
        error = _not_installed(error)
    if isinstance(error, PonchoError):
        _show(prog, error, arguments)
        # A command whose status 1 is an answer says what stands for an error.
        return getattr(arguments, "trouble", None) or error.exit_code
    if arguments.debug or not isinstance(error, Exception):
        raise error
    text = redact(f"{type(error).__name__}: {error}").splitlines()
    unexpected = PonchoError(
        f"unexpected {text[0] if text else 'error'}",
        hint="this is a fault of PONCHO: please report it with the output of --debug",
    )
    _show(prog, unexpected, arguments)
    return 70


def _not_installed(error: ModuleNotFoundError) -> PonchoError:
    """Return what is said where PONCHO's requirements are missing: its commands start from a bare clone, too."""
    clone = Path(__file__).resolve().parents[2]
    hint = f"{sys.executable} -m pip check says what it lacks"
    if (clone / "pyproject.toml").is_file():
        hint = f"{sys.executable} -m venv DIR && DIR/bin/pip install {clone}, then the commands in DIR/bin"
    if led := [name for name in ("PYTHONHOME", "PYTHONPATH") if os.environ.get(name)]:
        # Set-ups of experiments set them for a Python of their own.
        without = " ".join(f"-u {name}" for name in led)
        hint = f"{' and '.join(led)} may lead Python elsewhere: env {without} {Path(sys.argv[0]).name} …; else {hint}"
    return PonchoError(f"PONCHO is not installed for {sys.executable}: it has no module {error.name!r}", hint=hint)


def _is_of_a_stream(error: OSError) -> bool:
    """Tell whether printing failed, not a file: only what lies beside this module prints, by itself or through rich."""
    trace, printing = error.__traceback__, False
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__"))
        printing = name.startswith("poncho.cli") or (printing and name.startswith("rich."))
        trace = trace.tb_next
    return printing and error.filename is None and error.errno in _UNWRITABLE


def _forget_stdout() -> None:
    """Let the interpreter's own flush at the end succeed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_interrupted(prog: str, number: int, arguments: Namespace) -> int:
    _cleanup.sweep()
    # Further signals have nothing to end any more: the exit status is that of the first one.
    _cleanup.restore_handlers(signal.SIG_IGN)
    name = signal.Signals(number).name
    afterwards: Callable[[], str | None] | None = getattr(arguments, "afterwards", None)
    left = (afterwards() if afterwards else None) or "nothing was written"
    if getattr(arguments, "progress", None) == "json":
        write_line("interrupted", {"signal": name, "message": left})
    else:
        _say(f"{prog}: interrupted ({name}); {left}")
    return 128 + number


def _form_of(words: Sequence[str]) -> Namespace:
    """Return how an error is to be shown by what was typed, as far as that can be told."""
    own = list(words[: words.index("--")] if "--" in words else words)
    events = "--progress=json" in own or ("--progress", "json") in pairwise(own)
    return Namespace(debug=False, json="--json" in own, progress="json" if events else None)


def _say(words: str) -> None:
    # Written at once and by the descriptor: this may run inside a write to sys.stderr. The terminal may be gone (HUP).
    with suppress(OSError):
        os.write(2, f"{shown_lines(words)}\n".encode(errors="replace"))


def _show(prog: str, error: PonchoError, arguments: Namespace) -> None:
    if arguments.debug:
        import traceback

        traceback.print_exception(error)
    if getattr(arguments, "progress", None) == "json":
        write_line("error", error.to_json())
        return
    if getattr(arguments, "json", False):
        print(json.dumps(error.to_json(), indent=4, sort_keys=True, default=str), file=sys.stderr)
        return
    say_lines(f"{prog}: error: {error.message}")
    if error.hint:
        say_lines(f"hint: {error.hint}")
