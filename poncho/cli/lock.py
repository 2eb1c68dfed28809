"""``poncho lock SPEC``: exactly which bytes an environment is made of, as a file to keep beside the spec."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from poncho._home import working_directory
from poncho._words import human_bytes
from poncho.cli.guard import Parser, add_common
from poncho.cli.progress import add_progress, reporter_for
from poncho.cli.said import say

if TYPE_CHECKING:
    from poncho.lock.model import Lock

_PROG = "poncho lock"
_DESCRIPTION = "Resolve a spec and write its lock: every package with URL and sha256, every commit, every digest."
_EPILOG = """SPEC is the directory of a conda or virtual environment or a conda environment's name (what is installed there),
a spec of any kind, a lock of any kind (ours, conda-lock.yml, pixi.lock, an @EXPLICIT list, pylock.toml), a package (its
own lock comes out), or '-' for a spec or lock on standard input. Build from a lock by 'poncho create lock.json
env.tar.gz'."""


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = Parser(prog=prog, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("spec", metavar="SPEC", help="what to lock (see below)")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="LOCK", help="the file to write (default: standard output)"
    )
    parser.add_argument(
        "--update",
        action="append",
        default=[],
        metavar="NAME",
        help="move this package (conda, pip) or data variable alone, in LOCK or in SPEC if that is a lock; repeatable",
    )
    parser.add_argument("--locked", action="store_true", help="write nothing; fail when LOCK is not that of SPEC")
    parser.add_argument(
        "--platform", metavar="SUBDIR", help="lock for this platform, such as linux-aarch64 or osx-arm64"
    )
    parser.add_argument(
        "--environment", metavar="NAME", help="which environment of a pixi.lock, or category of a conda-lock.yml"
    )
    parser.add_argument("--conda-executable", metavar="X", help="solve with this conda, mamba or micromamba")
    parser.add_argument("--offline", action="store_true", help="use only what the caches hold")
    add_common(parser)
    add_progress(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Lock what the arguments ask for."""
    from poncho.builder import CreateOptions, check_outputs, read, resolve, write_lock
    from poncho.errors import SpecError, UsageError
    from poncho.lock.codec import dumps
    from poncho.lock.compare import lock_changes
    from poncho.lock.model import Lock

    if arguments.output == Path("-"):
        arguments.output = None
    if arguments.locked and arguments.update:
        raise UsageError("--update moves packages, and --locked lets nothing be written", hint="leave one of them out")
    if arguments.locked and arguments.output is None:
        raise UsageError("--locked checks a lock: name it", hint="poncho lock spec.json -o lock.json --locked")
    options = CreateOptions(
        conda_executable=arguments.conda_executable,
        offline=arguments.offline,
        lock=arguments.output,
        locked=arguments.locked,
    )
    check_outputs(arguments.spec, None, options)
    choice = {"platform": arguments.platform, "environment": arguments.environment}
    with reporter_for(arguments, _PROG) as reporter:
        given = sys.stdin.buffer if arguments.spec == "-" else arguments.spec
        source = read(given, options=options, reporter=reporter, **choice)
        old: object = source
        if arguments.update and not isinstance(source, Lock) and arguments.output is not None:
            if not os.path.exists(arguments.output):
                raise SpecError("no such file", source=str(arguments.output), hint="--update needs a lock to update")
            old = read(arguments.output, options=options)
        lock = resolve(source, options=options, platform=arguments.platform, update=arguments.update, reporter=reporter)
    moved = list(lock_changes(old, lock)) if arguments.update and isinstance(old, Lock) else None
    if arguments.output is None:
        sys.stdout.write(dumps(lock, base=working_directory().resolve()))
    elif not arguments.locked:
        write_lock(lock, arguments.output)
    _say(arguments, lock, moved)
    return 0


def _say(arguments: Namespace, lock: Lock, moved: list[str] | None) -> None:
    """Say what was locked: as JSON on standard output (when the lock is not there), in a line or two on stderr."""
    counts = {name: len(getattr(lock, name)) for name in ("conda", "pip", "git", "http")}
    sizes = [*(c.size for c in lock.conda), *(p.size for p in lock.pip), *(h.size for h in lock.http.values())]
    known = [size for size in sizes if size]
    if arguments.json:
        if arguments.output is not None:
            result = {"lock": str(arguments.output), "platform": lock.platform, **counts, "bytes": sum(known)}
            print(json.dumps({**result, "moved": moved} if moved is not None else result, indent=4, sort_keys=True))
        return
    if arguments.quiet:
        return
    for line in moved or ():
        say(f"{_PROG}: {line}")
    if moved == []:
        say(f"{_PROG}: nothing moved: {', '.join(arguments.update)} is the newest that fits")
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
    size = f", {human_bytes(sum(known))} to fetch" if known else ""
    where = arguments.output or "standard output"
    verb = "is up to date" if arguments.locked else "locked"
    say(f"{_PROG}: {where}: {verb} for {lock.platform}: {words}{size}")
