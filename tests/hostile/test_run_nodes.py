"""Hazard 18: nodes where little may be written. The command runs, or one line says why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.faults import as_nobody, mounted
from tests.support.handmade import plain
from tests.support.runner import Runner


@dataclass
class Stranger:
    """The runner as another user runs it, in places that belong to somebody else. For root nothing is read-only."""

    base: Path
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, *args: object, cwd: Path | str = "/", **env: str) -> subprocess.CompletedProcess[str]:
        usual = {"PATH": os.defpath, "TMPDIR": str(self.base / "scratch"), "HOME": str(self.base / "home")}
        command = as_nobody(self.base / "poncho_package_run", *args)
        variables = {name: value for name, value in {**usual, **env}.items() if value}
        return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """Yield another user's runner: ``scratch`` is his, ``home`` and ``work`` he can only read."""
    as_nobody()
    base = Path(tempfile.mkdtemp(prefix="poncho-stranger-"))
    base.chmod(0o755)
    for name, mode in (("scratch", 0o1777), ("home", 0o555), ("work", 0o555)):
        (base / name).mkdir()
        (base / name).chmod(mode)
    shutil.copy(Runner(base / "unused").script, base / "poncho_package_run")
    plain().write(base / "work/env.tar.gz")
    (base / "work/env.tar.gz").chmod(0o444)
    yield Stranger(base)
    shutil.rmtree(base)


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert a refusal with one line and at most a hint."""
    lines = done.stderr.splitlines()
    assert done.returncode == 125, done
    assert lines[0].startswith("poncho_package_run: "), done.stderr
    assert len(lines) <= 2, done.stderr
    for word in words:
        assert word in done.stderr


def test_read_only_working_directory_home_and_package(stranger: Stranger) -> None:
    for _ in range(2):
        done = stranger("-e", "env.tar.gz", "sh", "-c", "pwd; tool", cwd=stranger.base / "work")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(str(stranger.base / "work"))
    assert os.listdir(stranger.base / "work") == ["env.tar.gz"]
    assert os.listdir(stranger.base / "home") == []


def test_a_home_that_is_not_there_and_no_variables_at_all(stranger: Stranger) -> None:
    done = stranger("-e", stranger.base / "work/env.tar.gz", "say", "x", HOME="/nowhere/at/all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")


def test_a_temporary_directory_that_cannot_be_written_is_passed_over(stranger: Stranger) -> None:
    """All three in one test: the store in /tmp is of this user, so two tests at once would delete each other's."""
    (stranger.base / "file").write_text("")
    store = Path(f"/tmp/poncho-{65534}")
    before = set(os.listdir(store)) if store.is_dir() else None
    for place in ("missing", "work", "file"):
        done = stranger("-e", stranger.base / "work/env.tar.gz", "say", "x", TMPDIR=str(stranger.base / place))
        assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr
        for name in set(os.listdir(store)) - (before or set()):
            path = store / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if before is None:
        store.rmdir()


def test_places_that_were_named_and_cannot_be_written_are_one_line(stranger: Stranger) -> None:
    package = stranger.base / "work/env.tar.gz"
    one_line(stranger("-e", package, "-u", stranger.base / "work/env", "say"), "--unpack-to")
    one_line(stranger("-e", package, "-u", stranger.base / "work", "say"), "--unpack-to")
    one_line(stranger("-e", package, "-u", package, "say"), "not a directory")
    one_line(stranger("-e", package, "say", PONCHO_STORE=str(stranger.base / "work/store")), "PONCHO_STORE")
    own = stranger.base / "scratch/own"
    subprocess.run(as_nobody("mkdir", "-m", "500", own), check=True)
    done = stranger("-e", package, "say", "x", PONCHO_STORE=str(own))
    assert done.returncode == 0 or done.stderr.count("\n") == 2, done


def test_a_package_or_directory_that_cannot_be_read_is_one_line(stranger: Stranger) -> None:
    hidden = stranger.base / "hidden.tar.gz"
    shutil.copy(stranger.base / "work/env.tar.gz", hidden)
    hidden.chmod(0o600)
    one_line(stranger("-e", hidden, "say"), "cannot be read")
    (stranger.base / "closed").mkdir(mode=0o700)
    one_line(stranger("-e", stranger.base / "closed/env.tar.gz", "say"))
    one_line(stranger("-e", stranger.base / "closed", "say"))


def test_an_environment_of_somebody_else_runs_and_is_left_as_it_is(stranger: Stranger) -> None:
    env = plain().unpack(stranger.base / "env")
    names = sorted(str(path) for path in env.rglob("*"))
    done = stranger("-e", env, "say", "x")
    assert (done.returncode, done.stdout) == (0, "x\n")
    assert done.stderr.startswith("poncho_package_run: warning: ")
    assert done.stderr.count("\n") == 1
    assert sorted(str(path) for path in env.rglob("*")) == names
    subprocess.run([stranger.base / "poncho_package_run", "-e", env], check=True, env={"PATH": os.defpath})
    assert stranger("-e", env, "say", "x").stderr == ""


@pytest.mark.parametrize("option", ["store", "directory"])
def test_scratch_that_is_mounted_noexec_or_read_only_is_one_line(
    run: Runner, real: Path, tmp_path: Path, option: str
) -> None:
    place = tmp_path / "scratch"
    for options, word in (("noexec,size=100m", "noexec"), ("ro,size=100m", "")):
        with mounted(place, options):
            more = ["-u", str(place / "env")] if option == "directory" else []
            env = {"PONCHO_STORE": str(place / "store")} if option == "store" else {}
            run("-e", real, *more, "true", env=env).refused(word, "hint:")


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o777])
def test_what_a_tight_umask_makes_is_whole_and_runs(run: Runner, real: Path, mask: int) -> None:
    for options in ([], ["-u", "env"]):
        done = run("-e", real, *options, "python3", "-c", "import os; print(os.umask(0))", umask=mask)
        assert done.ok().out == f"{mask}\n", "the command has the caller's umask"
    assert run("-e", real, "where").ok().out == f"{run.store / run.unpacked()[0]}\n"
