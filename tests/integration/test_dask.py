"""Dask: scheduler and client outside, worker inside the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import command_path
from tests.support.engines import AREA, ARGUMENTS, FUNCTION, engine_package, run_program

pytest.importorskip("distributed", reason="dask[distributed] is not installed: it is in the dependency group 'test'")
pytestmark = [pytest.mark.slow, pytest.mark.network]

CLIENT = (
    """
import json, os, subprocess, sys
from pathlib import Path
from distributed import Client, LocalCluster
"""
    + FUNCTION
    + f"""
if __name__ == "__main__":
    runner, package = sys.argv[1:]
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as cluster, Client(cluster) as client:
        command = [runner, "-e", package, "--", "dask", "worker", cluster.scheduler_address, "--nworkers", "1", "--no-dashboard"]
        worker = subprocess.Popen(command, env={{"PATH": "/usr/bin:/bin", "PONCHO_STORE": os.environ["PONCHO_STORE"]}})
        try:
            client.wait_for_workers(1, timeout=60)
            answer = client.submit(area, {ARGUMENTS}).result(60)
        finally:
            worker.terminate()
            status = worker.wait(60)
    Path("answer.json").write_text(json.dumps([answer, status]))
"""
)


def test_a_dask_worker_in_the_package_computes_what_the_client_cannot_and_stops_when_told(
    shared_directory: Path, tmp_path: Path
):
    package = engine_package(shared_directory, "distributed", "cloudpickle")
    store = tmp_path / "store"
    answer, status = run_program(
        CLIENT, tmp_path, command_path("poncho_package_run"), package, env={"PONCHO_STORE": store}
    )
    assert answer[:2] == AREA
    assert Path(answer[2]).is_relative_to(store)
    assert status == 0
