"""Work Queue and TaskVine, where cctools is installed: real managers, real workers, our package as the tasks' environment."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.support.engines import AREA, ARGUMENTS, FUNCTION, engine_package, run_program

pytestmark = [pytest.mark.slow, pytest.mark.network]

# One worker with two cores: its first two tasks need the environment at the same time. The worker's PATH has no Python of ours.
# No catalogue is told. The managers listen on every interface, so they want a password.
PROGRAM = (
    """
import json, os, subprocess, sys
from pathlib import Path
"""
    + FUNCTION
    + f"""
engine, package = sys.argv[1:]
secret = Path("password")
secret.write_text(os.urandom(16).hex())
if engine == "work_queue":
    import ndcctools.work_queue as work_queue
    manager = work_queue.WorkQueue(port=0)
    manager.specify_password_file(str(secret))
else:
    import ndcctools.taskvine as taskvine
    manager = taskvine.Manager(port=0)
    manager.set_password_file(str(secret))
    environment = manager.declare_poncho(package, cache=True)
for _ in range(4):
    if engine == "work_queue":
        task = work_queue.PythonTask(area, {ARGUMENTS})
        task.specify_environment(package)
        task.specify_cores(1), task.specify_memory(200), task.specify_disk(500)
    else:
        task = taskvine.PythonTask(area, {ARGUMENTS})
        task.add_environment(environment)
        task.set_cores(1), task.set_memory(200), task.set_disk(500)
    manager.submit(task)
scratch = Path("scratch")
scratch.mkdir()
worker = subprocess.Popen(
    [{{"work_queue": "work_queue_worker", "taskvine": "vine_worker"}}[engine], "--password", secret, "--timeout", "20",
     "--cores", "2", "--memory", "2000", "--disk", "4000", "--workdir", scratch, "localhost", str(manager.port)],
    stdout=subprocess.DEVNULL,
    env={{"PATH": os.path.dirname(os.environ["WORKER"]) + ":/usr/bin:/bin", "HOME": os.environ["HOME"], "TMPDIR": str(scratch)}},
)
answers = []
try:
    while not manager.empty():
        task = manager.wait(5)
        if task:
            answers.append(task.output if isinstance(task.output, tuple) else [str(task.output), task.std_output])
finally:
    worker.terminate()
    worker.wait(30)
Path("answer.json").write_text(json.dumps(answers))
"""
)


@pytest.mark.parametrize(("engine", "worker"), [("work_queue", "work_queue_worker"), ("taskvine", "vine_worker")])
def test_python_tasks_run_inside_the_package(engine: str, worker: str, shared_directory: Path, tmp_path: Path):
    command = shutil.which(worker)
    if command is None or importlib.util.find_spec("ndcctools") is None:
        pytest.skip(
            f"cctools is not installed: no {worker} on PATH or no ndcctools in this interpreter (PyPI has neither)"
        )
    found = importlib.util.find_spec(f"ndcctools.{engine}")
    assert found is not None
    assert found.origin is not None
    parts = {"work_queue": 2, "taskvine": 3}[engine]
    answers = run_program(
        PROGRAM,
        tmp_path,
        engine,
        engine_package(shared_directory, "cloudpickle"),
        env={
            "PYTHONPATH": Path(*Path(found.origin).parts[:-parts]),
            "WORKER": command,
            "CATALOG_HOST": "127.0.0.1",
            "CATALOG_PORT": "9",
        },
    )
    assert [answer[:2] for answer in answers] == [AREA] * 4
    assert all(Path(answer[2]).is_relative_to(tmp_path / "scratch") for answer in answers)
