"""``poncho run``: become ``poncho_package_run``, the one run-time there is."""

from __future__ import annotations

import os
import re
import subprocess
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Sequence
from typing import NoReturn

from poncho.errors import BuildError
from poncho.runner import runner_path

_OPTION = re.compile(
    r"  (?:-(?P<short>\w),|   ) (?P<long>--[\w-]+)(?P<optional>\[=(?P<choice>\w+)\])?(?: (?P<value>[A-Z=]+))?  +(?P<help>.*)"
)


def become_runner(argv: Sequence[str]) -> NoReturn:
    """Replace this process by the runner with ``argv``. Raises BuildError when the runner is not installed."""
    os.execv("/bin/sh", ["sh", _runner(), *argv])


def make_parser(prog: str) -> ArgumentParser:
    """Return a parser that knows the runner's options by its own ``--help``: for completion and the manual page.

    The runner is a shell script and parses its arguments itself. Raises BuildError when it is not installed.
    """
    done = subprocess.run(
        ["/bin/sh", _runner(), "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    usage, _, rest = done.stdout.partition("\n\n")
    if done.returncode or not rest:
        raise BuildError("the runner does not say how it is called", context={"tail": done.stderr[-1000:]})
    description, _, rest = rest.partition("\n\n")
    options, _, epilog = rest.partition("\n\n")
    words = usage.removeprefix("Usage: ").replace("poncho_package_run", prog, 1).replace("%", "%%")
    parser = ArgumentParser(
        prog=prog, usage=words, description=description.replace("\n", " "), epilog=epilog, add_help=False
    )
    for line in options.splitlines():
        if not (found := _OPTION.fullmatch(line)):
            continue
        names = [f"-{found['short']}"] if found["short"] else []
        text = found["help"].replace("%", "%%")
        if found["optional"]:
            parser.add_argument(*names, found["long"], nargs="?", metavar=found["choice"], help=text)
        elif found["value"]:
            parser.add_argument(*names, found["long"], metavar=found["value"], help=text)
        else:
            parser.add_argument(*names, found["long"], action="store_true", help=text)
    parser.add_argument("command", metavar="COMMAND", nargs="*", help=SUPPRESS)
    return parser


def _runner() -> str:
    return str(runner_path())
