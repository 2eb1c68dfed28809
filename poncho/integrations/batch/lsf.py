"""A job script for IBM Spectrum LSF 10: bsub(1). Its arrays count from 1."""

from __future__ import annotations

from poncho.errors import UsageError
from poncho.integrations.batch.model import Job, mebibytes
from poncho.integrations.batch.task import task_path, task_words

SCRIPT = "job.bsub"
SUBMIT = f"bsub < {SCRIPT}"

_BODY = """
# The first task on a node unpacks the package, later ones start at once; the exit status is the task's.
exec /bin/sh {task} {words}
"""


def script(job: Job) -> str:
    """Return the script. Raises UsageError for a job over several nodes, which is Slurm's only."""
    if job.nodes is not None:
        raise UsageError("--nodes is for slurm", hint="an array does the same: --jobs says in how many parts")
    what = job.resources
    limit = "" if job.limit is None else f"%{job.limit}"
    array = "" if job.width == 1 else f"[1-{job.width}]{limit}"
    lines = [f'-J "{job.name}{array}"', f"-n {what.cpus}", '-R "span[hosts=1]"']
    lines.append(f"-o {job.name}.%J.%I.out" if array else f"-o {job.name}.%J.out")
    if what.gpus:
        lines.append(f'-gpu "num={what.gpus}"')
    if what.memory is not None:
        size = f"{mebibytes(what.memory)}MB"
        lines += [f"-M {size}", f'-R "rusage[mem={size}]"']
    if what.disk is not None:
        lines.append(f'-R "rusage[tmp={mebibytes(what.disk)}MB]"')
    if what.time is not None:
        minutes = -(-what.time // 60)
        lines.append(f"-W {minutes // 60}:{minutes % 60:02}")
    if what.queue is not None:
        # -q takes several queues, as one word.
        lines.append(f'-q "{what.queue.replace(",", " ")}"')
    if what.account is not None:
        lines.append(f"-P {what.account}")
    directives = [*(f"#BSUB {line}" for line in lines), *(f"#BSUB {line}" for line in what.directives)]
    number = '"$((LSB_JOBINDEX - 1))"' if array else "0"
    body = _BODY.format(task=task_path(job.directory), words=task_words(job, number))
    return "\n".join(["#!/bin/sh", *directives]) + "\n" + body
