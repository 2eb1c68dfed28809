"""What may happen to a runner: killed at any time, started many times at once, kept from a lock.

Samples; the full counts with PONCHO_TEST_FULL=1 (docs/robustness.md).
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.faults import count, wait_for
from tests.support.handmade import foreign, plain, tree
from tests.support.runner import Runner, without

COUNT = count(6, 50)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package that takes a while: many files, and some megabytes that do not compress."""
    made = plain()
    made.files |= {f"lib/many/{number}": f"{number}\n" for number in range(200)}
    made.files["lib/large"] = random.Random(1).randbytes(4_000_000)
    made.write(tmp_path / "env.tar.gz")
    return tmp_path / "env.tar.gz"


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """Return a PATH on which decompressing never ends, as on a disk that hangs."""
    path = Path(without(tmp_path / "slow", "gzip"))
    (path / "gzip").write_text('#!/bin/sh\nsleep 600 & echo $! >>"$SLOW"; wait\n')
    (path / "gzip").chmod(0o755)
    return str(path)


def expected(run: Runner, root: Path, reference: dict[str, tuple[int, bytes]]) -> None:
    """Assert that the environment is whole."""
    found = tree(root)
    assert {name: entry for name, entry in found.items() if not name.startswith("poncho/state")} == reference


@pytest.mark.parametrize("victim", ["group", "runner"])
@pytest.mark.parametrize("place", ["store", "directory"])
def test_killed_at_any_time_it_leaves_nothing_that_is_ever_accepted(
    run: Runner, package: Path, victim: str, place: str
) -> None:
    options = ["-u", "env"] if place == "directory" else []
    began = time.monotonic()
    run("-e", package, *options).ok()
    took = time.monotonic() - began
    root = run.cwd / "env" if options else run.store / run.unpacked()[0]
    whole = {name: entry for name, entry in tree(root).items() if not name.startswith("poncho/state")}
    dice = random.Random(7)
    for _ in range(COUNT):
        subprocess.run(["rm", "-rf", root], check=True)
        process = run.start("-e", package, *options, "say", "x", start_new_session=True)
        time.sleep(dice.uniform(0, took * 1.2))
        if victim == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.communicate(timeout=60)
        assert run("-e", package, *options, "say", "x").ok().out == "x\n"
        expected(run, root, whole)
    if place == "store":
        wait_for(lambda: run("-e", package).ok() and not _busy(run))
        subprocess.run(["rm", "-rf", root], check=True)
        run("-e", package).ok()
        assert run.leftovers() == []
    else:
        assert not (root / ".poncho").exists() or not list((root / ".poncho").glob("publishing"))


def _busy(run: Runner) -> bool:
    """Tell whether a child of a killed runner is still at work in the store."""
    for name in run.leftovers():
        pid = name.split("+")[2] if name.count("+") == 3 else "0"
        if Path(f"/proc/{pid}").exists():
            return True
    return False


@pytest.mark.parametrize("locks", ["flock", "links", "none"])
def test_many_at_once_all_succeed(run: Runner, tmp_path: Path, locks: str) -> None:
    """With a lock exactly one unpacks; without any, the rename decides, and every environment is whole."""
    plain().write(tmp_path / "env.tar.gz")
    hidden = {"flock": [], "links": ["flock"], "none": ["flock", "ln"]}[locks]
    path = without(tmp_path / "bin", *hidden)
    if locks == "none":
        (Path(path) / "ln").write_text(
            '#!/bin/sh\nfor last; do :; done\n[ -e "$last" ] || [ -L "$last" ] || /bin/ln -s x "$last.$$"\n'
        )
        (Path(path) / "ln").chmod(0o755)
    number = count(50, 100) if locks != "none" else count(10, 100)
    started = [run.start("-d", "-e", tmp_path / "env.tar.gz", "say", "x", env={"PATH": path}) for _ in range(number)]
    ends = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * number, b"".join(err for _, err in ends)
    assert {out for out, _ in ends} == {b"x\n"}
    unpacked = sum(err.count(b"unpacking") for _, err in ends)
    assert unpacked == 1 if locks != "none" else unpacked >= 1
    assert len(run.unpacked()) == 1
    assert run.leftovers() == []
    assert not (run.store / run.unpacked()[0] / "root").exists()


@pytest.mark.parametrize("place", ["store", "directory"])
def test_a_lock_that_is_held_is_an_error_at_the_limit_that_names_lock_and_option(
    run: Runner, tmp_path: Path, place: str
) -> None:
    digest = plain().write(tmp_path / "env.tar.gz")
    if place == "store":
        run.store.mkdir()
        lock, options = run.store / f".lock.{digest[:32]}", []
        lock.touch()
    else:
        lock, options = run.cwd / "env", ["-u", "env"]
        lock.mkdir()
    holder = os.open(lock, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        began = time.monotonic()
        run("-e", tmp_path / "env.tar.gz", *options, "-w", "1", "say").refused(str(lock), "--wait-for-lock")
        assert 0.5 < time.monotonic() - began < 10
        run("-e", tmp_path / "env.tar.gz", *options, "-w", "0", "say").refused(str(lock))
    finally:
        os.close(holder)
    assert run("-e", tmp_path / "env.tar.gz", *options, "say", "x").ok().out == "x\n"


@pytest.mark.parametrize("flock", [True, False])
def test_a_waiter_goes_on_when_the_holder_is_killed(run: Runner, tmp_path: Path, slow: str, flock: bool) -> None:
    package = tmp_path / "env.tar.gz"
    plain().write(package)
    if not flock:
        (Path(slow) / "flock").unlink()
    pids = tmp_path / "pids"
    env = {"PATH": slow, "SLOW": str(pids)}
    holder = run.start("-e", package, "say", env=env, start_new_session=True)
    wait_for(pids.exists)
    usual = {"PATH": without(tmp_path / "bin", *([] if flock else ["flock"]))}
    waiter = run.start("-d", "-e", package, "say", "x", env=usual)
    time.sleep(0.3)
    assert waiter.poll() is None
    began = time.monotonic()
    os.killpg(holder.pid, signal.SIGKILL)
    holder.communicate()
    out, _ = waiter.communicate(timeout=30)
    assert out == b"x\n"
    assert time.monotonic() - began < 10
    assert run.leftovers() == []


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
@pytest.mark.parametrize("place", ["store", "directory"])
def test_a_signal_while_unpacking_ends_it_at_once_and_leaves_nothing(
    run: Runner, tmp_path: Path, slow: str, name: str, place: str
) -> None:
    package = tmp_path / "env.tar.gz"
    plain().write(package)
    options = ["-u", "env"] if place == "directory" else []
    pids = tmp_path / "pids"
    process = run.start("-e", package, *options, "say", env={"PATH": slow, "SLOW": str(pids)}, start_new_session=True)
    wait_for(lambda: pids.exists() and pids.read_text().endswith("\n"))
    number = getattr(signal, f"SIG{name}")
    process.send_signal(number)
    # gzip stays, because the stand-in does not notice that nobody reads; so its pipes are not waited for.
    assert process.wait(timeout=10) == -number
    for pid in pids.read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    assert run.leftovers() == []
    if options:
        assert list((run.cwd / "env").iterdir()) == []


def test_a_tarball_of_others_is_unpacked_once_by_many(run: Runner, tmp_path: Path) -> None:
    foreign(tmp_path / "conda.tar.gz")
    started = [run.start("-d", "-e", tmp_path / "conda.tar.gz", "where") for _ in range(20)]
    ends = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * 20
    assert len({out for out, _ in ends}) == 1
    assert sum(err.count(b"unpacking") for _, err in ends) == 1


def test_fifty_processes_relocate_a_moved_directory_once(run: Runner) -> None:
    env = plain().unpack(run.cwd / "env")
    run("-e", env).ok()
    moved = env.rename(run.cwd / "moved")
    started = [run.start("-d", "-e", moved, "say", "x") for _ in range(50)]
    ends = [process.communicate(timeout=120) for process in started]
    assert {out for out, _ in ends} == {b"x\n"}
    assert sum(err.count(b"relocating") for _, err in ends) == 1


def test_killed_while_relocating_and_moved_back_it_is_relocated_again(run: Runner) -> None:
    env = plain().unpack(run.cwd / "env")
    run("-e", env).ok()
    whole = tree(env)
    dice = random.Random(3)
    for _ in range(COUNT // 3):
        moved = env.rename(run.cwd / "moved")
        process = run.start("-e", moved, start_new_session=True)
        time.sleep(dice.uniform(0, 0.06))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        moved.rename(env)
        assert run("-e", env, "say", "x").ok().out == "x\n"
        found = tree(env)
        assert {name: entry for name, entry in found.items() if name in whole and "state" not in name} == {
            name: entry for name, entry in whole.items() if "state" not in name
        }
