"""Hazards 1 and 4: processes that die in the middle of a system call, and locks that do not work."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.faults import count, strace
from tests.support.handmade import plain, tree
from tests.support.runner import Runner

# Between them, whatever changes a file system while a package is unpacked, checked, relocated and published.
CALLS = {
    "openat": 900,
    "write,pwrite64": 500,
    "rename,renameat,renameat2": 6,
    "mkdir,mkdirat": 160,
    "unlink,unlinkat,rmdir": 40,
    "symlink,symlinkat": 4,
    "close": 900,
    "chmod,fchmod,fchmodat,utimensat": 300,
    "fsync,fdatasync,read,pread64": 300,
    "execve,clone,vfork,wait4": 12,
}
HANDMADE, REAL = "unpacked by tar", "unpacks itself"


@pytest.mark.parametrize("place", ["store", "directory"])
@pytest.mark.parametrize("kind", [HANDMADE, REAL])
def test_killed_in_any_system_call_it_leaves_nothing_that_is_ever_accepted(
    run: Runner, real: Path, tmp_path: Path, kind: str, place: str
) -> None:
    """Hazard 1: 200 processes killed where they work on files; the next run is right each time."""
    package = real
    if kind == HANDMADE:
        package = tmp_path / "env.tar.gz"
        plain().write(package)
    options = ["-u", str(run.cwd / "env")] if place == "directory" else []
    log = tmp_path / "log"
    run("-e", package, *options).ok()
    root = run.cwd / "env" if options else run.store / run.unpacked()[0]
    whole = environment(root)
    dice = random.Random(f"{kind}{place}")
    wanted, killed, tried = count(3, 50), 0, 0
    while killed < wanted:
        calls = list(CALLS)[tried % len(CALLS)]
        tried += 1
        assert tried < 40 * wanted, "strace kills nobody"
        empty(run, root)
        # Few processes make many calls: most of the dice fall where everybody dies.
        at = 1 + int(CALLS[calls] ** dice.random())
        words = strace(log, "-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={at}")
        command = [*words, *run.command("-e", package, *options, "true")]
        subprocess.run(command, env=run.environment(), cwd=run.cwd, capture_output=True, check=False, timeout=120)
        killed += "killed by SIGKILL" in log.read_text()
        accepted = [path for path in (root, run.store / whole_name(run)) if (path / "poncho/state/digest").exists()]
        for path in accepted:
            assert environment(path) == whole, f"torn: {calls} {at}"
        assert run("-e", package, *options, "true").ok().err == ""
        assert environment(root) == whole, f"not healed: {calls} {at}"
    empty(run, root)
    run("-e", package, *options).ok()
    assert run.leftovers() == []


def whole_name(run: Runner) -> str:
    """Return the one name in the store, or one that is not there."""
    return next(iter(run.unpacked()), "none")


def empty(run: Runner, root: Path) -> None:
    """Take the environment away, and leave what killed runners left."""
    for path in list(root.iterdir()) if root.is_dir() else []:
        if path.name != ".poncho":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if root.parent == run.store and root.is_dir():
        root.rmdir()


def environment(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return what is in an environment, its state and our working directory left out."""
    return {name: found for name, found in tree(root).items() if not name.startswith(("poncho/state", ".poncho"))}


@pytest.mark.parametrize("error", ["EBADF", "ENOLCK", "ENOSYS"])
def test_a_file_system_without_locks_is_no_obstacle(run: Runner, tmp_path: Path, error: str) -> None:
    """Hazard 4: flock fails as on some network file systems; a link takes its place."""
    if not shutil.which("flock"):
        pytest.skip("no flock on this machine")
    package = tmp_path / "env.tar.gz"
    plain().write(package)
    for _ in range(count(2, 20)):
        shutil.rmtree(run.store, ignore_errors=True)
        words = strace(tmp_path / "log", "-e", "trace=flock", "-e", f"inject=flock:error={error}")
        command = [*words, *run.command("-d", "-e", package, "say", "x")]
        done = subprocess.run(
            command, env=run.environment(), cwd=run.cwd, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr
        assert "no flock here" in done.stderr
        assert "(INJECTED)" in (tmp_path / "log").read_text()
        assert run.leftovers() == []
