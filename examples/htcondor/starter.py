"""Do with a submit file what a machine of a pool does, job by job, without a pool.

    python starter.py job.sub DIRECTORY

HTCondor's own parser reads the file and expands its macros. Each job gets a scratch directory with what is transferred, the
executable under the name condor_exec.exe, and an environment with nothing in it but what HTCondor sets.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import classad2
import htcondor2

submit_file, machine = Path(sys.argv[1]), Path(sys.argv[2])
text = submit_file.read_text()
jobs = int(htcondor2.Submit(text).getQArgs() or 1)
for process in range(jobs):
    # Each job is expanded by a parse of its own, with its number.
    submit = htcondor2.Submit(text.replace("$(Process)", str(process)))
    scratch = machine / f"dir_{process}"
    scratch.mkdir(parents=True)
    shutil.copy(submit["executable"], scratch / "condor_exec.exe")
    for name in submit.expand("transfer_input_files").split(","):
        shutil.copy(name.strip(), scratch)
    with open(submit.expand("output"), "wb") as out, open(submit.expand("error"), "wb") as error:
        run = subprocess.run(
            ["./condor_exec.exe", *submit.expand("arguments").split()],
            cwd=scratch,
            env={"PATH": "/usr/bin:/bin", "_CONDOR_SCRATCH_DIR": str(scratch), "TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            check=False,
        )
    leave = classad2.ClassAd({"ExitCode": run.returncode, "Leave": classad2.ExprTree(submit["retry_until"])}).eval(
        "Leave"
    )
    print(f"job {process}: exit status {run.returncode}, {'done' if leave else 'would run again'}")
    shutil.rmtree(scratch)
    if run.returncode:
        sys.exit(Path(submit.expand("error")).read_text())
