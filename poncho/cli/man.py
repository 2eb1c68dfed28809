"""``poncho man [COMMAND]``: the manual page of a command, shown by man where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from poncho.cli.guard import Parser, add_common

_DESCRIPTION = "Show the manual page of a command."
_EPILOG = """On a terminal man(1) shows it; elsewhere, or with --roff, its source is written to standard output. An
installation has the pages in share/man of its prefix, where man looks when its bin is on PATH."""


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(prog=prog, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument(
        "name",
        nargs="?",
        default="poncho",
        metavar="COMMAND",
        help="create, run, … or the whole name of a command (default: poncho itself)",
    )
    parser.add_argument("--roff", action="store_true", help="write the page's source, also on a terminal")
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="write all pages as files to this directory")
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Show or write the page."""
    from poncho.cli.manual import NAMES, manual_page, pages, subcommands
    from poncho.errors import StoreError, UsageError

    if arguments.output_dir is not None:
        try:
            arguments.output_dir.mkdir(parents=True, exist_ok=True)
            written = pages()
            for file, page in written.items():
                (arguments.output_dir / file).write_text(page, encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"{error.filename}: cannot be written ({error.strerror})", hint="name a directory that you may write to"
            ) from error
        if arguments.json:
            print(json.dumps({"directory": str(arguments.output_dir), "files": list(written)}, indent=4))
        return 0
    known = [*subcommands(), *NAMES]
    name = next((one for one in (arguments.name, f"poncho {arguments.name}") if one in known), None)
    if name is None:
        raise UsageError(f"there is no command {arguments.name!r}", hint=f"there are {', '.join(known)}")
    text = manual_page(name)
    if arguments.json:
        print(json.dumps({"command": name, "page": text}, indent=4))
        return 0
    program = shutil.which("man")
    if arguments.roff or program is None or not sys.stdout.isatty():
        sys.stdout.write(text)
        return 0
    with tempfile.NamedTemporaryFile("w", prefix="poncho-", suffix=".1", encoding="utf-8") as shown:
        shown.write(text)
        shown.flush()
        return subprocess.run([program, "--local-file", shown.name], check=False).returncode
