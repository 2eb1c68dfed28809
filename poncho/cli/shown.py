"""``analyze --explain`` and ``--check``: what is shown instead of a spec; and what is said beside one."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from poncho.cli.findings import compared, explained
from poncho.cli.said import say
from poncho.errors import UsageError

if TYPE_CHECKING:
    from poncho.analysis import Analysis


def refuse_out(arguments: Namespace) -> None:
    """Raise UsageError where OUT is named though nothing is written."""
    if arguments.check:
        arguments.trouble = 2
    last = arguments.paths[-1]
    if last.endswith(".json") and not os.path.isdir(last):
        option = "--check" if arguments.check else "--explain"
        raise UsageError(f"{last}: is no source", hint=f"with {option} nothing is written: leave OUT away")


def show(arguments: Namespace, analysis: Analysis) -> int:
    """Show one name, or compare projects; return the exit status."""
    if arguments.explain is not None:
        from poncho.analysis.explain import explain

        explanation = explain(analysis, arguments.explain)
        if arguments.json:
            print(json.dumps(explanation.to_json(), indent=4, sort_keys=True))
        else:
            sys.stdout.write(explained(explanation, sys.stdout))
        return 0
    if not analysis.projects:
        raise UsageError(
            f"{', '.join(arguments.paths)}: nothing is declared there to compare with",
            hint="name a directory with pyproject.toml, setup.cfg, setup.py or requirements.txt, or a PEP 723 script",
        )
    for problem in () if arguments.quiet else analysis.problems:
        say(f"{arguments.prog}: warning: {problem}")
    if arguments.json:
        print(json.dumps({"projects": [one.to_json() for one in analysis.projects]}, indent=4, sort_keys=True))
    else:
        sys.stdout.write("".join(compared(one, sys.stdout) for one in analysis.projects))
    return 1 if any(one.differences for one in analysis.projects) else 0


def say_differences(prog: str, analysis: Analysis) -> None:
    """Say in one line for each project that it declares other packages than it imports."""
    for one in analysis.projects:
        counts = [f"{len(found)} {kind}" for kind in ("missing", "misplaced", "unused") if (found := one.of_kind(kind))]
        if counts:
            said = f"{one.name} declares other packages than it imports: {', '.join(counts)}"
            say(f"{prog}: note: {said}; --check {one.root} says which")
