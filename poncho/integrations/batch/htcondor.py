"""A submit description for HTCondor, with its own file transfer: no shared file system is needed."""

from __future__ import annotations

import os
from pathlib import Path

from poncho.errors import UsageError
from poncho.integrations.batch.model import INDEX, Job, mebibytes
from poncho.integrations.batch.task import TASK, task_words
from poncho.package import Package
from poncho.runner import RUNNER

SCRIPT = "job.sub"
SUBMIT = f"condor_submit {SCRIPT}"

# conda's words for machines, and those of HTCondor's attributes OpSys and Arch
_MACHINES = {
    "linux-64": ("LINUX", "X86_64"),
    "linux-aarch64": ("LINUX", "aarch64"),
    "linux-ppc64le": ("LINUX", "ppc64le"),
    "osx-64": ("macOS", "X86_64"),
    "osx-arm64": ("macOS", "arm64"),
}

_TRANSFER = """
# Each job gets the package once, and unpacks it once in its scratch directory, which goes with the job; what it runs there one
# after another ({share}) uses that. Fewer jobs (--jobs) move fewer copies.
should_transfer_files   = YES
when_to_transfer_output = ON_EXIT
transfer_input_files    = {inputs}
"""

_EXIT = """
# 125: the environment could not be set up on that machine. Such a job runs again, at most three times, probably elsewhere;
# with any other status it is done, and the status is the task's own.
max_retries             = 3
retry_until             = ExitCode =!= 125
"""


def script(job: Job, package: Package) -> str:
    """Return the submit description. Raises UsageError for files and options that HTCondor cannot take."""
    what = job.resources
    if job.nodes is not None:
        raise UsageError("--nodes is for slurm", hint="--jobs says how many jobs share the tasks")
    if what.queue is not None:
        raise UsageError(
            "--queue: HTCondor has no queues", hint="machines are chosen by --directive 'requirements = …'"
        )
    inputs = [RUNNER, str(job.package), *map(str, travelling(job))]
    share = "one task" if job.width == job.tasks else f"up to {-(-job.tasks // job.width)} tasks"
    lines = [
        "# " + f"{job.width} job{'s' if job.width > 1 else ''} for {job.tasks} task{'s' if job.tasks > 1 else ''}.",
        f"batch_name              = {job.name}",
        f"executable              = {TASK}",
        f"arguments               = {task_words(job, '$(Process)')}",
        _TRANSFER.format(inputs=", ".join(map(_transferable, inputs)), share=share).rstrip("\n"),
        "",
        f"request_cpus            = {what.cpus}",
    ]
    if what.gpus:
        lines.append(f"request_gpus            = {what.gpus}")
    if what.memory is not None:
        lines.append(f"request_memory          = {mebibytes(what.memory)} MB")
    lines.append(f"request_disk            = {mebibytes(what.disk or _disk(job, package))} MB")
    machine = _MACHINES.get(str(package.manifest.get("platform")))
    if machine:
        lines.append(f'requirements            = (OpSys == "{machine[0]}") && (Arch == "{machine[1]}")')
    if what.time is not None:
        lines.append(f"allowed_job_duration    = {what.time}")
    if what.account is not None:
        lines.append(f"accounting_group        = {what.account}")
    if job.limit is not None:
        lines.append(f"max_materialize         = {job.limit}")
    lines += [
        _EXIT.rstrip("\n"),
        "",
        f"output                  = {job.name}.$(Process).out",
        f"error                   = {job.name}.$(Process).err",
        f"log                     = {job.name}.log",
        *what.directives,
        f"queue {job.width}",
    ]
    return "\n".join(lines) + "\n"


def travelling(job: Job) -> list[Path]:
    """Return the files that travel beside package and runner: ``inputs``, and the command's words that are files in ``workdir``.

    Raises UsageError for one in a directory below it: on the node, all of them lie side by side.
    """
    found = list(job.inputs)
    for number, word in enumerate(job.command):
        # A program by its name alone is looked up on PATH, whatever lies here.
        if INDEX in word or os.path.isabs(word) or (number == 0 and "/" not in word):
            continue
        path = job.workdir / word
        if path in found or not path.is_file():
            continue
        if path.parent != job.workdir:
            raise UsageError(
                f"{word}: HTCondor puts every input beside the others, and the command would look for it in a directory",
                hint=f"say --input {word} and only its last part in the command",
            )
        found.append(path)
    names: dict[str, str] = {TASK: TASK, RUNNER: RUNNER, job.package.name: str(job.package)}
    for path in found:
        if not path.exists():
            raise UsageError(f"--input: {path} does not exist", hint="check the path")
        if names.setdefault(path.name, str(path)) != str(path):
            raise UsageError(f"two inputs are called {path.name}: {names[path.name]} and {path}", hint="rename one")
    return list(dict.fromkeys(found))


def _transferable(path: str) -> str:
    """Return a path as an item of ``transfer_input_files``: a list with commas, where $ begins a macro."""
    if "," in path or not path.isprintable() or path != path.strip() or path.endswith("/"):
        raise UsageError(f"{path!r}: HTCondor cannot transfer a file with such a path", hint="rename it, or link to it")
    return path.replace("$", "$(DOLLAR)")


def _disk(job: Job, package: Package) -> int:
    """Return bytes for the package, packed and unpacked, what else travels, and 1 GiB for what the tasks write."""
    packed = package.path.stat().st_size
    totals = package.manifest.get("totals", {})
    # Of other people's archives the size is not known without reading them: a third is usual.
    unpacked = totals.get("bytes", 3 * packed)
    return int(packed + unpacked) + sum(path.stat().st_size for path in travelling(job)) + (1 << 30)
