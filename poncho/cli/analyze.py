"""``poncho_package_analyze SOURCE… OUT``: what a program imports, as a spec; the program is never run."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poncho._words import counted
from poncho.cli.guard import Parser, add_common, run
from poncho.cli.said import say
from poncho.errors import UsageError

if TYPE_CHECKING:
    from poncho.analysis import Analysis

_PROGRAMS = (".py", ".pyw", ".ipynb")
_SHOWN = 5
_DESCRIPTION = "Find what a program imports and write it as a spec. The program is never run."
_EPILOG = """SOURCE is a Python file, a directory, a package, a project, a notebook, a zipapp, wheel, egg or source distribution,
or '-' for standard input; OUT is a file, or '-' for
standard output. OUT appears only when the analysis succeeded. Versions are those installed in the environment that is
analysed: the activated conda or virtual environment, else the one that PONCHO runs in (--prefix names another)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run(make_parser("poncho_package_analyze"), command, argv)


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    usage = f"{prog} SOURCE… OUT [--toplevel | --function F] [--pkg-mapping IMPORT=NAME]… [--extra-pkg P]… [options]"
    parser = Parser(prog=prog, usage=usage, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("paths", nargs="+", metavar="SOURCE… OUT", help="what to analyse, and last where the spec goes")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--toplevel", action="store_true", help="only imports at module level")
    which.add_argument(
        "--function",
        action="append",
        metavar="F",
        help="only what function F (Class.method, outer.inner, a class) needs (repeatable)",
    )
    parser.add_argument(
        "--pkg-mapping",
        action="append",
        default=[],
        metavar="IMPORT=NAME",
        help="the package that provides an import, for example ROOT=root (can be repeated)",
    )
    parser.add_argument(
        "--extra-pkg",
        action="append",
        default=[],
        metavar="P",
        help="a package to add that no import names (repeatable)",
    )
    parser.add_argument(
        "--ship-local",
        action="store_true",
        help="put the program's own modules into the spec, so that the package brings them",
    )
    parser.add_argument(
        "--verify",
        type=Path,
        metavar="ENV",
        help="import what was found (and define the functions F) in a clean process in this package, and compare",
    )
    parser.add_argument("--prefix", type=Path, metavar="DIR", help="the environment whose versions count")
    parser.add_argument("--python", metavar="3.X", help="analyse for another version of Python than the environment's")
    parser.add_argument(
        "--online",
        action="store_true",
        help="ask the package index that pip uses about imports that nothing else knows",
    )
    parser.add_argument(
        "--pin",
        choices=("none", "compatible", "latest"),
        default="none",
        help="versions of what is not installed, asked of the index: ~= or == the newest (default: none)",
    )
    _add_choice(parser)
    add_common(parser)
    return parser


def _add_choice(parser: Parser) -> None:
    choice = parser.add_argument_group("what goes into the spec, and why")
    choice.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="WHAT[,WHAT]",
        help="take in what is left out: a tier (optional, type-checking, hint), an import or package, or 'declared': "
        "all that the project declares for run time (repeatable)",
    )
    choice.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="WHAT[,WHAT]",
        help="leave out a tier (conditional …), an import or a package (repeatable)",
    )
    choice.add_argument(
        "--trace",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="what poncho trace saw in a run (repeatable)",
    )
    instead = parser.add_argument_group("instead of a spec", "all paths are SOURCEs then, nothing is written")
    shown = instead.add_mutually_exclusive_group()
    shown.add_argument("--explain", metavar="NAME", help="every place, tier and evidence of an import or a package")
    shown.add_argument(
        "--check",
        action="store_true",
        help="compare what a project declares with what it imports: missing, misplaced, unused; 0 none, 1 some, 2 trouble",
    )


def command(arguments: Namespace) -> int:
    """Analyse the sources and write the spec."""
    prog = arguments.prog
    if arguments.check or arguments.explain is not None:
        from poncho.cli.shown import refuse_out, show

        refuse_out(arguments)
        return show(arguments, _analysis(arguments, arguments.paths, _stdin(arguments.paths), strict=False))
    if len(arguments.paths) < 2:
        raise UsageError(
            "one SOURCE and OUT are needed", hint=f"{prog} {arguments.paths[0]} spec.json, or '-' for standard output"
        )
    *sources, out = arguments.paths
    if Path(out).suffix in _PROGRAMS:
        raise UsageError(
            f"{out}: OUT would overwrite a program", hint="the last argument is the spec, for example spec.json"
        )
    _check_out(out, arguments, sources)
    stdin = _stdin(sources)
    analysis = _analysis(arguments, sources, stdin, strict=True)
    if not arguments.quiet:
        for problem in analysis.problems:
            say(f"{prog}: warning: {problem}")
        if analysis.local_modules and not analysis.shipped:
            names = ", ".join(_short(path) for path in analysis.local_modules[:_SHOWN])
            more = len(analysis.local_modules) - _SHOWN
            say(
                f"{prog}: note: the program's own files are not in the spec and have to travel with it "
                f"(--ship-local packs them): {names}" + (f" and {more} more" if more > 0 else "")
            )
        if arguments.prefix is None and _is_our_own(analysis):
            say(
                f"{prog}: note: no environment is active: versions are those of the one that PONCHO runs in "
                f"({analysis.environment})"
            )
            say("hint: activate the program's own, or name it: --prefix DIR")
        if analysis.projects:
            from poncho.cli.shown import say_differences

            say_differences(prog, analysis)
    if out != "-":
        _write(Path(out), analysis.dumps())
    elif not arguments.json:
        sys.stdout.write(analysis.dumps())
    if arguments.json:
        print(json.dumps(analysis.to_json(), indent=4, sort_keys=True))
    elif arguments.verbose or (sys.stderr.isatty() and not arguments.quiet and out != "-"):
        _table(prog, analysis)
    return _verified(prog, arguments, sources, stdin, analysis) if arguments.verify else 0


def _verified(prog: str, arguments: Namespace, sources: list[str], stdin: str | None, analysis: Analysis) -> int:
    from poncho.cli.function_report import report, source_of
    from poncho.package import verify_imports

    code, note = source_of(sources, stdin, arguments.function or ())
    if note and not arguments.quiet:
        say(f"{prog}: note: {note}")
    check = verify_imports(arguments.verify, analysis, code=code, names=arguments.function or ())
    for line in report(check, arguments.verify, analysis):
        if not arguments.quiet or not check.right:
            say(f"{prog}: {line}")
    return 0 if check.right else 1


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}" if path.name == "__init__.py" else path.name


def _is_our_own(analysis: Analysis) -> bool:
    """Tell whether versions were taken from PONCHO's own virtual environment, which nobody has activated."""
    own = Path(sys.prefix)
    active = (os.environ.get(name) for name in ("VIRTUAL_ENV", "CONDA_PREFIX"))
    return (
        sys.prefix != sys.base_prefix
        and analysis.environment == own
        and not any(name and Path(name) == own for name in active)
        and any(finding.installed for finding in analysis.findings)
    )


def _analysis(arguments: Namespace, sources: Sequence[str], stdin: str | None, *, strict: bool) -> Analysis:
    from poncho.analysis import analyze

    return analyze(
        [source if source == "-" else Path(source) for source in sources],
        toplevel=arguments.toplevel,
        function=arguments.function,
        mapping=_mapping(arguments.pkg_mapping),
        extra=tuple(arguments.extra_pkg),
        prefix=arguments.prefix,
        python=arguments.python,
        online=arguments.online,
        pin=arguments.pin,
        include=_words(arguments.include),
        exclude=_words(arguments.exclude),
        traces=tuple(arguments.trace),
        stdin=stdin,
        strict=strict,
        ship_local=arguments.ship_local,
    )


def _stdin(sources: Sequence[str]) -> str | None:
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if "-" in sources else None


def _words(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.strip() for text in given for word in text.split(","))


def _mapping(pairs: Sequence[str]) -> Mapping[str, str]:
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, equals, package = pair.partition("=")
        if not (name and equals and package):
            raise UsageError(f"--pkg-mapping {pair}: not IMPORT=NAME", hint="for example --pkg-mapping ROOT=root")
        mapping[name] = package
    return mapping


def _check_out(out: str, arguments: Namespace, sources: Sequence[str]) -> None:
    """Refuse an OUT that is read, or is a directory, before any work is done. Raises UsageError."""
    from poncho.store.outputs import check_kept

    if out == "-":
        return
    if os.path.isdir(out):
        raise UsageError(f"{out}: is a directory", hint=f"name a file, for example {Path(out) / 'spec.json'}")
    inside = [source for source in sources if source != "-" and os.path.isdir(source) and _holds(source, out)]
    # A spec lies beside its program, and is written again and again; the project's own files are read.
    own = [out] if inside and os.path.isfile(out) and not _may_be_spec(out) else []
    check_kept(out, *sources, *arguments.trace, arguments.verify, *own)


def _holds(directory: str, file: str) -> bool:
    return os.path.realpath(file).startswith(os.path.join(os.path.realpath(directory), ""))


def _may_be_spec(file: str) -> bool:
    try:
        with open(file, "rb") as stream:
            return stream.read(1 << 12).lstrip()[:1] in (b"", b"{")
    except OSError:
        return True  # said where it is written


def _write(path: Path, text: str) -> None:
    from poncho.store import atomic_file

    with atomic_file(path) as private:
        private.write_text(text, encoding="utf-8")


def _table(prog: str, analysis: Analysis) -> None:
    from poncho.cli.findings import table

    sys.stderr.write(table(analysis, sys.stderr))
    included = sum(finding.included for finding in analysis.findings)
    packages = counted(included, "package")
    followed = counted(len(analysis.local_modules), "local file")
    say(f"{prog}: {packages} in the spec, {followed} followed")


if __name__ == "__main__":
    sys.exit(main())
