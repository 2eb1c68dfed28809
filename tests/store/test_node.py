"""The node's store: what is listed, what a prune deletes, and that it never deletes what is in use."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from poncho.errors import StoreError
from poncho.package.unpacked import verify_unpacked
from poncho.store.node import Entry, NodeStore, node_store_path
from tests.support.faults import count, wait_for
from tests.support.handmade import plain
from tests.support.runner import Runner

RACES = count(24, 200)


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "node")


def fill(run: Runner, number_of: int) -> list[Entry]:
    """Unpack ``number_of`` packages, each a day younger than the one before it; return their entries."""
    for number in range(number_of):
        package = run.directory / f"{number}.tar.gz"
        digest = plain(facts={}, variables={"N": f"lib/{number}"}).write(package)
        run("-e", package).ok()
        then = time.time() - 86400 * (number_of - number)
        for name in ("prefix", "enter"):
            os.utime(run.store / digest[:32] / "poncho/state" / name, (then, then))
    return NodeStore(run.store).entries()


def cli(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "poncho.cli.main", "store", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, check=False)


def test_the_longest_unused_are_listed_first_with_their_sizes(run: Runner) -> None:
    entries = fill(run, 3)
    assert [entry.name for entry in entries] == [entry.digest[:32] for entry in entries]
    assert [round((time.time() - entry.used) / 86400) for entry in entries] == [3, 2, 1]
    blocks = subprocess.run(["du", "-s", "-B512", entries[0].path], capture_output=True, check=True).stdout
    assert abs(entries[0].size - 512 * int(blocks.split()[0])) <= 8192


def test_age_and_size_are_limits(run: Runner) -> None:
    entries = fill(run, 4)
    store = NodeStore(run.store)
    would = store.prune(max_age=2.5 * 86400, dry_run=True)
    assert (would.deleted, len(store.entries())) == (tuple(entries[:2]), 4)
    assert store.prune(max_age=3.5 * 86400).deleted == (entries[0],)
    done = store.prune(max_size=2 * entries[3].size)
    assert done.deleted == (entries[1],)
    assert done.freed == entries[1].size
    assert store.prune(max_age=10 * 86400, max_size=1 << 40).deleted == ()
    assert len(store.prune().deleted) == 2
    assert [name for name in os.listdir(run.store) if not name.startswith((".lock", ".keys"))] == []


def test_what_was_pruned_is_unpacked_again(run: Runner) -> None:
    fill(run, 1)
    NodeStore(run.store).prune()
    assert run("-e", run.directory / "0.tar.gz", "say", "again").ok().out == "again\n"


def test_what_runs_is_kept_and_goes_later(run: Runner) -> None:
    (entry,) = fill(run, 1)
    store = NodeStore(run.store)
    # Neither its environment nor its program tells: only the descriptor that the runner left open.
    task = run.start(
        "-e", run.directory / "0.tar.gz", "env", "-i", "/bin/sh", "-c", "echo; read x", stdin=subprocess.PIPE
    )
    assert task.stdout is not None
    task.stdout.readline()
    assert store.in_use(entry)
    assert [kept.name for kept in store.prune().in_use] == [entry.name]
    task.communicate(b"\n", timeout=10)
    assert not store.in_use(entry)
    assert len(store.prune().deleted) == 1


def test_what_runs_without_the_descriptor_is_kept(run: Runner) -> None:
    (entry,) = fill(run, 1)
    command = 'exec 9<&-; echo; read x; "$CONDA_PREFIX/bin/say" fine'
    task = run.start("-e", run.directory / "0.tar.gz", "sh", "-c", command, stdin=subprocess.PIPE)
    assert task.stdout is not None
    task.stdout.readline()
    assert [kept.name for kept in NodeStore(run.store).prune().in_use] == [entry.name]
    assert task.communicate(b"\n", timeout=10)[0] == b"fine\n"


def test_a_caller_that_uses_descriptor_9_keeps_it(run: Runner) -> None:
    (entry,) = fill(run, 1)
    (run.cwd / "given").write_text("from the caller\n")
    script = 'exec 9<given; exec "$@"'
    inner = run.command("-e", run.directory / "0.tar.gz", "sh", "-c", "head -n 1 <&9; read x")
    task = subprocess.Popen(
        ["sh", "-c", script, "sh", *inner],
        env=run.environment(),
        cwd=run.cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert task.stdout is not None
    assert task.stdout.readline() == b"from the caller\n"
    assert NodeStore(run.store).in_use(entry)
    task.communicate(b"\n", timeout=10)


def test_runs_that_race_with_prunes_all_succeed(run: Runner) -> None:
    """Hazard 6: a prune that never stops, 200 times with PONCHO_TEST_FULL=1."""
    made = plain()
    made.files["bin/work"] = '#!/bin/sh\nsleep "0.0$1"\nexec "$CONDA_PREFIX/bin/say" done\n'
    made.write(run.directory / "env.tar.gz")
    store, ended, kept, deleted = NodeStore(run.store), threading.Event(), [0], [0]

    def prune() -> None:
        while not ended.is_set():
            done = store.prune()
            kept[0] += len(done.in_use)
            deleted[0] += len(done.deleted)
            time.sleep(random.random() * 0.02)

    run("-e", run.directory / "env.tar.gz").ok()
    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        for number in range(RACES // 4):
            tasks = [run.start("-e", run.directory / "env.tar.gz", "work", n) for n in range(1, 9, 2)]
            ends = [(*task.communicate(timeout=60), task.returncode) for task in tasks]
            assert ends == [(b"done\n", b"", 0)] * 4
            if number:
                time.sleep(random.random() * 0.03)
            else:
                wait_for(lambda: deleted[0] > 0, 20)  # on a busy machine a prune may come into no pause
    finally:
        ended.set()
        pruner.join()
    assert kept[0] > 0
    assert deleted[0] > 0


def test_what_killed_runners_left_goes_and_what_lives_stays(run: Runner) -> None:
    fill(run, 1)
    task = run.start("-e", run.directory / "0.tar.gz", "--no-store", "sh", "-c", "echo; read x", stdin=subprocess.PIPE)
    assert task.stdout is not None
    task.stdout.readline()
    (live,) = run.leftovers()
    machine = live.rsplit("+", 2)[0]
    for name in (f"{machine}+{task.pid}+1", "work.elsewhere+1+2+3"):
        (run.store / name / "root").mkdir(parents=True)
    NodeStore(run.store).prune(max_age=1e9)
    assert sorted(run.leftovers()) == sorted([live, "work.elsewhere+1+2+3"])
    task.communicate(b"\n", timeout=10)


def test_the_store_of_somebody_else_is_not_pruned(run: Runner) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    fill(run, 1)
    run.directory.chmod(0o755)
    run.store.chmod(0o755)
    code = "import os, sys; os.setuid(65534); from poncho.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "store", "prune", "--store", run.store],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert len(NodeStore(run.store).entries()) == 1


def test_changed_and_missing_files_are_named(run: Runner) -> None:
    (entry,) = fill(run, 1)
    assert verify_unpacked(entry.path) == []
    blob = entry.path / "lib/blob"
    data = bytearray(blob.read_bytes())
    data[30] ^= 1
    blob.write_bytes(data[:30] + bytes(1) + data[31:])  # inside a relocated slot: what must be there is known
    (entry.path / "share/empty").unlink()
    (entry.path / "lib64").unlink()
    (entry.path / "lib64").symlink_to("bin")
    with (entry.path / "etc/settings").open("a") as stream:
        stream.write("more")
    (entry.path / "bin/say").write_text("#!/bin/sh\n")
    found = {change.path: change.what for change in verify_unpacked(entry.path)}
    assert found.pop("share/empty") == "missing"
    assert set(found.items()) >= {("lib64", "changed"), ("etc/settings", "changed"), ("bin/say", "changed")}
    assert cli("verify", "--store", run.store).returncode == 1


def test_the_command_finds_the_runners_store(run: Runner) -> None:
    (entry,) = fill(run, 1)
    env = {"PONCHO_STORE": str(run.store)}
    assert cli("path", **env).stdout == f"{run.store}\n"
    assert entry.name in cli("list", **env).stdout
    listed = json.loads(cli("list", "--json", **env).stdout)["packages"][0]
    assert (listed["name"], listed["in_use"], listed["bytes"]) == (entry.name, False, entry.size)
    assert "right" in cli("verify", **env).stdout
    assert json.loads(cli("prune", "--json", entry.name[:8], **env).stdout)["deleted"] == [entry.name]
    assert cli("prune", "nothing", **env).returncode == 1
    assert cli("prune", "--max-age", "soon", **env).returncode == 2


def test_the_library_chooses_the_same_directory_as_the_runner(run: Runner, tmp_path: Path) -> None:
    fill(run, 1)
    for variables in (
        {"TMPDIR": "a"},
        {"SLURM_TMPDIR": "b", "TMPDIR": "a"},
        {"_CONDOR_SCRATCH_DIR": "c", "TMPDIR": "a"},
    ):
        env = {name: str(tmp_path / value) for name, value in variables.items()}
        for path in env.values():
            Path(path).mkdir(exist_ok=True)
        run("-e", run.directory / "0.tar.gz", env={**env, "PONCHO_STORE": None}).ok()
        assert len(NodeStore(node_store_path(env)).entries()) == 1
    with pytest.raises(StoreError):
        NodeStore(run.store).find("x")


def test_a_terminal_gets_a_line_of_headings_and_a_program_none(run: Runner) -> None:
    (entry,) = fill(run, 1)
    assert cli("list", "--store", run.store).stdout.startswith(entry.name)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "poncho.cli.main", "store", "list", "--store", str(run.store)]
    subprocess.run(command, stdout=slave, check=True)
    os.close(slave)
    head, row = os.read(master, 4096).decode().splitlines()
    os.close(master)
    assert head.split() == ["PACKAGE", "SIZE", "LAST", "USED", "(UTC)"]
    assert row.startswith(entry.name)


def test_a_fetched_package_goes_with_what_was_unpacked_from_it(run: Runner) -> None:
    urls = []
    for number in range(2):
        package = run.directory / f"{number}.tar.gz"
        plain(variables={"N": f"lib/{number}"}).write(package)
        urls.append(f"file://{package}")
        run("-e", urls[-1], "true").ok()
    store = NodeStore(run.store)
    first, _ = store.entries()
    kept = run.store / ".fetched"
    sizes = {path: path.stat().st_blocks * 512 for path in kept.glob("*.package")}
    assert len(sizes) == 2
    assert first.size > max(sizes.values())
    store.prune(names=[first.name])
    assert len(list(kept.glob("*.package"))) == len(list(kept.glob("url-*"))) == 1
    store.prune(dry_run=True)
    assert len(list(kept.glob("*.package"))) == 1
    store.prune()
    assert list(kept.iterdir()) == []
    run("-e", urls[0], "true").ok()


def test_a_download_that_somebody_may_go_on_with_stays(run: Runner) -> None:
    fill(run, 1)
    kept = run.store / ".fetched"
    kept.mkdir()
    young, old = kept / f"{64 * 'a'}.part", kept / f"{64 * 'b'}.part"
    for path, days in ((young, 1), (old, 3)):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - 86400 * days,) * 2)
    NodeStore(run.store).prune()
    assert young.exists()
    assert not old.exists()


def test_where_there_are_no_leases_who_comes_in_between_keeps_it(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without them, and a command that starts after the prune has looked and before it renames."""
    (entry,) = fill(run, 1)
    looked: list[Path] = []

    def users(directory: Path) -> list[int]:
        looked.append(directory)
        return [] if len(looked) == 1 else [os.getpid()]

    monkeypatch.setattr("poncho.store.node.users", users)
    monkeypatch.setattr("poncho.store.node.sole_user", lambda path: contextlib.nullcontext(False))
    done = NodeStore(run.store).prune()
    assert done.in_use == (entry,)
    assert entry.path.is_dir()
    assert looked[0] == entry.path
    assert looked[1].name.startswith(".gone.")
    run("-e", run.directory / "0.tar.gz", "true").ok()
