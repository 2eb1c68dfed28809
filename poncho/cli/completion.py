"""``poncho completion SHELL``: what a shell needs to complete our commands, made from the parsers themselves."""

from __future__ import annotations

import json
import sys
from argparse import Action, ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterator

from poncho.cli.guard import Parser, add_common

SHELLS = ("bash", "zsh", "fish")
_DESCRIPTION = "Write what a shell needs to complete the commands of PONCHO."
_EPILOG = """An installation has these files where shells look for them, below share/ of its prefix. Elsewhere:
bash: eval "$(poncho completion bash)" in ~/.bashrc. zsh: poncho completion zsh > DIR/_poncho, with DIR in fpath.
fish: poncho completion fish > ~/.config/fish/completions/poncho.fish."""
# By the placeholder that the help shows: what is to be completed.
_FILES = ("FILE", "SPEC", "OUTPUT", "SOURCE… OUT", "PATH", "LOCK", "PACKAGE", "ENV", "A", "B")
_DIRECTORIES = ("DIR",)


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    from poncho.cli.manual import NAMES

    parser = Parser(prog=prog, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("shell", choices=SHELLS, help="whose completion")
    parser.add_argument(
        "name", nargs="?", default="poncho", choices=tuple(NAMES), help="of which command (default: poncho)"
    )
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Write the completion to standard output."""
    text = completion(arguments.name, arguments.shell)
    if arguments.json:
        text = json.dumps({"command": arguments.name, "shell": arguments.shell, "completion": text}, indent=4) + "\n"
    sys.stdout.write(text)
    return 0


def completion(name: str, shell: str) -> str:
    """Return the completion of the command ``name`` for ``shell`` (bash, zsh or fish)."""
    import shtab

    from poncho.cli.manual import parser_of

    parser = parser_of(name)
    for action in _actions(parser):
        names = {action.metavar} if isinstance(action.metavar, str) else set()
        if names & set(_DIRECTORIES):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif names & set(_FILES):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    text: str = shtab.complete(parser, shell, root_prefix=name)
    return text


def _actions(parser: ArgumentParser) -> Iterator[Action]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
        else:
            yield action
