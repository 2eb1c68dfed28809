"""``poncho verify ENV``: every byte against the package's own list, nothing unpacked, nothing executed."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from pathlib import Path

from poncho.cli.guard import Parser, add_common
from poncho.cli.said import say, tell


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(
        prog=prog,
        description="Check every byte of a package, or of a directory where one is unpacked, against its list of contents.",
        epilog="In a directory, files that were added are not looked at. Exit status: 0 when all is right, 1 when it is not.",
    )
    parser.add_argument(
        "environment", metavar="ENV", type=Path, help="a package, an unpacked one, or an entry of the store"
    )
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Check; say what is wrong."""
    return _directory(arguments) if os.path.isdir(arguments.environment) else _file(arguments)


def _file(arguments: Namespace) -> int:
    from poncho.look.words import count, size
    from poncho.package import verify

    found = verify(arguments.environment)
    if arguments.json:
        facts = {"path": str(arguments.environment), "right": True, "digest": found.digest}
        print(json.dumps({**facts, "files": found.files, "bytes": found.bytes, "differences": []}, indent=4))
    elif not arguments.quiet:
        name = arguments.environment
        tell(f"{name}: right: {count(found.files, 'file')}, {size(found.bytes)}, digest {found.digest}")
    return 0


def _directory(arguments: Namespace) -> int:
    from poncho.look.words import count
    from poncho.package.unpacked import verify_unpacked

    found = verify_unpacked(arguments.environment)
    if arguments.json:
        rows = [{"path": one.path, "what": one.what} for one in found]
        print(json.dumps({"path": str(arguments.environment), "right": not found, "differences": rows}, indent=4))
    elif found or not arguments.quiet:
        words = "right" if not found else f"{count(len(found), 'file')} not as packed"
        (say if found else tell)(f"{arguments.environment}: {words}")
        for one in found:
            tell(f"    {one.what}: {one.path}")
    return 1 if found else 0
