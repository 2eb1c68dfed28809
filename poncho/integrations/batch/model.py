"""What a person asks of a batch system: a command, how many times, with what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from poncho.errors import UsageError

INDEX = "{index}"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
# What queues, partitions and accounts are called; several partitions are separated by commas.
_SITE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,@/+=-]*")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one job gets. ``memory`` and ``disk`` are bytes, ``time`` is seconds; None leaves it to the site."""

    cpus: int = 1
    gpus: int = 0
    memory: int | None = None
    disk: int | None = None
    time: int | None = None
    queue: str | None = None
    account: str | None = None
    directives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """``command`` run ``tasks`` times inside ``package``; ``{index}`` in its words is the task's number, from 0.

    ``jobs`` (default: one per task) share the tasks; each does its own one after another. At most ``at_once`` of them run at
    the same time. With ``nodes``, all tasks run in one job over so many nodes, ``at_once`` of them at a time. ``store`` is
    an absolute path on the nodes; None is the batch system's usual place. ``inputs`` are files that travel to the node
    where there is no shared file system. All paths are absolute.
    """

    package: Path
    command: tuple[str, ...]
    name: str
    directory: Path
    workdir: Path
    tasks: int = 1
    jobs: int | None = None
    at_once: int | None = None
    nodes: int | None = None
    store: Path | None = None
    inputs: tuple[Path, ...] = ()
    resources: Resources = field(default_factory=Resources)

    @property
    def width(self) -> int:
        """Return the number of jobs in the array."""
        return min(self.jobs or self.tasks, self.tasks)

    @property
    def limit(self) -> int | None:
        """Return how many of the array may run at once, None where nothing limits them."""
        return self.at_once if self.at_once is not None and self.at_once < self.width else None


def check(job: Job) -> None:
    """Raise UsageError for what no batch system could take, or would take for something else."""
    what = job.resources
    counts = [("--tasks", job.tasks), ("--jobs", job.jobs), ("--at-once", job.at_once), ("--nodes", job.nodes)]
    amounts = [("--cpus", what.cpus), ("--memory", what.memory), ("--disk", what.disk), ("--time", what.time)]
    for option, value in (*counts, *amounts):
        if value is not None and value < 1:
            raise UsageError(f"{option}: {value} is less than one")
    if what.gpus < 0:
        raise UsageError(f"--gpus: {what.gpus} is less than none")
    if not job.command:
        raise UsageError("there is no command", hint="put it last, after --: … -- python task.py {index}")
    if not _NAME.fullmatch(job.name):
        raise UsageError(
            f"--name: {job.name!r} is no name that all batch systems take",
            hint="start with a letter; then letters, digits, '_', '.' and '-', at most 63 of them",
        )
    for option, text in (("--queue", what.queue), ("--account", what.account)):
        if text is not None and not _SITE_NAME.fullmatch(text):
            raise UsageError(f"{option}: {text!r} is no name of a queue or an account")
    for line in what.directives:
        if not line.strip() or not line.isprintable():
            raise UsageError(f"--directive: {line!r} is not one line of text")
    if not str(job.directory).isprintable():
        raise UsageError(f"--output: {str(job.directory)!r} has characters in it that no script can show")
    if job.jobs is not None and job.nodes is not None:
        raise UsageError("--jobs and --nodes exclude each other", hint="--nodes is one job over several nodes")
    if job.store is not None and not job.store.is_absolute():
        raise UsageError(f"--store: {str(job.store)!r} is not absolute", hint="name the directory as the nodes see it")


def clock(seconds: int) -> str:
    """Return a time limit as ``HH:MM:SS``; the hours may have more digits."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def mebibytes(count: int) -> int:
    """Return bytes as MiB, rounded up."""
    return -(-count // (1 << 20))
