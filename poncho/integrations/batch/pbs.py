"""A job script for OpenPBS and PBS Professional: qsub(1B). An array has two elements at least."""

from __future__ import annotations

from poncho.errors import UsageError
from poncho.integrations.batch.model import Job, clock, mebibytes
from poncho.integrations.batch.task import task_path, task_words

SCRIPT = "job.pbs"
SUBMIT = f"qsub {SCRIPT}"

_BODY = """
# The first task on a node unpacks the package, later ones start at once; the exit status is the task's.
exec /bin/sh {task} {words}
"""


def script(job: Job) -> str:
    """Return the script. Raises UsageError for what PBS has no word for."""
    what = job.resources
    if job.nodes is not None:
        raise UsageError("--nodes is for slurm", hint="an array does the same: --jobs says in how many parts")
    if what.disk is not None:
        raise UsageError("--disk: PBS has no resource of that kind that all sites share", hint="use --directive")
    chunk = f"select=1:ncpus={what.cpus}"
    if what.memory is not None:
        chunk += f":mem={mebibytes(what.memory)}mb"
    if what.gpus:
        chunk += f":ngpus={what.gpus}"
    lines = [f"-N {job.name}", f"-l {chunk}"]
    if job.width > 1:
        limit = "" if job.limit is None else f"%{job.limit}"
        lines.append(f"-J 0-{job.width - 1}{limit}")
    if what.time is not None:
        lines.append(f"-l walltime={clock(what.time)}")
    if what.queue is not None:
        lines.append(f"-q {what.queue}")
    if what.account is not None:
        lines.append(f"-A {what.account}")
    directives = [*(f"#PBS {line}" for line in lines), *(f"#PBS {line}" for line in what.directives)]
    number = '"$PBS_ARRAY_INDEX"' if job.width > 1 else "0"
    body = _BODY.format(task=task_path(job.directory), words=task_words(job, number))
    return "\n".join(["#!/bin/sh", *directives]) + "\n" + body
