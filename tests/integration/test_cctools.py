"""Work Queue and TaskVine, where cctools is installed: real managers, workers and factories, our package as the environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, command_path
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
way, package = sys.argv[1:]
engine = "taskvine" if way in ("taskvine", "function_call", "vine_factory") else "work_queue"
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
if way == "taskvine":
    environment = manager.declare_poncho(package, cache=True)
if way == "function_call":
    import poncho.compat
    poncho.compat.stand_in()
    library = manager.create_library_from_functions("areas", area, poncho_env=package)
    library.set_cores(2), library.set_memory(500), library.set_disk(1000), library.set_function_slots(2)
    manager.install_library(library)
if way == "renamed":
    Path("task.py").write_text(
        "import json, sys\\n" + {FUNCTION!r} + "\\njson.dump(area({ARGUMENTS}), open('result', 'w'))\\n"
    )
for number in range(4):
    if way == "function_call":
        task = taskvine.FunctionCall("areas", "area", {ARGUMENTS})
    elif way == "renamed":
        # As Coffea does it: the runner is an input like any other, under a name of its own.
        task = work_queue.Task("./py_wrapper -e environment -u env_dir python task.py")
        task.specify_input_file(os.environ["RUNNER"], "py_wrapper", cache=True)
        task.specify_input_file(package, "environment", cache=True)
        task.specify_input_file("task.py", cache=True)
        task.specify_output_file("result." + str(number), "result", cache=False)
    else:
        task = (work_queue if engine == "work_queue" else taskvine).PythonTask(area, {ARGUMENTS})
    if way == "work_queue":
        task.specify_environment(package)
    if way == "taskvine":
        task.add_environment(environment)
    if engine == "work_queue":
        task.specify_cores(1), task.specify_memory(200), task.specify_disk(500)
    elif way != "function_call":
        task.set_cores(1), task.set_memory(200), task.set_disk(500)
    manager.submit(task)
scratch = Path("scratch")
scratch.mkdir()
resources = ["--timeout", "20", "--cores", "2", "--memory", "2000", "--disk", "4000"]
if way.endswith("factory"):
    # The worker itself runs inside the package, so its tasks do.
    command = [way, "-T", "local", "-w", "1", "-W", "1", "--poncho-env", package, "--scratch-dir", scratch]
else:
    command = [dict(work_queue="work_queue_worker", taskvine="vine_worker")[engine], "--workdir", scratch]
tools = os.path.dirname(os.environ["WORKER"])
if way.endswith("factory"):
    # It looks for the runner and the worker on PATH; of ours there must be nothing else.
    os.mkdir("tools")
    for path in (os.environ["RUNNER"], *(os.path.join(tools, name) for name in os.listdir(tools))):
        if os.path.basename(path)[:6] != "python" and not os.path.lexists(os.path.join("tools", os.path.basename(path))):
            os.symlink(os.path.realpath(path), os.path.join("tools", os.path.basename(path)))
    tools = os.path.abspath("tools")
worker = subprocess.Popen(
    [*command, "--password", secret, *resources, "localhost", str(manager.port)],
    stdout=subprocess.DEVNULL,
    start_new_session=True,
    env={{"PATH": tools + ":/usr/bin:/bin", "HOME": os.environ["HOME"], "TMPDIR": str(scratch.absolute()),
          "CATALOG_HOST": "127.0.0.1", "CATALOG_PORT": "9"}},
)
answers = []
try:
    while not manager.empty():
        task = manager.wait(5)
        if task:
            if way == "renamed":
                answers.append(task.std_output)
            else:
                answers.append(task.output if isinstance(task.output, tuple) else [str(task.output), task.std_output])
finally:
    worker.terminate()
    try:
        worker.wait(10)
    except subprocess.TimeoutExpired:
        # cctools' worker makes a process group of its task when that may run already (setpgid in the parent alone); then its kill
        # misses, and it waits for ever.
        os.killpg(worker.pid, 9)
if way == "renamed":
    answers = [json.loads(Path("result." + str(n)).read_text()) for n in range(4)]
Path("answer.json").write_text(json.dumps(answers))
"""
)


WAYS = {
    "work_queue": "work_queue_worker",
    "renamed": "work_queue_worker",
    "work_queue_factory": "work_queue_factory",
    "taskvine": "vine_worker",
    "function_call": "vine_worker",
    "vine_factory": "vine_factory",
}


@pytest.mark.parametrize("way", WAYS)
def test_tasks_run_inside_the_package(way: str, shared_directory: Path, tmp_path: Path):
    command = shutil.which(WAYS[way])
    if command is None or importlib.util.find_spec("ndcctools") is None:
        pytest.skip(
            f"cctools is not installed: no {WAYS[way]} on PATH or no ndcctools in this interpreter (PyPI has neither)"
        )
    engine = "work_queue" if way in ("work_queue", "renamed", "work_queue_factory") else "taskvine"
    found = importlib.util.find_spec(f"ndcctools.{engine}")
    assert found is not None
    assert found.origin is not None
    parts = {"work_queue": 2, "taskvine": 3}[engine]
    site = Path(*Path(found.origin).parts[:-parts])
    answers = run_program(
        PROGRAM,
        tmp_path,
        way,
        engine_package(shared_directory, "cloudpickle"),
        env={
            "PYTHONPATH": os.pathsep.join([str(site), str(CHECKOUT)]),
            "WORKER": command,
            "RUNNER": command_path("poncho_package_run"),
            "CATALOG_HOST": "127.0.0.1",
            "CATALOG_PORT": "9",
        },
    )
    assert [answer[:2] for answer in answers] == [AREA] * 4
    assert all(Path(answer[2]).is_relative_to(tmp_path / "scratch") for answer in answers)
