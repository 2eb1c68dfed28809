"""Squashfs images that PONCHO made: mounted where the node allows it, shared by the tasks of a job, healed, given back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from poncho.errors import PackageError
from poncho.look import look
from poncho.look.difference import compare
from poncho.pack import PackedPackage
from poncho.package.unpacked import verify_unpacked
from poncho.store.node import NodeStore
from tests.support.faults import NOBODY, wait_for
from tests.support.images import can_mount, daemons, mounts, needs_tools, small_image, unmount_all
from tests.support.runner import SHELLS, Runner, without

pytestmark = [needs_tools, can_mount]


@pytest.fixture(autouse=True)
def nothing_stays_mounted(tmp_path: Path) -> Iterator[None]:
    yield
    unmount_all(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    """Return the runner, with the system's own shell: the others are tried where it matters."""
    return Runner(tmp_path / "node")


@pytest.fixture
def image(tmp_path: Path) -> PackedPackage:
    """Return a small image: texts, a script and a conda binary hold the prefix."""
    return small_image(tmp_path)


def root_of(run: Runner) -> Path:
    """Return the only environment in the store."""
    (name,) = run.unpacked()
    return run.store / name


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_mounted_and_right_for_where_it_lies(run: Runner, image: PackedPackage, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine")
    run.shell = shell
    done = run("-d", "-e", image.path, "say", "first").ok()
    assert done.out == "first\n"
    assert "mounted by" in done.err
    root = root_of(run)
    assert root.name == f"{image.digest[:32]}.mount"
    assert mounts(run.directory) == [f"{root}/poncho/image"]
    assert run("-e", image.path, "tool").ok().out == f"{root}/share\n"
    assert f"root={root}\n" in (root / "etc/settings.ini").read_text()
    # By whatever way a file is reached, through the image as well, it is the relocated one.
    assert (root / "poncho/image/etc/settings.ini").read_text() == (root / "etc/settings.ini").read_text()
    assert (root / "lib/absolute").read_text() == (root / "etc/settings.ini").read_text()
    assert f"{root}/share:x\0".encode() in (root / "lib/binary.so").read_bytes()
    assert not (root / "bin/tool").is_symlink()
    assert (root / "lib/python3.11/site-packages/thing/__init__.py").read_text() == "VALUE = 1\n"
    assert (root / "bin/say").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_warm_start_needs_no_process(run: Runner, image: PackedPackage, shell: str, locale: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine")
    run("-e", image.path).ok()
    run.shell = shell
    env = {"PATH": "/nowhere", "LC_ALL": locale}
    assert run("-e", image.path, "say", "warm", env=env).ok().out == "warm\n"
    assert len(daemons(run.directory)) == 1


def test_the_command_is_what_keeps_it_mounted(run: Runner, image: PackedPackage) -> None:
    """squashfuse ends when no file has been open for a while; the command has one open, though it did not ask for it."""
    run("-e", image.path).ok()
    said = run("-e", image.path, "ls", "-l", "/proc/self/fd").ok().out
    assert f" {root_of(run)}/poncho/image/poncho/env.sh\n" in said
    (daemon,) = daemons(run.directory)
    assert b"timeout=60" in Path(f"/proc/{daemon}/cmdline").read_bytes()
    ignored = next(
        line for line in Path(f"/proc/{daemon}/status").read_text().splitlines() if line.startswith("SigIgn")
    )
    assert int(ignored.split()[1], 16) & (1 << (signal.SIGINT - 1)) == 0, "by SIGINT it ends when it is idle"


def test_idle_it_goes_and_comes_back(run: Runner, image: PackedPackage, tmp_path: Path) -> None:
    """With a second of idleness instead of sixty."""
    quick = tmp_path / "quick"
    quick.write_text(run.script.read_text().replace("_pr_idle=60", "_pr_idle=1"))
    quick.chmod(0o755)
    process = run.start("-e", image.path, "sleep", "4", start_new_session=True)
    process.kill()
    process.communicate()
    unmount_all(tmp_path)
    held = subprocess.Popen([quick, "-e", image.path, "sleep", "60"], env=run.environment(), cwd=run.cwd)
    try:
        wait_for(lambda: mounts(run.directory))
        time.sleep(3.5)
        assert mounts(run.directory), "a command that does nothing keeps it"
    finally:
        held.kill()
        held.wait()
    wait_for(lambda: not mounts(run.directory) and not daemons(run.directory))
    done = run("-d", "-e", image.path, "say", "again").ok()
    assert done.out == "again\n"
    assert "published" not in done.err
    assert len(run.unpacked()) == 1


def test_a_dead_mount_is_noticed_and_healed(run: Runner, image: PackedPackage) -> None:
    run("-e", image.path, "say").ok()
    for _ in range(3):
        (daemon,) = daemons(run.directory)
        os.kill(daemon, signal.SIGKILL)
        wait_for(lambda: not daemons(run.directory))
        with pytest.raises(OSError, match=r"not connected|connection abort"):
            (root_of(run) / "poncho/image/poncho/manifest.json").read_bytes()
        done = run("-d", "-e", image.path, "tool").ok()
        assert done.out == f"{root_of(run)}/share\n"
        assert "mounted by" in done.err
        assert len(mounts(run.directory)) == 1


def test_eight_at_once_share_one_mount(run: Runner, image: PackedPackage) -> None:
    started = [run.start("-e", image.path, "tool") for _ in range(8)]
    ends = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 8, ends
    assert {out for out, _ in ends} == {f"{root_of(run)}/share\n".encode()}
    assert len(mounts(run.directory)) == len(daemons(run.directory)) == 1
    assert run.leftovers() == []


def test_jobs_that_end_apart_have_mounts_of_their_own(run: Runner, image: PackedPackage) -> None:
    """The batch system ends what a job started, the daemon too; that must not touch another job's tasks."""
    outs = [run("-e", image.path, "tool", env={"SLURM_JOB_ID": job}).ok().out for job in ("1", "2", "1", "2")]
    assert outs[0] == outs[2] != outs[1] == outs[3]
    assert len(daemons(run.directory)) == len(run.unpacked()) == 2
    # What a job left behind is used by the next one.
    unmount_all(run.directory)
    assert run("-e", image.path, "tool", env={"SLURM_JOB_ID": "3"}).ok().out == outs[0]
    assert len(run.unpacked()) == 2


def test_the_daemon_holds_nothing_of_the_caller(run: Runner, image: PackedPackage) -> None:
    read, write = os.pipe()
    high = os.dup2(write, 27)
    try:
        process = run.start("-e", image.path, "say", "x", pass_fds=(write, high))
        assert process.communicate(timeout=30)[0] == b"x\n"
    finally:
        os.close(write)
        os.close(high)
    assert daemons(run.directory)
    with os.fdopen(read, "rb") as stream:
        assert stream.read() == b"", "else this would wait for the daemon's end"
    (daemon,) = daemons(run.directory)
    assert os.readlink(f"/proc/{daemon}/cwd") == "/"
    assert os.getsid(daemon) != os.getsid(0)


@pytest.mark.parametrize("how", [["--no-mount"], ["-u", "env"], ["--no-store"]])
def test_unpacked_where_that_is_asked_for(run: Runner, image: PackedPackage, how: list[str]) -> None:
    done = run("-d", *how, "-e", image.path, "sh", "-c", 'tool; cat "$CONDA_PREFIX/etc/settings.ini"').ok()
    assert "unpacking" in done.err
    assert "@" not in done.out
    root = Path(done.out.splitlines()[0]).parent
    assert f"root={root}\n" in done.out
    assert mounts(run.directory) == []
    assert not (root / "poncho/fit").exists()
    if how != ["--no-store"]:
        assert run(*how, "-e", image.path, "tool").ok().out == f"{root}/share\n"


def test_an_environment_that_is_unpacked_already_is_used(run: Runner, image: PackedPackage) -> None:
    run("--no-mount", "-e", image.path).ok()
    assert run("-e", image.path, "tool").ok().out == f"{run.store}/{image.digest[:32]}/share\n"
    assert mounts(run.directory) == []
    assert verify_unpacked(run.store / image.digest[:32]) == []


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (("squashfuse_ll",), "there is no squashfuse_ll"),
        (("squashfuse_ll", "unshare"), "there is no squashfuse_ll, and there is no unshare"),
    ],
)
def test_where_it_cannot_be_mounted_it_is_unpacked_and_said_why(
    run: Runner, image: PackedPackage, tmp_path: Path, missing: tuple[str, ...], words: str
) -> None:
    # A mount in a namespace of root's own would do as well: it is made to fail.
    path = without(tmp_path / "bin", *missing, "mount")
    done = run("-d", "-e", image.path, "tool", env={"PATH": path}).ok()
    assert f"not mounted: {words}" in done.err
    assert done.out == f"{run.store}/{image.digest[:32]}/share\n"
    assert run.leftovers() == []


def test_without_any_tool_one_line_says_so(run: Runner, image: PackedPackage, tmp_path: Path) -> None:
    path = without(tmp_path / "bin", "squashfuse_ll", "unshare", "unsquashfs")
    run("-e", image.path, "tool", env={"PATH": path}).refused("needs unsquashfs", ".tar.gz")
    assert run.unpacked() == run.leftovers() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount with the kernel")
def test_root_without_squashfuse_mounts_by_the_kernel_in_a_namespace(
    run: Runner, image: PackedPackage, tmp_path: Path
) -> None:
    path = without(tmp_path / "bin", "squashfuse_ll")
    probe = f"mount -t squashfs -o ro,loop {image.path} {tmp_path / 'node'}"
    if subprocess.run(["unshare", "-m", "sh", "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("this kernel mounts no squashfs")
    for _ in range(2):
        done = run("-d", "-e", image.path, "sh", "-c", "tool; exit 7", env={"PATH": path})
        assert done.status == 7
        assert "mounted by the kernel's squashfs" in done.err
        assert done.out == f"{run.store}/{image.digest[:32]}.apart/share\n"
    assert mounts(run.directory) == [], "it went with the command"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make /dev/fuse accessible")
@pytest.mark.parametrize("helper", ["fusermount3", "none"])
def test_an_ordinary_user_mounts(image: PackedPackage, tmp_path: Path, helper: str) -> None:
    """With fusermount3 for all tasks together, without it each in a user and mount namespace of its own."""
    if helper == "fusermount3" and not shutil.which("fusermount3"):
        pytest.skip("no fusermount3 on this machine")
    script = r"""
        set -e
        mount -t tmpfs node /mnt
        mkdir -m 777 /mnt/node /mnt/bin
        cp "$1" /mnt/node/env.squashfs
        cp "$2" /mnt/node/run
        chmod 755 /mnt/node/*
        mknod -m 666 /mnt/fuse c 10 229
        mount --bind /mnt/fuse /dev/fuse
        for program in /usr/bin/* /bin/*; do ln -sf "$program" /mnt/bin/; done
        [ "$4" = fusermount3 ] || { rm -f /mnt/bin/fusermount*; for f in /usr/bin/fusermount3 /bin/fusermount3; do
            [ ! -e "$f" ] || mount --bind /bin/false "$f"; done; }
        cd /mnt/node
        environment='env -i PATH=/mnt/bin HOME=/mnt/node TMPDIR=/mnt/node'
        user() { setpriv --reuid "$user" --regid "$user" --clear-groups $environment "$@"; }
        user=$3
        for n in 1 2; do user ./run -d -e env.squashfs -- sh -c 'tool; id -u; id -g'; done
        user ./run -e env.squashfs --env "A=b c'd" --list-env -- true
        user ./run -e env.squashfs --env "A=b c'd" -- sh -c 'echo "$A"; exit 7' || echo "status $?"
        user ./run -e env.squashfs --print-env=json | grep CONDA_PREFIX
        user sh -c 'echo A=piped | ./run -e env.squashfs --env-file /dev/stdin -- printenv A'
        ps -A -o comm= | grep -c '^squashfuse_ll$' >/mnt/node/daemons || :
    """
    runner = Runner(tmp_path / "node")
    argv = ["unshare", "-m", "sh", "-c", script, "sh", image.path, runner.script, str(NOBODY), helper]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False, timeout=60)
    if "unshare failed" in done.stderr:
        pytest.skip("no namespaces on this machine")
    assert done.returncode == 0, done.stderr
    name = f"{image.digest[:32]}.{'mount' if helper == 'fusermount3' else 'apart'}"
    root = f"/mnt/node/poncho-{NOBODY}/{name}"
    lines = done.stdout.splitlines()
    assert lines[:6] == [f"{root}/share", str(NOBODY), str(NOBODY)] * 2, done.stderr
    assert lines[6:8] == ["b c'd", "status 7"]
    assert json.loads("{" + lines[8].rstrip(",") + "}") == {"CONDA_PREFIX": root}
    assert lines[9] == "piped"
    assert "mounted by" in done.stderr
    assert ("in a namespace of its own" in done.stderr) == (helper == "none")


def test_what_it_sets_is_printed(run: Runner, image: PackedPackage) -> None:
    found = json.loads(run("-e", image.path, "--print-env=json").ok().out)
    assert found["CONDA_PREFIX"] == str(root_of(run))
    assert run("-e", image.path, "--list-env").ok().out == ""


def test_isolated_it_is_mounted_too(run: Runner, image: PackedPackage) -> None:
    done = run("--isolate", "-e", image.path, "sh", "-c", 'tool; touch "$CONDA_PREFIX/bin/x"')
    if done.status == 125:
        pytest.skip(done.err)
    assert done.out == f"{root_of(run)}/share\n"
    assert "Read-only" in done.err


def test_the_directory_round_an_image_runs_while_it_is_mounted(run: Runner, image: PackedPackage) -> None:
    run("-e", image.path).ok()
    root = root_of(run)
    assert run("-e", root, "tool").ok().out == f"{root}/share\n"
    assert subprocess.run(
        [root / "bin/run_in_env", "tool"], capture_output=True, check=True
    ).stdout.strip() == os.fsencode(root / "share")
    unmount_all(run.directory)
    run("-e", root, "tool").refused("not mounted", "FILE.squashfs")


def test_an_image_mounted_by_hand_is_refused(run: Runner, image: PackedPackage, tmp_path: Path) -> None:
    (tmp_path / "hand").mkdir()
    subprocess.run(["squashfuse_ll", image.path, tmp_path / "hand"], check=True)
    run("-e", tmp_path / "hand", "say").refused("mounted image", "FILE.squashfs")


def test_prune_gives_the_mount_back_and_keeps_what_is_in_use(run: Runner, image: PackedPackage) -> None:
    process = run.start("-e", image.path, "sh", "-c", "echo up; exec sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    store = NodeStore(run.store)
    (entry,) = store.entries()
    assert entry.size < 1 << 20, "the image does not count"
    assert verify_unpacked(entry.path) == []
    pruned = store.prune()
    assert [entry.name for entry in pruned.in_use] == [entry.name]
    assert len(mounts(run.directory)) == 1
    process.kill()
    process.communicate()
    assert [entry.name for entry in store.prune().deleted] == [entry.name]
    assert mounts(run.directory) == []
    wait_for(lambda: not daemons(run.directory))
    assert run.unpacked() == []
    assert image.path.exists()
    assert run("-e", image.path, "say", "x").ok().out == "x\n"


def test_prune_deletes_what_is_dead(run: Runner, image: PackedPackage) -> None:
    run("-e", image.path).ok()
    (daemon,) = daemons(run.directory)
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: not daemons(run.directory))
    assert len(NodeStore(run.store).prune().deleted) == 1
    assert mounts(run.directory) == []
    assert run.unpacked() == []


def test_a_store_that_was_moved_is_made_right(run: Runner, image: PackedPackage) -> None:
    run("-e", image.path).ok()
    unmount_all(run.directory)
    run.store = run.store.rename(run.directory / "elsewhere")
    assert run("-e", image.path, "tool").ok().out == f"{root_of(run)}/share\n"
    assert str(run.store) in (root_of(run) / "etc/settings.ini").read_text()


def test_the_package_may_be_deleted_while_it_is_mounted(run: Runner, image: PackedPackage) -> None:
    process = run.start("-e", image.path, "sh", "-c", 'echo up; read x; cat "$CONDA_PREFIX/lib/plain.txt"', stdin=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    image.path.unlink()
    assert process.communicate(b"\n", timeout=20)[0] == b"nothing special\n"


def test_odd_names_are_nothing_special(image: PackedPackage, tmp_path: Path) -> None:
    run = Runner(tmp_path / "no de'$(touch pwned) ü")
    odd = run.cwd / "-my env;x.squashfs"
    shutil.copy(image.path, odd)
    for _ in range(2):
        assert run("-e", odd.name, "sh", "-c", 'echo "$CONDA_PREFIX"').ok().out == f"{root_of(run)}\n"
    assert sorted(path.name for path in run.cwd.iterdir()) == [odd.name]


def test_a_mounted_environment_is_looked_into_by_its_list(run: Runner, image: PackedPackage) -> None:
    run("-e", image.path, "true").ok()
    root = root_of(run)
    found, packed = look(root), look(image.path)
    assert (found.files, found.links, found.bytes) == (packed.files, packed.links, packed.bytes)
    assert found.parts == packed.parts
    assert compare(root, image.path).same
    fitted = root / "poncho/fitted/bin/tool"
    fitted.write_text("something else\n")
    assert [(change.what, change.path) for change in compare(image.path, root).files] == [("changed", "bin/tool")]
    unmount_all(run.directory)
    for act in (look, verify_unpacked):
        with pytest.raises(PackageError, match="not mounted now"):
            act(root)
