"""``poncho submit SYSTEM -e ENV -- COMMAND``: the files that run a command many times on a batch system."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poncho.cli.guard import Parser, add_common
from poncho.cli.said import say
from poncho.cli.units import duration, size
from poncho.errors import UsageError

if TYPE_CHECKING:
    from poncho.integrations.batch import Job

_SYSTEMS = ("slurm", "htcondor", "lsf", "pbs")
_URL = re.compile(r"(https?|file):/")
_INTERPRETER = re.compile(r"(?:.*/)?(?:python[0-9.]*|sh|bash)")
_EPILOG = """Written are the job's file, task.sh (one task; try it by hand: sh task.sh 0) and the runner. Nothing is
submitted: the line that does is printed. In COMMAND, {index} is the task's number, from 0."""


class _CommandParser(Parser):
    """Everything after the first ``--`` is the command, untouched."""

    def parse_intermixed_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Namespace:
        words = list(sys.argv[1:] if args is None else args)
        cut = words.index("--") if "--" in words else len(words)
        result: Namespace = super().parse_intermixed_args(words[:cut], namespace)
        result.words = words[cut + 1 :]
        return result

    def near(self, words: Sequence[str]) -> str | None:
        """Return what ``words``, which this command does not know, were probably meant to be."""
        if words and not words[0].startswith("-"):
            return f"the command stands behind --: {self.prog} … -- {' '.join(words)}"
        return super().near(words)


def make_parser(prog: str) -> Parser:
    """Return the parser of the command under the name ``prog``."""
    parser = _CommandParser(
        prog=prog,
        usage=f"{prog} {{{','.join(_SYSTEMS)}}} -e ENV [--tasks N] [options] -- COMMAND [ARGUMENT …]",
        description="Write the files that run a command many times inside a package on a batch system. Submits nothing.",
        epilog=_EPILOG,
    )
    parser.add_argument("system", choices=_SYSTEMS, help="the batch system")
    parser.add_argument("-e", "--environment", required=True, type=Path, metavar="ENV", help="the package")
    parser.add_argument("--tasks", type=int, default=1, metavar="N", help="how many times the command is run (1)")
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="M",
        help="share the tasks among so many jobs, each one after another (one per task)",
    )
    parser.add_argument("--at-once", type=int, metavar="K", help="at most so many jobs at the same time")
    parser.add_argument(
        "--nodes",
        type=int,
        metavar="M",
        help="slurm: one job over so many nodes that sends the package to each once; --at-once tasks at a time (M)",
    )
    parser.add_argument("--name", help="what the job is called (the package's name)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write; new or empty (NAME-SYSTEM)")
    parser.add_argument("--workdir", type=Path, default=Path(), metavar="DIR", help="where the tasks run (here)")
    parser.add_argument(
        "--input",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="htcondor: also transfer this (can be repeated); files named in COMMAND are transferred anyway",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="where the nodes keep the package unpacked (/tmp/poncho-UID; htcondor: the job's scratch directory)",
    )
    group = parser.add_argument_group("what one job gets", "left out: as the site has it")
    group.add_argument("--cpus", type=int, default=1, metavar="N", help="cores (1)")
    group.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs (0)")
    group.add_argument("--memory", type=size, metavar="SIZE", help="such as 2G")
    group.add_argument("--disk", type=size, metavar="SIZE", help="such as 10G; htcondor: reckoned from the package")
    group.add_argument("--time", type=duration, metavar="TIME", help="such as 90m, 2h, 1-12:00:00")
    group.add_argument("--queue", metavar="NAME", help="queue or partition")
    group.add_argument("--account", metavar="NAME", help="account, project or accounting group")
    group.add_argument(
        "--directive",
        action="append",
        default=[],
        metavar="LINE",
        help="one more line for the batch system, in its own words (can be repeated): --directive=--constraint=avx2",
    )
    add_common(parser)
    return parser


def command(arguments: Namespace) -> int:
    """Write the files; print the line that submits them."""
    from poncho.integrations.batch import INDEX, Job, Resources, write_job

    if _URL.match(str(arguments.environment)):
        raise UsageError(
            "-e: a URL, and the files are made from the package itself",
            hint="name the package's file; in task.sh, package= may be the URL afterwards",
        )
    package = arguments.environment.absolute()
    name = arguments.name if arguments.name is not None else _name_of(package)
    workdir = arguments.workdir.resolve()
    job = Job(
        package=package,
        command=tuple(arguments.words),
        name=name,
        directory=(arguments.output or Path(f"{name}-{arguments.system}")).absolute(),
        workdir=workdir,
        tasks=arguments.tasks,
        jobs=arguments.jobs,
        at_once=arguments.at_once,
        nodes=arguments.nodes,
        store=arguments.store,
        inputs=tuple(path.absolute() for path in arguments.input),
        resources=Resources(
            cpus=arguments.cpus,
            gpus=arguments.gpus,
            memory=arguments.memory,
            disk=arguments.disk,
            time=arguments.time,
            queue=arguments.queue,
            account=arguments.account,
            directives=tuple(arguments.directive),
        ),
    )
    written = write_job(arguments.system, job)
    notes = []
    if job.tasks > 1 and not any(INDEX in word for word in job.command):
        notes.append(f"all {job.tasks} tasks are the same: no {INDEX} in the command")
    if (program := _missing_program(job)) is not None:
        notes.append(f"{program} is not in {job.workdir}, where the tasks start")
    if job.width > 1000 and job.nodes is None:
        notes.append(f"an array of {job.width}: many sites allow 1,000; --jobs makes fewer")
    if arguments.json:
        result = {
            "directory": str(written.directory),
            "files": list(written.files),
            "inputs": [str(path) for path in written.inputs],
            "submit": written.submit,
            "notes": notes,
        }
        print(json.dumps(result, indent=4))
        return 0
    if not arguments.quiet:
        say(f"poncho submit: wrote {', '.join(written.files)} in {written.directory}")
        for path in written.inputs:
            say(f"poncho submit: {path} travels with each job")
        for note in notes:
            say(f"poncho submit: {note}")
        say("poncho submit: nothing is submitted yet; this does it:")
    print(written.submit)
    return 0


def _missing_program(job: Job) -> str | None:
    """Return the program that the command gives an interpreter, where it is a relative path and not there."""
    from poncho.integrations.batch import INDEX

    interpreter, program = (*job.command, "")[:2]
    if not _INTERPRETER.fullmatch(interpreter) or program[:1] in ("", "-", "/") or INDEX in program:
        return None
    return None if os.path.exists(job.workdir / program) else program


def _name_of(package: Path) -> str:
    stem = re.sub(r"\.(tar(\.\w+)?|tgz|tzst|sh|squashfs|sqfs|sfs)$", "", package.name)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem)[:60].strip("-.")
    return name if name[:1].isalpha() and name.isascii() else f"poncho-{name}".rstrip("-.")
