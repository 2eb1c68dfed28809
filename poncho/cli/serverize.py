"""``poncho_package_serverize``: functions of a file as a program that TaskVine or Work Queue workers call."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from poncho.cli.guard import Parser, add_common, run
from poncho.cli.progress import add_progress, reporter_for
from poncho.cli.said import say

_PROG = "poncho_package_serverize"
_EPILOG = """With the functions comes what they use of their file: imports, other functions, classes, variables; the
rest of the file is left out and never run. The library is called what the function name() returns, or my_coprocess.
Work Queue: work_queue_worker --coprocess DEST.
TaskVine: Manager.create_library_from_serverized_files(NAME, DEST, ENV)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run(make_parser(_PROG), command, argv)


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(
        prog=prog,
        description="Write a program that serves functions to TaskVine's or Work Queue's workers.",
        epilog=_EPILOG,
    )
    parser.add_argument("--src", required=True, metavar="FILE", help="the source file that holds the functions")
    parser.add_argument(
        "--function", required=True, action="append", metavar="F", help="a function to serve (can be repeated)"
    )
    parser.add_argument("--dest", required=True, metavar="FILE", help="the program to write")
    parser.add_argument(
        "--version", required=True, choices=["work_queue", "taskvine"], help="whose worker is to call the functions"
    )
    parser.add_argument("--pack", metavar="ENV", help="also make the package that the program needs")
    add_common(parser, version=False)
    add_progress(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Write the program, and the package that it needs."""
    from poncho.analysis import find_environment
    from poncho.compat.package_serverize import create_library_code, pack_library_code
    from poncho.store.outputs import check_apart, check_kept, check_output

    check_kept(arguments.dest, arguments.src)
    if arguments.pack:
        # Before the program is written: it is of no use without its package.
        check_output(Path(arguments.pack).absolute())
        check_kept(arguments.pack, arguments.src)
        check_apart(arguments.dest, arguments.pack)
    create_library_code(arguments.src, arguments.function, arguments.dest, arguments.version)
    if arguments.pack:
        with reporter_for(arguments, _PROG) as reporter:
            pack_library_code(Path(arguments.dest), arguments.pack, prefix=find_environment().prefix, reporter=reporter)
    if arguments.json:
        result = {"program": arguments.dest, "package": arguments.pack, "functions": arguments.function}
        print(json.dumps(result, indent=4, sort_keys=True))
    elif not arguments.quiet:
        written = arguments.dest + (f" and {arguments.pack}" if arguments.pack else "")
        say(f"{_PROG}: {', '.join(arguments.function)}: {written}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
