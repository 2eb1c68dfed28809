"""The examples of the batch systems and of cctools, as a reader runs them; they skip where their engine is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, command_path, environment

_FULL = pytest.mark.skipif(not os.environ.get("PONCHO_TEST_FULL"), reason="with PONCHO_TEST_FULL=1 only")


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("engine", "last"),
    [
        ("slurm", "50 tasks done, unpacked 1 time(s)"),
        pytest.param("htcondor", "20 tasks done", marks=_FULL),
        pytest.param("batch", "8 tasks done by each", marks=_FULL),
        ("work_queue", "20 tasks done; packages unpacked: 1"),
        ("taskvine", "20 tasks done"),
    ],
)
def test_the_example_runs(engine: str, last: str, tmp_path: Path) -> None:
    commands = command_path("poncho").parent
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        ["sh", str(CHECKOUT / "examples" / engine / "run.sh"), str(tmp_path / "work")],
        env={**environment({"PYTHON": sys.executable}), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=280,
    )
    if run.returncode == 77:
        pytest.skip(run.stderr.strip().splitlines()[-2])
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert last in run.stdout
