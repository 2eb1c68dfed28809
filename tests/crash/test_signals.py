"""Hazard 16: signals, exit status, orphans, terminals. There is no runner left that could get them wrong."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import time
import uuid
from pathlib import Path

import pytest

from tests.support.faults import count, processes_with, wait_for
from tests.support.handmade import plain
from tests.support.runner import Runner

NAMES = ["INT", "TERM", "HUP", "QUIT", "USR1"]
COUNTING = """
import os, select, signal, sys
def count(number, frame):
    os.write(1, b"%d %d\\n" % (number, os.getpid()))
for name in sys.argv[1:]:
    signal.signal(getattr(signal, "SIG" + name), count)
os.write(1, b"ready %d\\n" % os.getpid())
# A signal just before a read that blocks would only be seen after it.
while not select.select([0], [], [], 0.05)[0] or os.read(0, 1):
    pass
"""


@pytest.fixture
def package(run: Runner, tmp_path: Path) -> Path:
    """Return a package that is in the store already."""
    path = tmp_path / "env.tar.gz"
    plain().write(path)
    run("-e", path).ok()
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("whom", ["process", "group"])
def test_each_signal_arrives_once_and_at_the_process_that_was_started(
    run: Runner, package: Path, name: str, whom: str
) -> None:
    process = run.start(
        *("-e", package, sys.executable, "-c", COUNTING, *NAMES), stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"ready %d\n" % process.pid
    number = getattr(signal, f"SIG{name}")
    times = count(3, 20)
    for _ in range(times):
        (os.kill if whom == "process" else os.killpg)(process.pid, number)
        assert process.stdout.readline() == b"%d %d\n" % (number, process.pid)
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(timeout=20) == 0


def test_every_exit_status_is_the_commands(run: Runner, package: Path) -> None:
    for status in range(0, 256, count(17, 1)):
        assert run("-e", package, "sh", "-c", f"exit {status}").status == status


def test_every_deadly_signal_is_the_end_as_the_caller_would_see_it_without_a_runner(run: Runner, package: Path) -> None:
    deadly = [signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGUSR1, signal.SIGPIPE, signal.SIGTERM]
    deadly += [signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV, signal.SIGXCPU, signal.SIGUSR2, signal.SIGALRM]
    for number in deadly:
        command = ["sh", "-c", f"ulimit -c 0; kill -{number.value} $$"]
        assert run("-e", package, *command).status == -number.value
        through = run("-e", package, "sh", "-c", '"$@"; exit $?', "sh", *command)
        assert through.status == 128 + number.value


@pytest.mark.parametrize("state", ["warm", "cold"])
def test_who_is_killed_leaves_no_orphans(run: Runner, package: Path, real: Path, state: str) -> None:
    """200 runners, each killed as batch systems do it: while the command runs, and while the package is unpacked."""
    marker = f"PONCHO_TEST_MARKER={uuid.uuid4()}"
    env = dict([marker.split("=")])
    used = package if state == "warm" else real
    for number in range(count(8, 100)):
        if state == "cold":
            env["PONCHO_STORE"] = str(run.directory / f"store{number}")
        process = run.start("-e", used, "sleep", "600", env=env, start_new_session=True)
        time.sleep(0.01 if state == "warm" else 0.03 * (number % 8))
        process.terminate()
        assert process.wait(timeout=20) == -signal.SIGTERM
        process.communicate()
        wait_for(lambda: not processes_with(marker), 3)
        if state == "cold":
            store = Path(env["PONCHO_STORE"])
            assert not [path for path in store.glob("work.*") if path.is_dir()], number


def test_a_killed_runner_does_not_unpack_on_in_the_background(run: Runner, real: Path) -> None:
    """SIGKILL, to the first process alone: what it started notices within a moment that nobody waits."""
    marker = f"PONCHO_TEST_MARKER={uuid.uuid4()}"
    for number in range(count(3, 30)):
        env = dict([marker.split("=")]) | {"PONCHO_STORE": str(run.directory / f"store{number}")}
        process = run.start("-e", real, "sleep", "600", env=env, start_new_session=True)
        time.sleep(0.02 * (number % 10))
        process.kill()
        process.communicate()
        wait_for(lambda: not processes_with(marker), 10)


def test_a_terminal_is_the_commands_with_its_job_control(run: Runner, package: Path, real: Path) -> None:
    for used in (package, real):
        code = (
            "import os, sys; print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty(),"
            " os.tcgetpgrp(0) == os.getpgrp(), os.getsid(0) == os.getpid())"
        )
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(run.cwd)
            command = run.command("-e", used, sys.executable, "-c", code)
            os.execve(command[0], command, run.environment())
        said = b""
        try:
            while part := os.read(terminal, 1000):
                said += part
        except OSError:
            pass  # the other end is closed
        assert os.waitpid(pid, 0)[1] == 0
        assert said.split() == [b"True"] * 5
        os.close(terminal)


def test_control_c_at_a_terminal_ends_command_and_runner(run: Runner, package: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(run.cwd)
        command = run.command("-e", package, "sh", "-c", "echo ready; exec sleep 60")
        os.execve(command[0], command, run.environment())
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 1000)
    wait_for(lambda: os.tcgetpgrp(terminal) == pid)
    os.write(terminal, termios.tcgetattr(terminal)[6][termios.VINTR])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGINT
    os.close(terminal)
