"""``poncho``: the three commands, and what else there is, under one name."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from poncho._version import __version__
from poncho.cli import (
    analyze,
    builder_cache,
    create,
    diff,
    inspect,
    lock,
    sbom,
    serverize,
    store,
    submit,
    unpack,
    verify,
)
from poncho.cli.guard import Parser, run

_SUBCOMMANDS = {
    **{
        "analyze": analyze,
        "create": create,
        "lock": lock,
        "serverize": serverize,
        "store": store,
        "submit": submit,
        "cache": builder_cache,
    },
    **{"inspect": inspect, "diff": diff, "verify": verify, "sbom": sbom, "unpack": unpack},
}
_DESCRIPTION = "Put an application's whole software world into one file and run it on any machine."


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``poncho SUBCOMMAND …``; return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["run"]:
        # The runner's own parser, untouched: everything after the first word that is no option is the command.
        from poncho.cli.run import become_runner

        become_runner(words[1:])
    if words[:1] and words[0] in _SUBCOMMANDS:
        module = _SUBCOMMANDS[words[0]]
        return run(module.make_parser(f"poncho {words[0]}"), module.command, words[1:])
    parser = Parser(prog="poncho", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"poncho {__version__}")
    parser.add_argument(
        "subcommand",
        choices=(
            "analyze",
            "lock",
            "create",
            "run",
            "inspect",
            "diff",
            "verify",
            "sbom",
            "unpack",
            "submit",
            "store",
            "cache",
            "serverize",
        ),
        help="analyze: source to spec; lock: spec to lock; create: spec or lock to package; run: a command in a package; "
        "inspect: what is in a package, with --html as a page; diff: what two packages differ in; verify: every byte; "
        "sbom: bill of materials; unpack: into a directory; "
        "submit: write job files for Slurm, HTCondor, LSF or PBS; "
        "store: what this node keeps unpacked; cache: what builds keep for the next ones; "
        "serverize: functions as a library for TaskVine or Work Queue",
    )
    parser.parse_args(words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
