"""``poncho``: all commands under one name."""

from __future__ import annotations

import difflib
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from poncho._version import __version__
from poncho.cli.guard import Parser, run

_PATH, _LOOK, _CARE, _OTHERS, _SHELL = (
    "from a program to a command on any node",
    "look into a package",
    "what is kept on this machine",
    "for other systems",
    "for your shell",
)
# name: group, one line. Each is a module of this package with make_parser(prog) and command(arguments).
_SUBCOMMANDS = {
    "analyze": (_PATH, "find what a program imports: source to spec"),
    "trace": (_PATH, "run a program and record what it loads, for analyze --trace"),
    "lock": (_PATH, "say exactly which bytes: spec to lock"),
    "create": (_PATH, "build a package: spec, lock or environment to one file"),
    "run": (_PATH, "run a command in a package"),
    "inspect": (_LOOK, "what is in a package, how big, from where; --html: as a page"),
    "diff": (_LOOK, "what two packages differ in"),
    "verify": (_LOOK, "check every byte of a package"),
    "sbom": (_LOOK, "bill of materials (CycloneDX)"),
    "unpack": (_LOOK, "unpack a package into a directory"),
    "submit": (_OTHERS, "job files for Slurm, HTCondor, LSF or PBS"),
    "store": (_CARE, "what this node keeps unpacked: list, prune, verify"),
    "cache": (_CARE, "what builds keep for the next ones: list, prune, verify"),
    "serverize": (_OTHERS, "functions as a library for TaskVine or Work Queue"),
    "completion": (_SHELL, "completion for bash, zsh or fish"),
    "man": (_SHELL, "manual pages"),
}
_COMMON = ("-q", "--quiet", "-v", "--verbose", "--debug", "--json")
COMMANDS = {name: words for name, (_, words) in _SUBCOMMANDS.items()}
_DESCRIPTION = "Put an application's whole software world into one file and run it on any machine."
_EPILOG = "poncho COMMAND --help shows how each is called; poncho man COMMAND is its manual page."


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``poncho SUBCOMMAND …``; return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"]:
        words = words[1:] if words[1:] and words[1] not in _SUBCOMMANDS else [*words[1:2], "--help"]
    # Options that every command has may stand before it, too.
    before = next((number for number, word in enumerate(words) if word not in _COMMON), len(words))
    if before and words[before : before + 1] and words[before] in _SUBCOMMANDS and words[before] != "run":
        words = [words[before], *words[:before], *words[before + 1 :]]
    if words[:1] == ["run"]:
        # The runner's own parser, untouched: everything after the first word that is no option is the command.
        from poncho.cli.run import become_runner

        become_runner(words[1:])
    if words[:1] and words[0] in _SUBCOMMANDS:
        module = _module(words[0])
        return run(module.make_parser(f"poncho {words[0]}"), module.command, words[1:])
    parser = make_root("poncho")
    parser.words = words
    parser.add_argument("subcommand", metavar="COMMAND", nargs="?")
    arguments, unknown = parser.parse_known_args(words)
    if arguments.subcommand is None:
        parser.error("a COMMAND is needed: " + ", ".join(_SUBCOMMANDS))
    if arguments.subcommand in _SUBCOMMANDS:
        parser.error(f"options stand behind the command: poncho {' '.join([arguments.subcommand, *unknown])}")
    near = difflib.get_close_matches(arguments.subcommand, _SUBCOMMANDS, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    parser.error(f"there is no command {arguments.subcommand!r}{meant}: there are {', '.join(_SUBCOMMANDS)}")
    raise AssertionError("unreachable")


def make_root(prog: str) -> Parser:
    """Return the parser of ``poncho`` without the commands below it."""
    parser = _Root(prog=prog, usage=f"{prog} COMMAND …", description=_DESCRIPTION, epilog=_EPILOG)
    version = f"poncho {__version__}"
    parser.add_argument("--version", action="version", version=version, help="show the version and stop")
    return parser


def make_parser(prog: str = "poncho") -> Parser:
    """Return one parser with every command below it, as completion needs it."""
    parser = make_root(prog)

    def made(**how: Any) -> ArgumentParser:
        name = str(how["prog"]).rpartition(" ")[2]
        parser: ArgumentParser = _module(name).make_parser(str(how["prog"]))
        return parser

    below = parser.add_subparsers(  # type: ignore[call-overload]
        metavar="COMMAND", dest="subcommand", parser_class=made, prog=prog
    )
    for name, (_, words) in _SUBCOMMANDS.items():
        below.add_parser(name, help=words)
    return parser


class _Root(Parser):
    """The parser of ``poncho`` itself: its help lists the commands in groups."""

    def format_help(self) -> str:
        lines = [f"usage: {self.usage}", "", _DESCRIPTION]
        for group in dict.fromkeys(group for group, _ in _SUBCOMMANDS.values()):
            lines += ["", f"{group}:"]
            lines += [f"  {name:<12}{words}" for name, (one, words) in _SUBCOMMANDS.items() if one == group]
        lines += [
            "",
            "options:",
            "  -h, --help  show this help message and stop",
            "  --version   show the version and stop",
        ]
        return "\n".join([*lines, "", _EPILOG, ""])


def _module(name: str) -> ModuleType:
    return import_module(f"poncho.cli.{name}")


if __name__ == "__main__":
    sys.exit(main())
