"""Write a job's directory: the job's file, ``task.sh`` and the runner; whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from poncho.errors import UsageError
from poncho.integrations.batch import htcondor, lsf, pbs, slurm
from poncho.integrations.batch.model import Job, check
from poncho.integrations.batch.task import TASK, quote, task_script
from poncho.package import open_package
from poncho.runner import RUNNER, runner_path
from poncho.store import atomic_directory

SYSTEMS = ("slurm", "htcondor", "lsf", "pbs")
_SHARED = {"slurm": slurm, "lsf": lsf, "pbs": pbs}


@dataclass(frozen=True, slots=True)
class Written:
    """``files`` in ``directory``; ``submit`` is the line for a shell that submits them; ``inputs`` are what else travels."""

    directory: Path
    files: tuple[str, ...]
    submit: str
    inputs: tuple[Path, ...]


def write_job(system: str, job: Job) -> Written:
    """Write the files that run ``job`` on one of ``SYSTEMS`` into ``job.directory``, which must be new or empty.

    Nothing is submitted. Raises UsageError for what is off, PackageError when the package is none, StoreError when the
    directory cannot be written.
    """
    check(job)
    package = open_package(job.package)
    inputs: tuple[Path, ...] = ()
    if system == "htcondor":
        name, submit, text = htcondor.SCRIPT, htcondor.SUBMIT, htcondor.script(job, package)
        inputs = tuple(htcondor.travelling(job))
    elif system in _SHARED:
        if job.inputs:
            raise UsageError("--input is for htcondor", hint=f"{system} reads files where they lie, in --workdir")
        module = _SHARED[system]
        name, submit, text = module.SCRIPT, module.SUBMIT, module.script(job)
    else:
        raise UsageError(f"{system}: no such batch system", hint=f"there are {', '.join(SYSTEMS)}")
    with atomic_directory(job.directory, into_empty=True) as private:
        if private is None:
            raise UsageError(
                f"{job.directory} exists and is not empty", hint="name another directory with --output, or delete it"
            )
        _write(private / name, text, 0o644)
        _write(private / TASK, task_script(job, travels=system == "htcondor"), 0o755)
        shutil.copyfile(runner_path(), private / RUNNER)
        (private / RUNNER).chmod(0o755)
    line = f"cd {quote(str(job.directory))} && {submit}"
    return Written(job.directory, (name, TASK, RUNNER), line, inputs)


def _write(path: Path, text: str, mode: int) -> None:
    # Words of the command line and file names are bytes; what is no UTF-8 stays what it was.
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(mode)
