"""The example of README's first command: the whole way, in a virtual environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, environment


@pytest.mark.slow
@pytest.mark.network
def test_the_dimuon_example_goes_from_script_to_plot(tmp_path: Path):
    run = subprocess.run(
        ["sh", str(CHECKOUT / "examples" / "dimuon" / "run.sh"), str(tmp_path / "work")],
        env=environment({"PYTHON": sys.executable}),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "calibrated   mass 91.1" in run.stdout
    plot = (tmp_path / "work" / "dimuon.png").read_bytes()
    assert plot.startswith(b"\x89PNG")
    assert len(plot) > 20_000
    node = str(tmp_path / "work" / "node")
    for name in ("EVENTS", "CALIBRATION"):
        line = next(line for line in run.stdout.splitlines() if line.startswith(f"{name}="))
        assert line.startswith(f"{name}={node}/store/")
