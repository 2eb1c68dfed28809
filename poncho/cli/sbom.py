"""``poncho sbom ENV``: a bill of materials (CycloneDX JSON)."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from poncho.cli.guard import Parser, add_common
from poncho.cli.said import say


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(
        prog=prog,
        description="Write a bill of materials of a package: CycloneDX 1.6 in JSON, the same bytes for the same package.",
    )
    parser.add_argument("environment", metavar="ENV", type=Path, help="a package, another tarball, or a directory")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="the file to write (default: standard output)")
    parser.add_argument(
        "--name", default="environment", metavar="NAME", help="what the whole is called in it (environment)"
    )
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Write it. It is JSON with or without ``--json``."""
    from poncho.look.sbom import bill_of_materials
    from poncho.store import atomic_file
    from poncho.store.outputs import check_kept

    check_kept(arguments.output, arguments.environment)
    found = bill_of_materials(arguments.environment, name=arguments.name)
    text = json.dumps(found, indent=2) + "\n"
    if arguments.output in (None, Path("-")):
        sys.stdout.write(text)
        return 0
    with atomic_file(arguments.output.absolute()) as private:
        private.write_text(text, "utf-8")
    if arguments.json:
        print(json.dumps({"sbom": str(arguments.output), "components": len(found["components"])}, indent=4))
    elif not arguments.quiet:
        say(f"poncho sbom: wrote {arguments.output}: {len(found['components'])} components")
    return 0
