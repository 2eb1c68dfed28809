"""Parsl: executors set up for a package, and real ones run: workers, a provider, loopback."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from poncho.errors import PackageError, UsageError
from tests.support.cli import CHECKOUT
from tests.support.engines import AREA, ARGUMENTS, FUNCTION, engine_package, run_program

pytest.importorskip("parsl", reason="parsl is not installed: it is in the dependency group 'test'")
from parsl.executors import HighThroughputExecutor, MPIExecutor, ThreadPoolExecutor
from parsl.launchers import SimpleLauncher, SrunLauncher
from parsl.providers import (
    CondorProvider,
    GridEngineProvider,
    LocalProvider,
    LSFProvider,
    PBSProProvider,
    SlurmProvider,
    TorqueProvider,
)

from poncho.integrations.parsl import PackagedApps, in_package

pytestmark = [pytest.mark.network]

HEAD = (
    f"""
import json, os, sys
sys.path.append({str(CHECKOUT)!r})
from pathlib import Path
import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import CondorProvider, LocalProvider
from poncho.integrations.parsl import PackagedApps, in_package

def executor(label="htex", provider=None):
    return HighThroughputExecutor(label=label, address="127.0.0.1", max_workers_per_node=1,
                                  provider=provider or LocalProvider(init_blocks=1, max_blocks=1))

@parsl.python_app"""
    + FUNCTION
    + """
@parsl.python_app
def fails(energy):
    raise ValueError(f"no muon of {energy} GeV")

def answers(*executors):
    with parsl.load(Config(executors=list(executors))):
        try:
            fails(5).result(timeout=120)
        except ValueError as error:
            said = str(error)
        return [area("""
    + ARGUMENTS
    + """).result(timeout=120), said]
"""
)

PACKED = (
    HEAD
    + """
@parsl.python_app
def total(values):
    import numpy, own_module
    return int(numpy.sum(own_module.doubled(values))), numpy.__file__

builds = []
def reporter(event):
    if (event.step, event.kind) == ("pack", "start"):
        builds.append(event.message)

first = in_package(executor(), pack=True, apps=[total], reporter=reporter)
again = in_package(executor(), pack=True, apps=[total], reporter=reporter)
assert first.launch_cmd == again.launch_cmd
with parsl.load(Config(executors=[first])):
    answer = [*total([20, 1]).result(timeout=120), len(builds)]
Path("answer.json").write_text(json.dumps(answer))
"""
)

SPEC = (
    HEAD
    + """
ready = in_package(executor(), {"pip": ["uncertainties"]}, stage_to="nodes see {this} place", store=os.environ["PONCHO_STORE"])
Path("answer.json").write_text(json.dumps(answers(ready)))
"""
)

CARRIED = (
    HEAD
    + """
provider = CondorProvider(init_blocks=1, max_blocks=1)
ready = in_package(executor(provider=provider), sys.argv[1])
assert provider.transfer_input_files == [], "the caller's provider was changed"
Path("answer.json").write_text(json.dumps(answers(ready)))
"""
)

PER_APP = (
    HEAD
    + """
apps = PackagedApps(package=sys.argv[1])

@apps.python_app"""
    + FUNCTION
    + """
@apps.python_app(package={"pip": ["toolz"]})
def inside():
    import importlib.util, sys
    return [name for name in ("toolz", "uncertainties", "parsl") if importlib.util.find_spec(name)], sys.prefix

@apps.bash_app
def where(stdout="where.txt"):
    return "command -v python"

executors = apps.executors(executor)
with parsl.load(Config(executors=executors)):
    futures = [area("""
    + ARGUMENTS
    + """), inside(), where()]
    results = [future.result(timeout=120) for future in futures]
Path("answer.json").write_text(json.dumps([len(executors), *results[:2], Path("where.txt").read_text().strip()]))
"""
)

# What HTCondor does with a job, on this machine: the files into a scratch directory, the program started there.
SUBMIT = """#!/bin/sh
scratch=$(mktemp -d "$CONDOR_SCRATCH/job.XXXXXX")
value() { sed -n "s/^$1 *= *//p" "$2"; }
value transfer_input_files "$1" | tr , '\\n' | while read -r file; do cp -R "$file" "$scratch/"; done
cd "$scratch" || exit 1
_CONDOR_SCRATCH_DIR=$scratch setsid /bin/bash "$(value arguments "$1")" >out 2>err </dev/null &
echo $! >"$CONDOR_SCRATCH/pid"
echo "Submitting job(s)."
echo "1 job(s) submitted to cluster 7."
"""


@pytest.fixture(scope="module")
def package(shared_directory: Path) -> Path:
    return engine_package(shared_directory, "parsl")


def htex(**options: Any) -> HighThroughputExecutor:
    return HighThroughputExecutor(address="127.0.0.1", **options)


@pytest.mark.parametrize(
    "provider",
    [
        lambda: LocalProvider(),
        lambda: SlurmProvider(nodes_per_block=3, launcher=SrunLauncher()),
        lambda: PBSProProvider(),
        lambda: TorqueProvider(),
        lambda: LSFProvider(),
        lambda: GridEngineProvider(),
    ],
    ids=["local", "slurm", "pbspro", "torque", "lsf", "gridengine"],
)
def test_with_providers_of_shared_disks_the_runner_starts_the_workers_on_each_node(provider: Any, package: Path):
    plain, given = htex().launch_cmd, provider()
    executor = htex(provider=given)
    assert in_package(executor, package) is executor
    assert executor.launch_cmd.endswith(f"poncho_package_run -e {package} -- {plain}")
    assert executor.provider is given


def test_condor_carries_package_and_runner(package: Path):
    given = CondorProvider(transfer_input_files=["cuts.json"])
    executor = in_package(htex(provider=given), package, store="/scratch/poncho")
    assert executor.launch_cmd.startswith(f"./poncho_package_run -e {package.name} -- ")
    names = [Path(path).name for path in executor.provider.transfer_input_files]
    assert names == ["cuts.json", "poncho_package_run", package.name]
    assert "PONCHO_STORE=/scratch/poncho" in executor.provider.worker_init
    assert given.transfer_input_files == ["cuts.json"]
    shared = in_package(htex(provider=given), package, staging="shared")
    assert str(package) in shared.launch_cmd


def test_the_mpi_executor_is_a_high_throughput_executor(package: Path):
    executor = MPIExecutor(address="127.0.0.1", provider=LocalProvider(launcher=SimpleLauncher()))
    assert "poncho_package_run" in in_package(executor, package).launch_cmd


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no package"),
        ({"package": "x", "pack": True}, "exclude each other"),
        ({"package": "x", "apps": [print]}, "apps are for pack=True"),
        ({"pack": True}, "found no apps"),
        ({"package": "x", "staging": "carrier pigeon"}, "unknown"),
        ({"package": "x", "staging": "transfer"}, "LocalProvider carries no files"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_built(options: dict[str, Any], words: str):
    executor = htex()
    before = executor.launch_cmd
    with pytest.raises(UsageError, match=words) as caught:
        in_package(executor, **options)
    assert caught.value.hint
    assert executor.launch_cmd == before


def test_one_directory_is_that_directory_and_not_its_letters(package: Path):
    executor = in_package(HighThroughputExecutor(), package, python_path="/own modules")
    assert "PYTHONPATH=/own modules'" in executor.launch_cmd


def test_an_executor_gets_one_package_and_only_one_with_workers(package: Path):
    executor = in_package(htex(), package)
    with pytest.raises(UsageError, match="already"):
        in_package(executor, package)
    with pytest.raises(UsageError, match="ThreadPoolExecutor"):
        in_package(ThreadPoolExecutor(), package)


def test_a_package_without_parsl_is_refused(shared_directory: Path):
    with pytest.raises(PackageError, match="parsl is missing"):
        in_package(htex(), engine_package(shared_directory, "cloudpickle"))


def test_an_app_that_names_no_package_is_refused():
    with pytest.raises(UsageError, match="names no package"):
        PackagedApps().python_app(lambda: 1)


@pytest.mark.slow
def test_apps_run_in_a_package_made_of_their_own_imports_once(tmp_path: Path):
    (tmp_path / "own_module.py").write_text("def doubled(values):\n    return [2 * value for value in values]\n")
    store = tmp_path / "store"
    total, numpy, builds = run_program(PACKED, tmp_path, env={"PONCHO_STORE": store})
    assert total == 42
    assert Path(numpy).is_relative_to(store)
    assert builds <= 1, "nothing changed, and it was built again"


@pytest.mark.slow
def test_workers_run_in_a_package_built_from_a_spec_and_exceptions_come_back(tmp_path: Path):
    store = tmp_path / "store"
    product, said = run_program(SPEC, tmp_path, env={"PONCHO_STORE": store})
    assert product[:2] == AREA
    assert Path(product[2]).is_relative_to(store)
    assert said == "no muon of 5 GeV"
    assert (tmp_path / "nodes see {this} place" / "poncho_package_run").stat().st_mode & 0o111


@pytest.mark.slow
def test_a_package_that_condor_carries_is_unpacked_in_the_job_s_scratch_directory(package: Path, tmp_path: Path):
    commands, scratch = tmp_path / "commands", tmp_path / "scratch"
    commands.mkdir(), scratch.mkdir()
    texts = {
        "condor_submit": SUBMIT,
        "condor_q": "#!/bin/sh\necho 7.0 2\n",
        "condor_rm": '#!/bin/sh\nkill -- "-$(cat "$CONDOR_SCRATCH/pid")" 2>/dev/null || true\n',
    }
    for name, text in texts.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    path = f"{commands}:{Path(sys.executable).parent}:/usr/bin:/bin"
    answer = run_program(
        CARRIED, tmp_path, package, env={"PATH": path, "CONDOR_SCRATCH": scratch, "PONCHO_STORE": None}
    )
    assert answer[0][:2] == AREA
    assert Path(answer[0][2]).is_relative_to(scratch)


@pytest.mark.slow
def test_each_app_runs_in_the_package_it_names(package: Path, tmp_path: Path):
    store = tmp_path / "store"
    number, product, inside, where = run_program(PER_APP, tmp_path, package, env={"PONCHO_STORE": store})
    assert number == 2, "apps with the same package share an executor"
    assert product[:2] == AREA
    assert inside[0] == ["toolz", "parsl"]
    assert Path(inside[1]) != Path(product[2])
    assert where == f"{product[2]}/bin/python"


CCTOOLS = (
    HEAD
    + """
from parsl.executors import WorkQueueExecutor
from parsl.executors.taskvine import TaskVineExecutor, TaskVineManagerConfig

Path("password").write_text(os.urandom(16).hex())
if sys.argv[1] == "work_queue":
    plain = WorkQueueExecutor(port=0, address="127.0.0.1", project_password_file=os.path.abspath("password"))
else:
    config = TaskVineManagerConfig(port=int(sys.argv[3]), address="127.0.0.1", project_password_file=os.path.abspath("password"))
    plain = TaskVineExecutor(worker_launch_method="provider", manager_config=config)
if __name__ == "__main__":
    Path("answer.json").write_text(json.dumps(answers(in_package(plain, sys.argv[2]))))
"""
)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "worker"), [("work_queue", "work_queue_worker"), ("taskvine", "vine_worker")])
def test_executors_of_cctools_run_in_a_package(engine: str, worker: str, package: Path, tmp_path: Path):
    found = importlib.util.find_spec("ndcctools")
    if shutil.which(worker) is None or found is None or not found.submodule_search_locations:
        pytest.skip(f"cctools is not installed: no {worker} on PATH or no ndcctools in this interpreter")
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    path = {
        "PYTHONPATH": str(Path(found.submodule_search_locations[0]).parent),
        "CATALOG_HOST": "127.0.0.1",
        "CATALOG_PORT": "9",
    }
    product, said = run_program(CCTOOLS, tmp_path, engine, package, str(port), env=path)
    assert product[:2] == AREA
    assert product[2] != sys.prefix
    assert "no muon of 5 GeV" in said
