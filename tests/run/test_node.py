"""What is wrong with the node or with the package is one line, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.handmade import node_platform, plain
from tests.support.runner import Runner, without


@pytest.fixture
def mounted(run: Runner) -> Iterator[Callable[[str], Path]]:
    """Yield a function that mounts a small file system with some options."""
    place = run.directory / "mounted"
    place.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "poncho-test", place], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("file systems cannot be mounted here")
        return place

    yield mount
    subprocess.run(["umount", place], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"platform": "osx-arm64"}, ("is for osx-arm64", node_platform())),
        ({"platform": "linux-s390x"}, ("is for linux-s390x",)),
        ({"glibc": "99.1"}, ("needs glibc 99.1",)),
        ({"glibc": "2.999"}, ("needs glibc 2.999",)),
        ({"bytes": 10**17}, (f"({10**17} bytes)", "PONCHO_STORE")),
    ],
)
@pytest.mark.parametrize("option", [[], ["-u", "env"]])
def test_an_unfit_node_is_told_before_anything_is_unpacked(
    run: Runner, tmp_path: Path, facts: dict[str, object], words: tuple[str, ...], option: list[str]
) -> None:
    plain(facts=facts).write(tmp_path / "env.tar.gz")
    run("-e", tmp_path / "env.tar.gz", *option, "say").refused(*words, "hint:")
    assert run.unpacked() == []
    assert not list(run.cwd.rglob("*"))[1:]


@pytest.mark.parametrize("facts", [{"platform": "noarch"}, {"glibc": "2.2"}, {"glibc": "2.17"}])
def test_a_fit_node_is_not_refused(run: Runner, tmp_path: Path, facts: dict[str, object]) -> None:
    plain(facts=facts).write(tmp_path / "env.tar.gz")
    run("-e", tmp_path / "env.tar.gz", "say").ok()


def test_a_store_that_executes_nothing_is_named(run: Runner, package: Path, mounted: Callable[[str], Path]) -> None:
    store = mounted("noexec")
    run("-e", package, "say", env={"PONCHO_STORE": str(store)}).refused("noexec", str(store))
    assert not [path for path in store.iterdir() if not path.name.startswith(".lock")]


def test_a_full_disk_is_one_line_and_leaves_nothing(
    run: Runner, tmp_path: Path, mounted: Callable[[str], Path]
) -> None:
    made = plain(facts={"bytes": 1})
    made.files["lib/large"] = os.urandom(400_000)
    made.write(tmp_path / "env.tar.gz")
    store = mounted("size=256k")
    run("-e", tmp_path / "env.tar.gz", "say", env={"PONCHO_STORE": str(store)}).refused("disk is full", "hint:")
    assert not [path for path in store.iterdir() if not path.name.startswith(".lock")]


def test_a_truncated_package_is_never_accepted(run: Runner, tmp_path: Path) -> None:
    made = plain()
    made.files["lib/large"] = os.urandom(100_000)
    whole = tmp_path / "env.tar.gz"
    made.write(whole)
    data = whole.read_bytes()
    step = len(data) // 12
    boundaries = [at for at in range(len(data)) if data[at : at + 4] == b"\x1f\x8b\x08\x00"]
    for size in [*range(0, len(data) - 200, step), *boundaries[1:-1:3]]:
        whole.write_bytes(data[:size])
        run("-e", whole, "say", "x").refused()
        assert run.unpacked() == []
        assert run.leftovers() == []


def test_a_flipped_bit_is_never_accepted(run: Runner, tmp_path: Path) -> None:
    made = plain()
    made.files["lib/large"] = os.urandom(20_000)
    whole = tmp_path / "env.tar.gz"
    made.write(whole)
    data = whole.read_bytes()
    for at in range(250, len(data) - 300, len(data) // 15):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        whole.write_bytes(damaged)
        outcome = run("-e", whole, "say", "x")
        if outcome.status == 0:  # a bit of a gzip header that means nothing
            shutil.rmtree(run.store)
        else:
            outcome.refused()
            assert run.unpacked() == []
        assert run.leftovers() == [] if run.store.is_dir() else True


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"hello\n" * 200, "not a package"),
        (b"PK\x03\x04" + bytes(600), "zip"),
        (b"hsqs" + bytes(600), "squashfs"),
        (b"\0", "not a package"),
    ],
)
def test_what_is_not_a_package_is_named(run: Runner, tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    run("-e", path, "say").refused(word, "hint:")
    assert run.unpacked() == []


def test_a_tarball_without_an_environment_is_named(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "file", "file")
    run("-e", tmp_path / "t.tar.gz", "say").refused("no bin directory")


def test_a_missing_or_odd_environment_is_named(run: Runner, tmp_path: Path) -> None:
    run("-e", "missing", "say").refused("missing does not exist")
    os.mkfifo(tmp_path / "pipe")
    run("-e", tmp_path / "pipe", "say").refused("neither a file nor a directory")


@pytest.mark.parametrize("name", ["poncho", "bin", "poncho/state"])
def test_links_in_the_runners_own_places_are_refused(run: Runner, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    plain(first_members=[link], links={}).write(tmp_path / "env.tar.gz")
    assert run("-e", tmp_path / "env.tar.gz", "say").status == 125
    assert run.unpacked() == []
    assert list(outside.iterdir()) == []


def test_the_store_is_made_private_and_under_the_first_scratch_directory(
    run: Runner, package: Path, tmp_path: Path
) -> None:
    for name in ("condor", "slurm", "tmp", "wq"):
        (tmp_path / name).mkdir()
    order = ["_CONDOR_SCRATCH_DIR", "SLURM_TMPDIR", "WORK_QUEUE_SANDBOX", "TMPDIR"]
    env: dict[str, str | None] = {"PONCHO_STORE": None}
    env |= dict(
        zip(order, map(str, (tmp_path / "condor", tmp_path / "slurm", tmp_path / "wq", tmp_path / "tmp")), strict=True)
    )
    for variable in order:
        store = Path(str(env[variable])) / f"poncho-{os.geteuid()}"
        assert run("-e", package, "say", "x", env=env, umask=0).ok().out == "x\n"
        assert store.stat().st_mode & 0o777 == 0o700
        assert run("-e", package, "say", "x", env={**env, "PATH": "/nowhere"}).ok().out == "x\n"
        del env[variable]


@pytest.mark.parametrize("trouble", ["writable by others", "symbolic link", "somebody else's"])
def test_a_store_that_others_could_have_prepared_is_refused(
    run: Runner, package: Path, tmp_path: Path, trouble: str
) -> None:
    store = tmp_path / "scratch" / f"poncho-{os.geteuid()}"
    store.parent.mkdir()
    if trouble == "symbolic link":
        (tmp_path / "theirs").mkdir()
        store.symlink_to(tmp_path / "theirs")
    else:
        store.mkdir()
        store.chmod(0o777 if trouble == "writable by others" else 0o700)
        if trouble == "somebody else's":
            if os.geteuid() != 0:
                pytest.skip("needs root, to give a directory away")
            os.chown(store, 65534, 65534)
    env = {"PONCHO_STORE": None, "TMPDIR": str(tmp_path / "scratch")}
    run("-e", package, "say", env=env).refused("somebody else", "PONCHO_STORE")


def test_an_environment_that_somebody_else_put_into_the_store_is_not_run(run: Runner, package: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a directory away")
    run("-e", package).ok()
    os.chown(run.store, 65534, 65534)
    run("-e", package, "say").refused("somebody else")


def test_an_unwritable_store_is_one_line(run: Runner, package: Path) -> None:
    (run.directory / "file").write_text("")
    run("-e", package, "say", env={"PONCHO_STORE": str(run.directory / "file/store")}).refused(
        "cannot be made", "PONCHO_STORE"
    )


@pytest.mark.parametrize("mask", [0o077, 0o777, 0o277, 0])
def test_any_umask_works(run: Runner, package: Path, mask: int) -> None:
    for option in ([], ["-u", "env"]):
        assert run("-e", package, *option, "say", "x", umask=mask).ok().out == "x\n"


def test_no_path_and_no_environment_at_all(run: Runner, package: Path) -> None:
    done = run("-e", package, "say", "x", env={"PATH": None, "HOME": None})
    assert done.ok().out == "x\n"


def test_bash_env_of_the_caller_is_not_run(run: Runner, tmp_path: Path) -> None:
    made = plain(scripts=["a.sh"])
    made.files["etc/conda/activate.d/a.sh"] = "export ACTIVATED=1\n"
    made.write(tmp_path / "env.tar.gz")
    (tmp_path / "bashrc").write_text("export PATH=/nowhere\n")
    env = {"BASH_ENV": str(tmp_path / "bashrc"), "ENV": str(tmp_path / "bashrc"), "PATH": without(tmp_path / "bin")}
    done = run("-e", tmp_path / "env.tar.gz", "sh", "-c", 'echo "$ACTIVATED $BASH_ENV $POSIXLY_CORRECT"', env=env)
    assert done.ok().out == f"1 {tmp_path / 'bashrc'} \n"
