"""A tool of another maker is done when it ends, whatever it leaves behind, and that does not stay."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from poncho.engine.process import run_tool

pytestmark = pytest.mark.skipif(
    not hasattr(os, "waitid"), reason="this Python cannot wait for a process and leave it be"
)


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("status", [0, 3])
def test_a_child_that_holds_the_output_is_not_waited_for(listens: bool, status: int, tmp_path: Path) -> None:
    script = f'sleep 300 & echo $! >"$0.child"; echo out; echo err >&2; exit {status}'
    (tmp_path / "tool").write_text(script)
    heard: list[str] = []
    done = run_tool(
        ["sh", str(tmp_path / "tool")],
        env=dict(os.environ),
        step="try it",
        check=False,
        listener=heard.append if listens else None,
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "out\n", "err\n")
    assert heard == (["err"] if listens else [])
    child = int((tmp_path / "tool.child").read_text())
    deadline = time.monotonic() + 20
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_a_tool_says_through_a_child_of_it_is_not_lost() -> None:
    argv = ["bash", "-c", "exec > >(sleep 0.2; sed s/a/b/); echo aaa"]
    assert run_tool(argv, env=dict(os.environ), step="say something").stdout == "baa\n"
