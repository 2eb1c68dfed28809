"""--no-store: an environment for one command, deleted when the last process that uses it has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.runner import Runner


def left(run: Runner) -> list[str]:
    """Return what lies in the store, after at most five seconds of waiting for it to be empty."""
    for _ in range(100):
        found = [name for name in os.listdir(run.store) if not name.startswith(".lock")]
        if not found:
            break
        time.sleep(0.05)
    return found


def test_it_goes_when_the_command_has_ended(run: Runner, package: Path) -> None:
    done = run("-e", package, "--no-store", "sh", "-c", "say hello; tool; cat; exit 7", input=b"piped\n")
    assert done.status == 7
    assert done.out.startswith("hello\n")
    assert done.out.endswith("piped\n")
    assert left(run) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
def test_it_goes_when_the_command_is_killed(run: Runner, package: Path, number: signal.Signals) -> None:
    task = run.start("-e", package, "--no-store", "sh", "-c", "echo ready; exec sleep 30", start_new_session=True)
    assert task.stdout is not None
    assert task.stdout.readline() == b"ready\n"
    os.killpg(task.pid, number)
    task.communicate(timeout=10)
    assert task.returncode == -number
    assert left(run) == []


def test_what_the_command_left_running_keeps_it(run: Runner, package: Path) -> None:
    task = run.start("-e", package, "--no-store", "sh", "-c", '(sleep 0.5; "$CONDA_PREFIX/bin/say" still) & echo first')
    assert task.stdout is not None
    assert task.stdout.readline() == b"first\n"
    assert task.wait(10) == 0
    assert task.stdout.readline() == b"still\n"
    assert left(run) == []


def test_the_command_has_no_child_that_it_did_not_start(run: Runner, package: Path) -> None:
    count = 'grep -l "^PPid:.*[^0-9]$$\\$" /proc/[0-9]*/status 2>/dev/null | grep -vc /self/'
    done = run("-e", package, "--no-store", "sh", "-c", f"x=$({count}); echo $x")
    ordinary = run("-e", package, "sh", "-c", f"x=$({count}); echo $x")
    assert done.ok().out == ordinary.ok().out


def test_a_failure_leaves_nothing(run: Runner, package: Path) -> None:
    package.write_bytes(package.read_bytes()[:3000])
    run("-e", package, "--no-store", "say").refused("truncated")
    assert left(run) == []


def test_it_excludes_a_directory(run: Runner, package: Path) -> None:
    run("-e", package, "--no-store", "-u", "x", "say").refused("exclude each other")


def test_many_at_once_do_not_meet(run: Runner, package: Path) -> None:
    tasks = [run.start("-e", package, "--no-store", "say", str(n)) for n in range(6)]
    assert [task.communicate(timeout=60)[0] for task in tasks] == [b"%d\n" % n for n in range(6)]
    assert left(run) == []


def test_another_run_does_not_sweep_it_away(run: Runner, package: Path) -> None:
    hold = run.start("-e", package, "--no-store", "sh", "-c", '(sleep 1; "$CONDA_PREFIX/bin/say" alive) & echo go')
    assert hold.stdout is not None
    assert hold.stdout.readline() == b"go\n"
    hold.wait(10)
    run("-e", package, "say", "x").ok()
    assert hold.stdout.readline() == b"alive\n"


def test_a_runner_that_is_killed_before_it_becomes_the_command_leaves_no_watcher(run: Runner, package: Path) -> None:
    """The last moment: the watcher is there, the command not yet."""
    if run.shell == "busybox":
        pytest.skip("busybox has a setsid of its own, which nothing on PATH replaces")
    tools = run.directory / "tools"
    tools.mkdir()
    (tools / "setsid").write_text(
        '#!/bin/sh\nkill -KILL "$VICTIM"\nwhile [ -d "/proc/$VICTIM" ]; do :; done\nexec "$@"\n'
    )
    (tools / "setsid").chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}"}
    argv = ["/bin/sh", "-c", 'VICTIM=$$; export VICTIM; exec "$@"', "sh"]
    argv += run.command("-e", package, "--no-store", "sleep", "30")
    done = subprocess.run(argv, env=run.environment(env), cwd=run.cwd, timeout=10, check=False)
    assert done.returncode == -signal.SIGKILL
    assert left(run) == []


def test_without_a_descriptor_for_it_nothing_is_left_behind(run: Runner, package: Path) -> None:
    argv = ["/bin/sh", "-c", 'exec "$@" 3<&0 4<&0 5<&0 6<&0 7<&0 8<&0 9<&0', "sh"]
    argv += run.command("-e", package, "--no-store", "say")
    done = subprocess.run(
        argv,
        env=run.environment(),
        cwd=run.cwd,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 125
    assert "descriptor" in done.stderr
    assert not run.store.exists() or left(run) == []
