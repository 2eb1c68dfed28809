"""Parsl: its own executors and its own packaging code, with the project's commands on PATH."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli import command_path
from tests.support.engines import AREA, ARGUMENTS, FUNCTION, PACKED_ONLY, engine_package, run_program

pytest.importorskip("parsl", reason="parsl is not installed: it is in the dependency group 'test'")
pytestmark = [pytest.mark.slow, pytest.mark.network]

HIGH_THROUGHPUT = (
    """
import json, sys
from pathlib import Path
import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

@parsl.python_app"""
    + FUNCTION
    + f"""
launch, worker_init = sys.argv[1:]
executor = HighThroughputExecutor(
    address="127.0.0.1",
    loopback_address="127.0.0.1",
    max_workers_per_node=2,
    provider=LocalProvider(init_blocks=1, max_blocks=1, worker_init=worker_init),
)
executor.launch_cmd = launch + executor.launch_cmd
with parsl.load(Config(executors=[executor])):
    answers = [future.result(timeout=120) for future in [area({ARGUMENTS}) for _ in range(4)]]
Path("answer.json").write_text(json.dumps(answers))
"""
)

# Not started, so it needs no Work Queue: what it does with an app before it submits a task.
PREPARE = (
    """
import json
from pathlib import Path
import parsl
from types import SimpleNamespace
from parsl.executors.workqueue.executor import WorkQueueExecutor

def prepare(app, *extra):
    return WorkQueueExecutor._prepare_package(SimpleNamespace(cached_envs={}), app.func, list(extra))

@parsl.python_app"""
    + FUNCTION
    + """
Path("answer.json").write_text(json.dumps([prepare(area), prepare(area), prepare(area, "toolz")]))
"""
)


@pytest.fixture(scope="module")
def package(shared_directory: Path) -> Path:
    return engine_package(shared_directory, "parsl")


@pytest.mark.parametrize("way", ["launch_cmd", "worker_init"])
def test_apps_of_the_high_throughput_executor_run_inside_the_package(way: str, package: Path, tmp_path: Path):
    inside = tmp_path / "inside"
    runner = command_path("poncho_package_run")
    words = {
        "launch_cmd": (f"{runner} -e {package} -- ", ""),
        "worker_init": ("", f"{runner} -e {package} -u {inside} && . {inside}/bin/activate"),
    }[way]
    answers = run_program(HIGH_THROUGHPUT, tmp_path, *words, env={"PONCHO_STORE": inside})
    assert [answer[:2] for answer in answers] == [AREA] * 4
    assert all(Path(answer[2]).is_relative_to(inside) for answer in answers)


def test_what_parsl_packs_for_an_app_holds_the_app_s_imports_and_parsl(tmp_path: Path):
    first, again, more = run_program(PREPARE, tmp_path, env={"TMPDIR": tmp_path})
    assert first == again, "two analyses of one function differ"
    assert first != more, "a package asked for makes no difference"
    runner = command_path("python_package_run")
    imports = f"import parsl, {PACKED_ONLY}"
    for packed, program in ((first, imports), (more, f"{imports}, toolz")):
        run = subprocess.run([runner, "-e", packed, "python3", "-c", program], check=False, cwd=tmp_path)
        assert run.returncode == 0
