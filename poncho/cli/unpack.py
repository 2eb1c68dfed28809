"""``poncho unpack ENV DIR``: unpack a package into a new directory, checked, and relocated to there."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from poncho.cli.guard import Parser, add_common
from poncho.cli.progress import add_progress, reporter_for
from poncho.cli.said import say


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(
        prog=prog,
        description="Unpack a package into a directory that is new or empty, and relocate it to there. Every byte is checked, "
        "nothing of it is executed; the directory appears whole or not at all.",
    )
    parser.add_argument("environment", metavar="ENV", type=Path, help="a package, or a tarball that conda-pack made")
    parser.add_argument("directory", metavar="DIR", type=Path, help="the directory to unpack into")
    parser.add_argument(
        "--no-relocate",
        action="store_true",
        help="leave the placeholder in the files, as tar does: relocated by its first run",
    )
    add_common(parser)
    add_progress(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Unpack it."""
    from poncho.look.words import count, size
    from poncho.package.unpack import unpack

    relocate = not arguments.no_relocate
    with reporter_for(arguments, "poncho unpack") as reporter:
        done = unpack(arguments.environment, arguments.directory, relocate=relocate, reporter=reporter)
    if arguments.json:
        facts = {"path": str(done.path), "digest": done.digest, "files": done.files, "bytes": done.bytes}
        print(json.dumps({**facts, "relocated": done.relocated}, indent=4))
    elif not arguments.quiet:
        words = "relocated" if done.relocated else "not relocated"
        where = arguments.directory
        say(f"poncho unpack: {where}: {count(done.files, 'file')}, {size(done.bytes)}, {words}")
    return 0
