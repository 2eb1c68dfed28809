"""The examples of Parsl and Dask: the whole way, in virtual environments of their own that have no numpy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, environment

pytestmark = [pytest.mark.slow, pytest.mark.network]


def run_example(name: str, work: Path) -> str:
    """Run an example; return what it printed."""
    run = subprocess.run(
        ["sh", str(CHECKOUT / "examples" / name / "run.sh"), str(work)],
        env=environment({"PYTHON": sys.executable}),
        capture_output=True,
        text=True,
        check=False,
        cwd=work.parent,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return run.stdout


def peaks(text: str) -> list[float]:
    """Return the masses that were fitted, in GeV."""
    return [float(found) for found in re.findall(r"Z peak +([0-9.]+)", text)]


def test_the_parsl_example_fits_the_z_in_packages_of_the_apps_imports(tmp_path: Path):
    printed = run_example("parsl", tmp_path / "work")
    first, second = peaks(printed)
    assert first == second == pytest.approx(91.19, abs=0.05)
    assert f"numpy was in    {tmp_path}/work/store/" in printed
    assert "pack:" not in printed.partition("3. Again")[2], "nothing changed, and it was built again"


def test_the_dask_example_brings_a_package_to_a_cluster_that_runs(tmp_path: Path):
    printed = run_example("dask", tmp_path / "work")
    assert peaks(printed) == [pytest.approx(91.19, abs=0.05)]
    assert "workers with numpy before: 0" in printed
    assert "workers with numpy after:  2" in printed
    assert f"prefix of the workers: {tmp_path}/work/store/" in printed
