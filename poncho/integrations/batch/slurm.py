"""A job script for Slurm: sbatch(1), srun(1), sbcast(1)."""

from __future__ import annotations

from poncho.errors import UsageError
from poncho.integrations.batch.model import Job, clock, mebibytes
from poncho.integrations.batch.task import quote, task_path, task_words

SCRIPT = "job.sbatch"
SUBMIT = f"sbatch {SCRIPT}"

_ARRAY = """
# One task of the array. The first one on a node unpacks the package, later ones start at once; the exit status is the task's.
exec /bin/sh {task} {words}
"""

_NODES = """
task={task}
package={package}

# 1. The package goes to each node once, from node to node: the shared file system is read by one. (sbcast refuses a file that
#    is there already: nobody can have put another one in its place.)
PONCHO_PACKAGE=/tmp/poncho-job-$SLURM_JOB_ID.package
export PONCHO_PACKAGE
sbcast "$package" "$PONCHO_PACKAGE" || exit 125

# 2. One unpack on each node. The copy is needed until the tasks have ended: by its first bytes they know their environment.
srun --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" --ntasks-per-node=1 --cpus-per-task={cpus} /bin/sh "$task"
status=$?

# 3. The tasks, {at_once} at a time: process p does the tasks p, p+{at_once}, p+{at_once}+{at_once}, …
if [ "$status" -eq 0 ]; then
    # shellcheck disable=SC2016  # for the shell on the node
    srun --nodes="$SLURM_NNODES" --ntasks={at_once} --cpus-per-task={cpus} --kill-on-bad-exit=0 \\
        /bin/sh -c 'exec /bin/sh "$1" "$SLURM_PROCID" "$SLURM_NTASKS"' sh "$task"
    status=$?
fi
srun --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" --ntasks-per-node=1 --cpus-per-task={cpus} rm -f "$PONCHO_PACKAGE"
exit "$status"
"""


def script(job: Job) -> str:
    """Return the script. Raises UsageError for a directory that Slurm cannot write its output into."""
    if "%" in str(job.directory) or "\\" in str(job.directory):
        # slurmd reads the whole path of the output as a pattern, and the job fails without a word.
        raise UsageError(
            f"{job.directory}: Slurm cannot write a job's output below a path with % or \\ in it",
            hint="name another directory with --output",
        )
    what = job.resources
    lines = [f"job-name={job.name}"]
    if job.nodes is not None:
        at_once = min(max(job.at_once or job.nodes, job.nodes), max(job.tasks, job.nodes))
        lines += [f"nodes={job.nodes}", f"ntasks={at_once}", f"output={job.name}.%j.out"]
        body = _NODES.format(
            task=task_path(job.directory), package=quote(str(job.package)), cpus=what.cpus, at_once=at_once
        )
    elif job.width == 1:
        lines += ["ntasks=1", f"output={job.name}.%j.out"]
        body = _ARRAY.replace("One task of the array", "The job").format(
            task=task_path(job.directory), words=task_words(job, "0")
        )
    else:
        limit = "" if job.limit is None else f"%{job.limit}"
        lines += [f"array=0-{job.width - 1}{limit}", "ntasks=1", f"output={job.name}.%a.out"]
        body = _ARRAY.format(task=task_path(job.directory), words=task_words(job, '"$SLURM_ARRAY_TASK_ID"'))
    lines.append(f"cpus-per-task={what.cpus}")
    if what.gpus:
        lines.append(f"gres=gpu:{what.gpus}")
    if what.memory is not None:
        lines.append(f"mem={mebibytes(what.memory)}M")
    if what.disk is not None:
        lines.append(f"tmp={mebibytes(what.disk)}M")
    if what.time is not None:
        lines.append(f"time={clock(what.time)}")
    if what.queue is not None:
        lines.append(f"partition={what.queue}")
    if what.account is not None:
        lines.append(f"account={what.account}")
    directives = [*(f"#SBATCH --{line}" for line in lines), *(f"#SBATCH {line}" for line in what.directives)]
    return "\n".join(["#!/bin/sh", *directives]) + "\n" + body
