"""``poncho_package_create SPEC OUTPUT``: one relocatable package from a spec, a prefix or a conda environment."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poncho._words import counted, human_bytes
from poncho.cli.events import write_line
from poncho.cli.guard import Parser, add_common, run
from poncho.cli.progress import add_progress, reporter_for, shown_as
from poncho.cli.said import say
from poncho.cli.units import threads
from poncho.errors import UsageError

if TYPE_CHECKING:
    from poncho._types import Reporter
    from poncho.builder import CreateOptions
    from poncho.lock.model import Lock
    from poncho.pack import Trimmed
    from poncho.spec import Spec

_DESCRIPTION = (
    "Build one relocatable package from a spec, a lock, an environment's directory, or a conda environment's name."
)
_EPILOG = """SPEC is, in this order: the directory of a conda or virtual environment, a file (a spec in JSON, environment.yml,
requirements.txt, pyproject.toml or a PEP 723 script; a lock: ours, conda-lock.yml, pixi.lock, an @EXPLICIT list,
pylock.toml; or a package, which is built again from the lock inside: told by content, not by name), '-' for
standard input, or the name of a conda environment. OUTPUT appears whole or not at all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run(make_parser("poncho_package_create"), command, argv)


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = _CreateParser(prog=prog, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("spec", metavar="SPEC", help="what to pack (see below)")
    parser.add_argument("output", metavar="OUTPUT", nargs="?", help="the package to write, for example env.tar.gz")
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
        help="leave packages installed with 'pip install -e' out of the package instead of building them",
    )
    parser.add_argument(
        "--ignore-missing-files",
        action="store_true",
        help="pack a conda environment although files of its conda packages are missing",
    )
    parser.add_argument(
        "--trim",
        metavar="KIND,…",
        help="leave out what need not travel, and report what that saves: --trim alone is all of "
        "static,headers,tests,docs,debug,pycache; --trim=tests,docs is some of them",
    )
    parser.add_argument(
        "--lock", type=Path, metavar="LOCK", help="write the exact lock of what is built here (with --locked: read it)"
    )
    parser.add_argument(
        "--locked",
        action="store_true",
        help="build from LOCK without solving; refuse it, saying what changed, when it is not that of SPEC",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show what would be packed, exactly, with sizes and what is cached already; build nothing, write no OUTPUT "
        "(--lock is written)",
    )
    parser.add_argument("--offline", action="store_true", help="use only what the caches hold")
    parser.add_argument(
        "--approx",
        action="store_true",
        help="instead of building, take a package of the cache that has all that SPEC asks for, and more, if there is "
        "one; say which, and what more it has. What is built goes into that cache, too (see poncho_package_cache)",
    )
    parser.add_argument(
        "--format",
        metavar="F",
        help="tar.gz, tar.zst, tar, squashfs (to be mounted), sh (a script that runs itself) or dir (a directory); "
        "default: by OUTPUT's suffix, / for dir; tar.gz where there is none",
    )
    parser.add_argument(
        "--level",
        type=int,
        metavar="N",
        help="compression level: 0 to 12 (default 2, fast; from 5 on smaller than conda-pack's), 0 to 19 for tar.zst (3), "
        "1 to 22 for squashfs (3)",
    )
    parser.add_argument(
        "--compression",
        choices=("zstd", "gzip"),
        default="zstd",
        help="how a squashfs image is compressed (default: zstd; gzip has the levels 1 to 9, default 6)",
    )
    parser.add_argument(
        "--threads", type=threads, default=0, metavar="N", help="threads that compress (default: one per processor)"
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="install, read and compress everything anew, and keep nothing of it for the next time",
    )
    add_common(parser)
    add_progress(parser)
    return parser


class _CreateParser(Parser):
    """Knows that ``--trim`` alone is ``--trim=all``: what follows it is SPEC."""

    def parse_known_intermixed_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        words[:end] = ["--trim=all" if word == "--trim" else word for word in words[:end]]
        return super().parse_known_intermixed_args(words, namespace)

    def near(self, words: Sequence[str]) -> str | None:
        """Return what ``words``, which this command does not know, were probably meant to be."""
        if words[:1] in (["-o"], ["--output"], ["--out"]):
            return f"OUTPUT stands behind SPEC, without an option: {self.prog} spec.json env.tar.gz"
        from poncho.pack.trim import KINDS

        if words and {*words[0].split(",")} <= {*KINDS, "all"}:
            return f"kinds stand behind an equals sign: --trim={words[0]}"
        return super().near(words)


def command(arguments: Namespace) -> int:
    """Build the package that the arguments ask for."""
    from poncho.builder import CreateOptions, create, read
    from poncho.pack import PackOptions
    from poncho.pack.trim import parse_kinds

    prog = arguments.prog
    if arguments.output is None and not arguments.dry_run:
        hint = f"{prog} {arguments.spec} env.tar.gz; --dry-run needs none"
        raise UsageError("the following arguments are required: OUTPUT", hint=hint)
    if arguments.output == "-":
        raise UsageError("a package cannot be written to standard output", hint="name a file, ./- if that is its name")
    options = CreateOptions(
        conda_executable=arguments.conda_executable,
        offline=arguments.offline,
        ignore_missing=arguments.ignore_missing_files,
        lock=arguments.lock,
        locked=arguments.locked,
        reuse=not arguments.no_cache,
        pack=PackOptions(
            format=arguments.format,
            level=arguments.level,
            threads=arguments.threads,
            ignore_editable=arguments.ignore_editable_packages,
            trim=frozenset() if arguments.trim is None else parse_kinds(arguments.trim),
            compression=arguments.compression,
        ),
    )
    if arguments.dry_run:
        from poncho.cli.dry_run import show

        return show(arguments, options, prog)
    arguments.afterwards = _what_is_left(Path(arguments.output))
    with reporter_for(arguments, prog) as reporter:
        source = arguments.spec
        if source == "-":
            source = read(sys.stdin.buffer, options=options, reporter=reporter)
        if arguments.approx:
            return _approximate(source, arguments, options, reporter)
        created = create(source, arguments.output, options=options, reporter=reporter)
    if arguments.json:
        print(json.dumps(created.to_json(), indent=4, sort_keys=True))
    if shown_as(arguments) == "json":
        write_line("result", {"result": created.to_json()})
    elif not arguments.quiet and not arguments.json:
        size, unpacked = human_bytes(created.packed_bytes), human_bytes(created.unpacked_bytes)
        files = counted(created.files, "file")
        say(f"{prog}: {arguments.output}: {size}, {unpacked} unpacked, {files}")
        if created.trimmed is not None:
            _show_trimmed(prog, created.trimmed)
        if sys.stderr.isatty():
            itself = created.path.suffix == ".sh" and os.access(created.path, os.X_OK)
            command = str(created.path) if itself else f"poncho_package_run -e {arguments.output}"
            say(f"run it: {command} python app.py")
    return 0


def _show_trimmed(prog: str, trimmed: Trimmed) -> None:
    say(f"{prog}: trimmed {human_bytes(trimmed.bytes)} before compression")
    for kind, (files, size) in trimmed.saved.items():
        say(f"  {kind:<8} {human_bytes(size):>9}  {counted(files, 'file')}")
    for line in trimmed.kept:
        say(f"  kept     {line}")


def _approximate(
    source: Spec | Lock | Path | str, arguments: Namespace, options: CreateOptions, reporter: Reporter
) -> int:
    """Take a package out of the cache that satisfies the spec, or build it into the cache; say what was done."""
    from poncho.builder import check_outputs, read
    from poncho.compat.cache import place_package
    from poncho.package import open_package
    from poncho.spec import Spec

    unheeded = {
        "--lock": options.lock is not None,
        "--locked": options.locked,
        "--trim": bool(options.pack.trim),
        "--level": options.pack.level is not None,
        "--no-cache": not options.reuse,
    }
    for option, given in unheeded.items():
        if given:
            hint = f"leave {option} or --approx out"
            raise UsageError(f"{option}: --approx takes a package as it was built before", hint=hint)
    if options.pack.for_output(arguments.output).format != "tar.gz":
        raise UsageError("--approx serves .tar.gz packages", hint="name the output so, or leave --approx out")
    check_outputs(arguments.spec, arguments.output, options)
    spec = read(source, options=options, reporter=reporter)
    if not isinstance(spec, Spec):
        raise UsageError(f"{arguments.spec}: --approx needs a spec", hint="a lock or environment is packed as it is")
    done = place_package(spec, Path(arguments.output), options=options, approx=True, reporter=reporter)
    how = "built" if done.built else "the same spec, built before"
    if done.approximation is not None:
        how = done.approximation.words()
    if arguments.json:
        near = done.approximation.to_json() if done.approximation else None
        digest = open_package(done.path).digest
        answer = {"path": str(done.path), "digest": digest, "built": done.built, "approximation": near}
        print(json.dumps(answer, indent=4, sort_keys=True))
    elif not arguments.quiet:
        say(f"{arguments.prog}: {arguments.output}: {how}")
    return 0


def _what_is_left(output: Path) -> Callable[[], str | None]:
    """Return what tells whether ``output`` was published before an interruption came."""

    def stamp() -> tuple[int, int] | None:
        try:
            found = output.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    before = stamp()
    return lambda: None if stamp() == before else f"{output} was complete already"


if __name__ == "__main__":
    sys.exit(main())
