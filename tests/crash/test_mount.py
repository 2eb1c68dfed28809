"""Runners killed while they mount an image: nothing torn is ever used, and nothing stays mounted for ever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import count, wait_for
from tests.support.images import can_mount, daemons, mounts, needs_tools, small_image, unmount_all
from tests.support.runner import Runner

pytestmark = [needs_tools, can_mount]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    yield small_image(tmp_path).path
    unmount_all(tmp_path)


@pytest.mark.parametrize("victim", ["group", "runner"])
def test_killed_at_any_time_the_next_run_is_right(run: Runner, image: Path, victim: str) -> None:
    began = time.monotonic()
    run("-e", image).ok()
    took = time.monotonic() - began
    dice = random.Random(5)
    for number in range(count(8, 100)):
        unmount_all(run.directory)
        if number % 2:
            subprocess.run(["rm", "-rf", *(run.store / name for name in run.unpacked())], check=True)
        process = run.start("-e", image, "say", "x", start_new_session=True)
        time.sleep(dice.uniform(0, took))
        if victim == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.communicate(timeout=30)
        done = run("-e", image, "tool").ok()
        root = Path(done.out.strip()).parent
        assert f"root={root}\n" in (root / "etc/settings.ini").read_text()
        assert (root / "poncho/image/etc/settings.ini").read_text() == (root / "etc/settings.ini").read_text()
    # A runner that lays out a new environment clears away what the killed ones left, their mounts too.
    wait_for(lambda: not [name for name in run.leftovers() if Path("/proc", name.split("+")[2]).exists()])
    unmount_all(run.store)
    subprocess.run(["rm", "-rf", *(run.store / name for name in run.unpacked())], check=True)
    run("-e", image).ok()
    assert run.leftovers() == []
    assert len(mounts(run.directory)) == 1


def test_when_the_job_is_killed_the_daemon_ends_by_itself(run: Runner, image: Path, tmp_path: Path) -> None:
    """A batch system that kills by process group does not reach it: it is alone, idle, and goes after its time."""
    quick = tmp_path / "quick"
    quick.write_text(run.script.read_text().replace("_pr_idle=60", "_pr_idle=1"))
    quick.chmod(0o755)
    job = subprocess.Popen(
        ["sh", "-c", f'"{quick}" -e "{image}" -- sh -c "echo up; exec sleep 60" & wait'],
        env=run.environment(),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert job.stdout is not None
    assert job.stdout.readline() == b"up\n"
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate(timeout=20)
    wait_for(lambda: not daemons(run.directory) and not mounts(run.directory))


def test_a_command_whose_daemon_is_killed_fails_and_the_next_does_not(run: Runner, image: Path) -> None:
    script = 'echo up; read x; cat "$CONDA_PREFIX/lib/plain.txt"'
    process = run.start("-e", image, "sh", "-c", script, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    for daemon in daemons(run.directory):
        os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: not daemons(run.directory))
    assert run("-e", image, "say", "healed").ok().out == "healed\n"
    process.communicate(b"\n", timeout=20)


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_signal_while_mounting_leaves_nothing(run: Runner, image: Path, tmp_path: Path, name: str) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cp").write_text('#!/bin/sh\n: >"$0.began"\nexec sleep 2\n')
    (tools / "cp").chmod(0o755)
    process = run.start("-e", image, "say", env={"PATH": f"{tools}:{os.environ['PATH']}"}, start_new_session=True)
    wait_for((tools / "cp.began").exists)
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.wait(timeout=20) == -getattr(signal, f"SIG{name}")
    wait_for(lambda: run.leftovers() == [])
    assert run.unpacked() == mounts(run.directory) == []
