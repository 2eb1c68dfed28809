"""Hazards 2, 3 and 5: many runners at once, another environment in the same place, a holder that hangs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.faults import FULL, count, wait_for
from tests.support.handmade import plain
from tests.support.runner import Runner, without


def test_another_environment_in_the_same_directory_is_never_taken_for_the_right_one(
    run: Runner, tmp_path: Path
) -> None:
    """Hazard 2: A then B into one directory, as two files and as one file that is replaced."""
    packages = []
    for letter in "ab":
        made = plain()
        made.files["bin/which-one"] = f"#!/bin/sh\necho {letter}\n"
        packages.append(tmp_path / f"{letter}.tar.gz")
        made.write(packages[-1])
    same = tmp_path / "same.tar.gz"
    for number in range(count(5, 50)):
        directory = run.cwd / f"env{number // 10}"
        for package in packages if number % 2 else reversed(packages):
            assert run("-e", package, "-u", directory, "which-one").ok().out == f"{package.name[0]}\n"
            same.unlink(missing_ok=True)
            os.link(package, same)
            assert run("-e", same, "-u", directory, "which-one").ok().out == f"{package.name[0]}\n"
            assert run("-e", same, "which-one").ok().out == f"{package.name[0]}\n"


@pytest.mark.parametrize("locks", [True, False])
def test_many_at_once_unpack_a_package_that_unpacks_itself_once(
    run: Runner, real: Path, tmp_path: Path, locks: bool
) -> None:
    """Hazard 3: with locks exactly one unpacks; without any, every environment is whole all the same."""
    path = without(tmp_path / "bin", *([] if locks else ["flock", "ln"]))
    if not locks:
        link = '#!/bin/sh\nfor last; do :; done\n[ -e "$last" ] || [ -L "$last" ] || /bin/ln -s x "$last.$$"\n'
        (Path(path) / "ln").write_text(link)
        (Path(path) / "ln").chmod(0o755)
    number = count(20, 100) if locks else count(4, 100)
    env = {"PATH": path}
    started = [run.start("-d", "-e", real, "python3", "-c", "print(6*7)", env=env) for _ in range(number)]
    ends = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * number, b"".join(err for _, err in ends)[-3000:]
    assert {out for out, _ in ends} == {b"42\n"}
    unpacked = sum(err.count(b"unpacking") for _, err in ends)
    assert unpacked == 1 if locks else unpacked >= 1
    assert len(run.unpacked()) == 1
    assert run.leftovers() == []


def test_a_holder_that_is_stopped_is_an_error_at_the_limit_and_killed_the_waiter_goes_on(
    run: Runner, tmp_path: Path
) -> None:
    """Hazard 5. Only the full run looks at the clock: a shared machine keeps no time."""
    package = tmp_path / "env.tar.gz"
    plain().write(package)
    slow, pids = Path(without(tmp_path / "slow", "gzip")), tmp_path / "pids"
    (slow / "gzip").write_text('#!/bin/sh\nsleep 600 & echo $! >>"$SLOW"; wait\n')
    (slow / "gzip").chmod(0o755)
    holder = run.start("-e", package, env={"PATH": str(slow), "SLOW": str(pids)}, start_new_session=True)
    try:
        wait_for(pids.exists)
        os.killpg(holder.pid, signal.SIGSTOP)
        began = time.monotonic()
        run("-e", package, "-w", "2", "say").refused(".lock.", "--wait-for-lock")
        took = time.monotonic() - began
        assert took > 1
        assert took < 3 or not FULL
        waiter = run.start("-e", package, "say", "x")
        time.sleep(0.3)
        assert waiter.poll() is None
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
    began = time.monotonic()
    assert waiter.communicate(timeout=30)[0] == b"x\n"
    assert time.monotonic() - began < 1.5 or not FULL
    holder.communicate()
    assert run.leftovers() == []
