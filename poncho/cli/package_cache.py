"""``poncho_package_cache SPEC``: the path of the package of a spec, on standard output; built when it is missing."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from poncho.cli.guard import Parser, add_common, run
from poncho.cli.progress import add_progress, reporter_for
from poncho.cli.said import say

_PROG = "poncho_package_cache"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run(make_parser(_PROG), command, argv)


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(prog=prog, description="Print where the package of a spec is; build it when there is none yet.")
    parser.add_argument("spec", metavar="SPEC", help="a file that holds a spec of any kind, or '-' for standard input")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where packages are kept (default: in the user's cache directory)"
    )
    parser.add_argument("--force", action="store_true", help="build it anew")
    parser.add_argument(
        "--approx",
        action="store_true",
        help="take a package that has all that SPEC asks for, and more, if there is one; say which and what more it has",
    )
    parser.add_argument("--offline", action="store_true", help="use only what the caches hold")
    add_common(parser)
    add_progress(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Find or build the package, and print where it is."""
    from poncho.builder import CreateOptions
    from poncho.compat.cache import cached_package
    from poncho.spec import decode, load_spec, loads_spec

    if arguments.spec == "-":
        spec = loads_spec(decode(sys.stdin.buffer.read(), source="standard input"), source="standard input")
    else:
        spec = load_spec(Path(arguments.spec))
    directory = arguments.cache.absolute() if arguments.cache else None
    options = CreateOptions(offline=arguments.offline)
    with reporter_for(arguments, _PROG) as reporter:
        found = cached_package(
            spec, directory, options=options, force=arguments.force, approx=arguments.approx, reporter=reporter
        )
    if found.approximation is not None and not arguments.quiet:
        say(f"{_PROG}: {found.approximation.words()}")
    if arguments.json:
        near = {"approximation": found.approximation.to_json()} if found.approximation else {}
        print(json.dumps({"package": str(found.path), "built": found.built, **near}, indent=4))
    else:
        print(found.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
