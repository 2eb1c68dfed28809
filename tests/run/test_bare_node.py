"""A node that has a libc, busybox and tar, and nothing else; and what shellcheck says."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.handmade import RUNNER, RUNTIME, foreign, plain
from tests.support.realpackage import real_package

# What a C library itself consists of.
LIBC = ("ld-linux*", "libc.so*", "libm.so*", "libdl.so*", "libpthread.so*", "librt.so*", "libutil.so*", "libresolv.so*")
SCRIPTS = [RUNNER, RUNTIME / "run_in_env", RUNTIME / "conda-unpack"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("no shellcheck on this machine")
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def libraries(program: str) -> list[Path]:
    """Return the shared libraries that a program needs, the loader among them; none for a static one."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    words = [word for line in done.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return [Path(word) for word in words]


class BareNode:
    """A root file system of its own."""

    def __init__(self, root: Path, tar: str) -> None:
        self.root = root
        busybox = shutil.which("busybox")
        if os.geteuid() != 0 or busybox is None or not shutil.which("chroot"):
            pytest.skip("needs root, busybox and chroot, to make a node of its own")
        for name in ("bin", "dev", "tmp", "home", "proc"):
            (root / name).mkdir(parents=True)
        programs = {"busybox": busybox}
        if tar == "GNU tar":
            programs["tar"] = str(shutil.which("tar"))
        for name, path in programs.items():
            shutil.copy(path, root / "bin" / name)
            for library in libraries(path):
                self._copy(library)
        for place in {path.parent for path in libraries("/bin/sh")}:
            for pattern in LIBC:
                for library in place.glob(pattern):
                    self._copy(library)
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if not (root / "bin" / applet).exists():
                (root / "bin" / applet).symlink_to("busybox")
        try:
            os.mknod(root / "dev/null", 0o20666, os.makedev(1, 3))
            os.mknod(root / "dev/zero", 0o20666, os.makedev(1, 5))
            (root / "dev/null").write_text("")
        except OSError:
            pytest.skip("devices cannot be made here")
        shutil.copy(RUNNER, root / "bin/py_wrapper")

    def _copy(self, library: Path) -> None:
        target = self.root / str(library).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(library, target)

    def __call__(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        argv = [str(shutil.which("chroot")), str(self.root), *command]
        variables = {"PATH": "/bin", "HOME": "/home", **env}
        return subprocess.run(argv, env=variables, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(params=["GNU tar", "busybox tar"])
def bare(request: pytest.FixtureRequest) -> Iterator[BareNode]:
    # Not below the tests' own directory: its path is long, and the node's processes must not see it.
    root = Path(tempfile.mkdtemp(prefix="poncho-bare-"))
    proc = root / "proc"
    try:
        node = BareNode(root, request.param)
        # Without it the loader does not find libraries beside a program, wherever that comes from.
        if subprocess.run(["mount", "-t", "proc", "proc", proc], capture_output=True, check=False).returncode:
            pytest.skip("file systems cannot be mounted here")
        yield node
    finally:
        if proc.is_mount():
            subprocess.run(["umount", proc], check=True)
        shutil.rmtree(root)


def ok(done: subprocess.CompletedProcess[str]) -> str:
    """Assert success without a word on stderr; return what was said."""
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def test_a_package_with_python_runs_on_it(bare: BareNode, shared_directory: Path) -> None:
    shutil.copy(real_package(shared_directory), bare.root / "env.tar.gz")
    for options in ([], ["-u", "/work here/env"]):
        for _ in range(2):
            command = [*options, "--", "python3", "-c", "import sys; print(6 * 7, sys.prefix)"]
            answer, prefix = ok(bare("/bin/py_wrapper", "-e", "/env.tar.gz", *command)).split(maxsplit=1)
            assert answer == "42"
            assert prefix.strip().startswith("/work here/env" if options else "/tmp/poncho-0/")
    assert ok(bare("/work here/env/bin/run_in_env", "where")) == "/work here/env\n"
    (bare.root / "work here/env").rename(bare.root / "moved")
    assert ok(bare("/moved/bin/run_in_env", "where")) == "/moved\n"
    assert ok(bare("/bin/py_wrapper", "-e", "/moved", "where")) == "/moved\n"
    assert not [name for name in os.listdir(bare.root / "tmp/poncho-0") if name.startswith("work.")]


def test_a_package_without_python_is_relocated_by_the_shell_alone(bare: BareNode) -> None:
    plain().write(bare.root / "env.tar.gz")
    for _ in range(2):
        assert ok(bare("/bin/py_wrapper", "-e", "/env.tar.gz", "-u", "/e", "tool", "x")).endswith("x\n")
    assert (bare.root / "e/etc/settings").read_text().startswith("root = /e\n")
    (bare.root / "e").rename(bare.root / "f")
    assert ok(bare("/f/bin/run_in_env", "say", "x")) == "x\n"
    assert (bare.root / "f/etc/settings").read_text().startswith("root = /f\n")


def test_damage_is_seen_there_too(bare: BareNode, shared_directory: Path) -> None:
    data = real_package(shared_directory).read_bytes()
    for damaged in (data[: len(data) // 2], data[:-100], data[: len(data) // 3] + b"x" + data[len(data) // 3 + 1 :]):
        (bare.root / "env.tar.gz").write_bytes(damaged)
        done = bare("/bin/py_wrapper", "-e", "/env.tar.gz", "true")
        assert done.returncode == 125
        assert len(done.stderr.splitlines()) <= 2, done.stderr
        assert not [name for name in os.listdir(bare.root / "tmp/poncho-0") if not name.startswith(".lock")]


def test_a_tarball_of_others_without_python_is_unpacked_with_a_warning(bare: BareNode) -> None:
    foreign(bare.root / "conda.tar.gz", files={"bin/python": "", "bin/python3": ""})
    done = bare("/bin/py_wrapper", "-e", "/conda.tar.gz", "say", "x")
    assert (done.returncode, done.stdout) == (0, "x\n")
