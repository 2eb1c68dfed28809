"""The manual pages, made from the parsers: roff for man(1), one page for each command."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser, _SubParsersAction
from importlib import import_module

from poncho._version import __version__
from poncho.epoch import source_date_epoch

# Every command that is installed, and the module of its parser.
NAMES = {
    "poncho": "main",
    "poncho_package_analyze": "analyze",
    "poncho_package_cache": "package_cache",
    "poncho_package_create": "create",
    "poncho_package_run": "run",
    "poncho_package_serverize": "serverize",
    "python_package_analyze": "analyze",
    "python_package_create": "create",
    "python_package_run": "run",
}
_OLDER = "python_"
_MACRO = re.compile(r"\.(TH|SH|TP|B|ad|so)\b")
_STATUS = """.SH EXIT STATUS
0 when it succeeded, 2 when it was called wrongly, 130, 143 or 129 when it was interrupted (SIGINT, SIGTERM, SIGHUP),
another number for any other error, with one line on standard error that says what is wrong and one that says what to do."""


def parser_of(name: str) -> ArgumentParser:
    """Return the parser of an installed command."""
    parser: ArgumentParser = import_module(f"poncho.cli.{NAMES[name]}").make_parser(name)
    return parser


def manual_page(name: str) -> str:
    """Return the manual page of an installed command (``poncho_package_create``) or a subcommand (``poncho create``).

    The date is that of ``SOURCE_DATE_EPOCH``, else today. Raises UsageError when that is no time.
    """
    from argparse_manpage.manpage import Manpage

    date = time.strftime("%Y-%m-%d", time.gmtime(source_date_epoch()))
    command, _, below = name.partition(" ")
    # Not from the whole parser: a page is about one command, and that of poncho lists the others.
    module = import_module(f"poncho.cli.{below or NAMES[command]}")
    parser: ArgumentParser = module.make_root(name) if name == "poncho" else module.make_parser(name)
    title = name.replace(" ", "-")
    summary = (parser.description or "").partition(".")[0]
    page = Manpage(parser, format="single-commands-section")
    page.description = summary[:1].lower() + summary[1:]
    text = str(page)
    text = re.sub(r"\A\.TH.*\n", "", text)
    text = text.replace(".SH COMMENTS\n", ".SH NOTES\n")
    if name == "poncho":
        text = text.replace(".SH OPTIONS\n", f".SH COMMANDS\n{_commands()}\n.SH OPTIONS\n", 1)
    # The runner's help, and that of commands with a status of their own, says it already.
    if "xit status" not in (parser.epilog or "") and "package_run" not in title and title != "poncho-run":
        text = text.rstrip("\n") + "\n" + _STATUS
    # Ragged: narrow columns of names and paths cannot be adjusted.
    head = f'.TH "{title.upper()}" "1" "{date}" "poncho {__version__}" "PONCHO"\n.ad l\n'
    return head + _tidy(f"{text}\n.SH SEE ALSO\n{_see_also(title)}\n")


def subcommands() -> list[str]:
    """Return ``poncho`` and its subcommands, each as it is called."""
    found = next(action for action in parser_of("poncho")._actions if isinstance(action, _SubParsersAction))
    return ["poncho", *(f"poncho {name}" for name in found.choices)]


def pages() -> dict[str, str]:
    """Return all manual pages by file name; the older names of a command are links to its page."""
    made = {f"{name.replace(' ', '-')}.1": manual_page(name) for name in subcommands()}
    for name in NAMES:
        if name.startswith(_OLDER):
            made[f"{name}.1"] = f".so man1/poncho_{name.removeprefix(_OLDER)}.1\n"
        elif name != "poncho":
            made[f"{name}.1"] = manual_page(name)
    return made


def _commands() -> str:
    from poncho.cli.main import COMMANDS

    return "\n".join(f".TP\n\\fB{name}\\fR\n{words}" for name, words in COMMANDS.items())


def _see_also(title: str) -> str:
    names = [name.replace(" ", "-") for name in subcommands()] if title == "poncho" else ["poncho"]
    others = [name for name in NAMES if name.startswith("poncho_")] if title != "poncho" else []
    listed = [name for name in (*names, *others) if name != title]
    return ",\n".join(f"\\fB{name}\\fR(1)" for name in listed)


def _tidy(text: str) -> str:
    """Return roff without what only other tools complain about: empty lines, blanks at the end, long lines of text."""
    lines: list[str] = []
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    for line in text.splitlines():
        line = line.rstrip()
        if not line:
            continue
        if line.startswith("'") or (line.startswith(".") and not _MACRO.match(line)):
            line = f"\\&{line}"
        while len(line) > 79 and not line.startswith((".TH", ".SH", ".TP")) and " " in line[:79]:
            cut = line.rfind(" ", 0, 79)
            lines.append(line[:cut])
            line = line[cut + 1 :]
            if line.startswith((".", "'")):
                line = f"\\&{line}"
        lines.append(line)
    return "\n".join(lines) + "\n"
