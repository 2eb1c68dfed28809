"""The same through a real TaskVine manager and worker, where cctools is installed (its Python modules and programs)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ndcctools.taskvine", reason="cctools is not installed here", exc_type=ImportError)
if shutil.which("vine_worker") is None:
    pytest.skip("vine_worker is not on PATH", allow_module_level=True)

MANAGER = """
import os, signal, subprocess, sys
import poncho.compat
poncho.compat.stand_in()
import ndcctools.taskvine as vine
from ndcctools.poncho import package_serverize
assert package_serverize.__name__.startswith("poncho."), package_serverize

def base(x):
    return {"base": x}

def add(x):
    from ndcctools.taskvine.utils import load_variable_from_library
    return load_variable_from_library("base") + x

manager = vine.Manager(port=0)
library = manager.create_library_from_functions(
    "sums", add, add_env=False, exec_mode=sys.argv[1], library_context_info=[base, [40], {}]
)
library.set_cores(1)
library.set_function_slots(1)
manager.install_library(library)
for number in range(5):
    manager.submit(vine.FunctionCall("sums", "add", number))
with open("worker.log", "wb") as log:
    command = ["vine_worker", "--cores", "1", "-t", "30", "-s", ".", "localhost", str(manager.port)]
    worker = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
results = []
try:
    while not manager.empty():
        task = manager.wait(5)
        if task:
            results.append(task.output)
finally:
    # The worker has a process for transfers, which would outlive it.
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
print(sorted(results))
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fork", "direct"])
def test_function_calls_come_back_from_a_real_worker(tmp_path: Path, mode: str) -> None:
    (tmp_path / "manager.py").write_text(MANAGER)
    # Managers report to a catalogue server: nobody listens there.
    env = {**os.environ, "CATALOG_HOST": "127.0.0.1", "CATALOG_PORT": "9", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "manager.py", mode],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[40, 41, 42, 43, 44]" in done.stdout
