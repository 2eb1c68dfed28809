"""``poncho submit``: what is written parses where it is meant to, runs each task once, and lets no odd name act."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, Finished, run_cli
from tests.support.realpackage import real_package

SYSTEMS = ("slurm", "htcondor", "lsf", "pbs")
SCRIPTS = {"slurm": "job.sbatch", "htcondor": "job.sub", "lsf": "job.bsub", "pbs": "job.pbs"}
ODD = [
    "a b",
    "it's",
    '"',
    "$HOME $(touch pwned)",
    "`touch pwned`",
    "",
    "-x",
    "two\nlines",
    "\\",
    "*",
    "#",
    "{index}{index}",
    "é",
]
EVERYTHING = (
    "--tasks",
    "50",
    "--jobs",
    "20",
    "--at-once",
    "5",
    "--memory",
    "1500M",
    "--time",
    "1-02:03:04",
    "--cpus",
    "4",
    "--gpus",
    "1",
)

# What the manuals list: bsub(1) of LSF 10.1, qsub(1B) of OpenPBS 23.
_LSF = (
    *(r'J "\w[\w.-]*(\[1-\d+\](%\d+)?)?"', r"n \d+", r'R "(span\[hosts=1\]|rusage\[(mem|tmp)=\d+MB\])"', r"o [\w.%-]+"),
    *(r'gpu "num=\d+"', r"M \d+MB", r"W \d+:\d\d", r'q "[^"]+"', r"P \S+"),
)
_PBS = (
    *(r"N [A-Za-z][\w.-]*", r"l select=1:ncpus=\d+(:mem=\d+mb)?(:ngpus=\d+)?", r"J 0-\d+(%\d+)?"),
    *(r"l walltime=\d\d+:\d\d:\d\d", r"q \S+", r"A \S+"),
)


@pytest.fixture
def here(tmp_path: Path, shared_directory: Path) -> Path:
    """Return a directory with a small package in it."""
    os.link(real_package(shared_directory), tmp_path / "env.tar.gz")
    return tmp_path


def submit(here: Path, system: str, *words: str, package: str = "env.tar.gz") -> Finished:
    return run_cli("poncho", "submit", system, "-e", package, *words, cwd=here)


def run_job(script: Path, here: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "PONCHO_STORE": str(here / "store"), **variables}
    return subprocess.run(["sh", str(script)], env=env, cwd=here, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_files_are_said_written_and_clean(here: Path, system: str) -> None:
    done = submit(here, system, *EVERYTHING, "--", "printf", "%s", "{index}").ok()
    directory = here / f"env-{system}"
    assert {path.name for path in directory.iterdir()} == {SCRIPTS[system], "task.sh", "poncho_package_run"}
    assert done.stdout.startswith(f"cd {shlex.quote(str(directory))} && ")
    assert "nothing is submitted yet" in done.stderr
    assert os.access(directory / "poncho_package_run", os.X_OK)
    scripts = [directory / "task.sh", *([] if system == "htcondor" else [directory / SCRIPTS[system]])]
    for script in scripts:
        subprocess.run(["sh", "-n", script], check=True)
        subprocess.run(["bash", "-n", script], check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", script], check=True)


@pytest.mark.parametrize(("system", "grammar"), [("lsf", _LSF), ("pbs", _PBS)], ids=["lsf", "pbs"])
def test_directives_follow_the_manual(here: Path, system: str, grammar: tuple[str, ...]) -> None:
    submit(here, system, *EVERYTHING, "--queue", "long", "--account", "hep.1", "--", "true").ok()
    lines = (here / f"env-{system}" / SCRIPTS[system]).read_text().splitlines()
    directives = [line for line in lines[1:] if re.match(r"#[A-Z]", line) and not line.startswith("# ")]
    assert len(directives) >= 6
    for line in directives:
        assert re.fullmatch(f"#(BSUB|PBS) -({'|'.join(grammar)})", line), line


def test_odd_words_reach_the_command_as_they_are(here: Path) -> None:
    odd = here / "a 'b' $(touch pwned);\"c\""
    odd.mkdir()
    package = "-e $(touch pwned)'.tar.gz"
    shutil.copy(here / "env.tar.gz", odd / package)
    done = submit(odd, "slurm", "--name", "odd", "--", "printf", "[%s]", *ODD, package=f"./{package}").ok()
    task = odd / "odd-slurm" / "task.sh"
    run = run_job(task, odd)
    assert (run.returncode, run.stdout) == (0, ""), "without a number it only unpacks"
    env = {"PATH": os.environ["PATH"], "PONCHO_STORE": str(here / "store")}
    run = subprocess.run(["sh", task, "7"], env=env, capture_output=True, text=True, check=True)
    assert run.stdout == "".join(f"[{word.replace('{index}', '7')}]" for word in ODD)
    cd = done.stdout.split(" && ")[0]
    where = subprocess.run(["sh", "-c", f"{cd} && pwd"], capture_output=True, text=True, check=True)
    assert where.stdout.rstrip("\n") == str(odd / "odd-slurm")
    assert not list(here.rglob("pwned"))


def test_jobs_share_the_tasks_and_the_last_failure_is_the_status(here: Path) -> None:
    submit(
        here,
        "slurm",
        "--tasks",
        "11",
        "--jobs",
        "3",
        "--",
        "sh",
        "-c",
        'echo "$1"; [ "$1" != 4 ] || exit 9',
        "sh",
        "{index}",
    ).ok()
    ran = []
    for job in range(3):
        run = run_job(here / "env-slurm/job.sbatch", here, SLURM_ARRAY_TASK_ID=str(job))
        ran += run.stdout.split()
        assert run.returncode == (9 if job == 1 else 0)
        assert ("task 4: exit status 9" in run.stderr) == (job == 1)
    assert sorted(map(int, ran)) == list(range(11))


@pytest.mark.parametrize(
    ("system", "variable", "first"),
    [("slurm", "SLURM_ARRAY_TASK_ID", 0), ("lsf", "LSB_JOBINDEX", 1), ("pbs", "PBS_ARRAY_INDEX", 0)],
)
def test_elements_of_an_array_are_counted_from_0_wherever_they_run(
    here: Path, system: str, variable: str, first: int
) -> None:
    submit(here, system, "--tasks", "3", "--", "sh", "-c", "echo {index}; exit {index}").ok()
    for task in range(3):
        run = run_job(here / f"env-{system}" / SCRIPTS[system], here, **{variable: str(task + first)})
        assert (run.returncode, run.stdout) == (task, f"{task}\n"), run.stderr


def test_where_the_store_is(here: Path) -> None:
    store = here / "node scratch"
    submit(here, "pbs", "--store", str(store), "--", "true").ok()
    run = run_job(here / "env-pbs/job.pbs", here, PONCHO_STORE="")
    assert run.returncode == 0, run.stderr
    assert [path.name for path in store.iterdir() if not path.name.startswith(".")]
    submit(here, "htcondor", "--output", "condor", "--", "true").ok()
    assert "PONCHO_STORE" not in (here / "condor/task.sh").read_text(), "the job's scratch directory is HTCondor's word"


def test_a_program_that_is_not_where_the_tasks_start_is_noted(here: Path) -> None:
    (here / "task.py").touch()
    for number, (command, noted) in enumerate(
        [("task.py", False), ("tsak.py", True), ("-V", False), ("/node/task.py", False), ("{index}.py", False)]
    ):
        said = submit(here, "htcondor", "--output", f"job{number}", "--", "python", command).ok().stderr
        assert (f"{command} is not in {here}, where the tasks start" in said) == noted


def test_what_is_off_is_said_and_nothing_is_written(here: Path) -> None:
    (here / "src").mkdir()
    (here / "src/task.py").touch()
    (here / "full").mkdir()
    (here / "full/file").touch()
    shutil.copy(here / "env.tar.gz", here / "a,b.tar.gz")
    wrong = {
        "no command": ("slurm", "--tasks", "2"),
        "--tasks: 0": ("slurm", "--tasks", "0", "--", "true"),
        "is no name": ("slurm", "--name", "a b", "--", "true"),
        "queue or an account": ("slurm", "--queue", "a\n#SBATCH --uid=0", "--", "true"),
        "not one line": ("slurm", "--directive=--mem=1\ntouch pwned", "--", "true"),
        "exclude each other": ("slurm", "--jobs", "2", "--nodes", "2", "--", "true"),
        "% or \\": ("slurm", "--output", "50%", "--", "true"),
        "--nodes is for slurm": ("lsf", "--nodes", "2", "--", "true"),
        "--disk": ("pbs", "--disk", "1G", "--", "true"),
        "has no queues": ("htcondor", "--queue", "long", "--", "true"),
        "beside the others": ("htcondor", "--", "python", "src/task.py"),
        "does not exist": ("htcondor", "--input", "nothing", "--", "true"),
        "is not absolute": ("slurm", "--store", "store", "--", "true"),
        "is not empty": ("slurm", "--output", "full", "--", "true"),
        "-e: a URL": ("slurm", "-e", "https://host/env.tar.gz", "--", "true"),
        "is no time": ("slurm", "--time", "soon", "--", "true"),
    }
    before = sorted(here.rglob("*"))
    for words, arguments in wrong.items():
        assert words in submit(here, *arguments).failed().stderr
    assert "cannot transfer" in submit(here, "htcondor", "--", "true", package="a,b.tar.gz").failed().stderr
    submit(here, "slurm", "--", "true", package="src/task.py").failed()
    assert sorted(here.rglob("*")) == before


def test_htcondor_s_own_parser_reads_the_submit_file(here: Path) -> None:
    htcondor = pytest.importorskip(
        "htcondor2", reason="htcondor is not installed: it is in the dependency group 'test'"
    )
    (here / "task.py").touch()
    (here / "a table").touch()
    odd = "env $(x) \"q'.tar.gz"
    shutil.copy(here / "env.tar.gz", here / odd)
    options = ("--name", "fit", "--input", "a table", "--directive", '+Project = "a b"')
    result = submit(here, "htcondor", *EVERYTHING, *options, "--json", "--", "python", "task.py", package=odd).ok()
    said = json.loads(result.stdout)
    assert said["inputs"] == [str(here / "a table"), str(here / "task.py")]
    text = (here / "fit-htcondor/job.sub").read_text()
    read = htcondor.Submit(text)
    assert read.getQArgs() == "20"
    expected = ["poncho_package_run", str(here / odd), str(here / "a table"), str(here / "task.py")]
    assert read.expand("transfer_input_files").split(", ") == expected
    values = {key: read.expand(key) for key in ("executable", "request_memory", "request_cpus", "allowed_job_duration")}
    assert values == {
        "executable": "task.sh",
        "request_memory": "1500 MB",
        "request_cpus": "4",
        "allowed_job_duration": str(26 * 3600 + 184),
    }
    assert htcondor.Submit(text.replace("$(Process)", "3")).expand("arguments") == "3 20"
    classad = pytest.importorskip("classad2")
    for status, leaves in ((125, False), (0, True), (1, True), (None, True)):
        ad = classad.ClassAd({"Leave": classad.ExprTree(read["retry_until"])})
        if status is not None:
            ad["ExitCode"] = status
        assert ad.eval("Leave") is leaves
    node = here / "node"
    node.mkdir()
    shutil.copy(here / "fit-htcondor/task.sh", node / "condor_exec.exe")
    for path in (*expected[1:], here / "fit-htcondor/poncho_package_run"):
        shutil.copy(path, node)
    env = {"PATH": "/usr/bin:/bin", "_CONDOR_SCRATCH_DIR": str(node)}
    run = subprocess.run(["./condor_exec.exe"], cwd=node, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert list(node.glob("poncho-*/*"))


@pytest.mark.slow
def test_slurm_s_own_parser_and_srun_take_the_job_over_nodes(here: Path) -> None:
    odd = here / "a $(touch pwned) 'b'"
    odd.mkdir()
    shutil.copy(here / "env.tar.gz", odd / "e v.tar.gz")
    everything = [word for word in EVERYTHING if word not in ("--gpus", "1")]
    submit(
        odd, "slurm", *everything, "--disk", "1G", "--cpus", "1", "--output", "all", "--", "true", package="e v.tar.gz"
    ).ok()
    words = ("--tasks", "7", "--nodes", "1", "--at-once", "3", "--name", "spread", "--directive=--comment='a b'")
    submit(odd, "slurm", *words, "--", "printf", "<%s>\\n", "{index}", package="e v.tar.gz").ok()
    program = "cd all && sbatch --test-only job.sbatch && cd ../spread-slurm && sbatch --wait job.sbatch"
    slurm = CHECKOUT / "examples/slurm/personal_slurm.sh"
    env = {
        **os.environ,
        "PONCHO_STORE": str(here / "store"),
        "PONCHO_PACKAGE_RUN_DEBUG": "yes",
        "PERSONAL_SLURM_CPUS": "4",
    }
    run = subprocess.run(
        ["sh", slurm, here / "logs", "sh", "-c", program], cwd=odd, env=env, capture_output=True, text=True, check=False
    )
    if run.returncode == 77:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    text = "".join(path.read_text() for path in (odd / "spread-slurm").glob("*.out"))
    assert sorted(re.findall(r"^<(\d)>$", text, re.MULTILINE)) == list("0123456")
    assert text.count("s  unpacking ") == 1
    assert not list(here.rglob("pwned"))
