"""``poncho_package_create SPEC OUTPUT``: one relocatable package from a spec, a prefix or a conda environment."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poncho.cli.guard import Parser, add_common, run
from poncho.cli.progress import human_bytes, reporter_for

if TYPE_CHECKING:
    from poncho.pack import Format
    from poncho.spec import Spec

_DESCRIPTION = "Build one relocatable package from a spec, a conda environment's directory, or its name."
_EPILOG = """SPEC is, in this order: the directory of a conda environment, a file (a spec in JSON, environment.yml,
requirements.txt, pyproject.toml or a PEP 723 script: told by content, not by name), '-' for standard input, or
the name of a conda environment. OUTPUT appears whole or not at all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run(make_parser("poncho_package_create"), command, argv)


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(prog=prog, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("spec", metavar="SPEC", help="what to pack (see below)")
    parser.add_argument("output", metavar="OUTPUT", help="the package to write, for example env.tar.gz")
    parser.add_argument(
        "--conda-executable",
        metavar="X",
        help="solve and install with this conda, mamba or micromamba (default: py-rattler, which needs none)",
    )
    parser.add_argument(
        "--no-micromamba",
        action="store_true",
        help="accepted for older callers: nothing is ever downloaded to solve with",
    )
    parser.add_argument(
        "--ignore-editable-packages",
        action="store_true",
        help="leave packages installed with 'pip install -e' out of the package instead of refusing them",
    )
    parser.add_argument("--offline", action="store_true", help="use only what the caches hold")
    parser.add_argument("--level", type=int, metavar="N", help="compression level, 0 to 12 (default: 2, fast)")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads that compress (default: one per processor)"
    )
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Build the package that the arguments ask for."""
    from poncho.builder import CreateOptions, create
    from poncho.pack import PackOptions

    prog = "poncho_package_create"
    options = CreateOptions(
        conda_executable=arguments.conda_executable,
        offline=arguments.offline,
        pack=PackOptions(
            format=_format(arguments.output),
            level=arguments.level,
            threads=arguments.threads,
            ignore_editable=arguments.ignore_editable_packages,
        ),
    )
    source: Spec | str = _stdin_spec() if arguments.spec == "-" else arguments.spec
    with reporter_for(arguments, prog) as reporter:
        created = create(source, Path(arguments.output), options=options, reporter=reporter)
    if arguments.json:
        print(json.dumps(created.to_json(), indent=4, sort_keys=True))
    elif not arguments.quiet:
        size, unpacked = human_bytes(created.packed_bytes), human_bytes(created.unpacked_bytes)
        print(f"{prog}: {arguments.output}: {size}, {unpacked} unpacked, {created.files} files", file=sys.stderr)
        if sys.stderr.isatty():
            print(f"run it: poncho_package_run -e {arguments.output} python …", file=sys.stderr)
    return 0


def _format(output: str) -> Format:
    """Return the format that the output's suffix asks for; anything else is the default, which every tar reads."""
    if output.endswith(".tar"):
        return "tar"
    return "tar.zst" if output.endswith((".tar.zst", ".tzst")) else "tar.gz"


def _stdin_spec() -> Spec:
    from poncho.spec import decode, loads_spec

    return loads_spec(decode(sys.stdin.buffer.read(), source="standard input"), source="standard input")


if __name__ == "__main__":
    sys.exit(main())
