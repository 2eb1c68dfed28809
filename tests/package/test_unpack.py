"""A package is unpacked checked, relocated, and whole or not at all; nothing of it is executed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from poncho import _regular
from poncho.errors import PackageError, PonchoError, StoreError
from poncho.pack import PackedPackage
from poncho.package import unpack as unpack_module
from poncho.package.unpack import unpack
from poncho.package.unpacked import verify_unpacked
from tests.hostile.test_packages import HOSTILE, around
from tests.support.archives import entry, tar
from tests.support.handmade import foreign
from tests.support.packages import tree_state
from tests.support.prefixes import packed, relocate, small_prefix
from tests.support.runner import Runner


def test_it_is_what_plain_tar_and_the_relocation_make(small: PackedPackage, tmp_path: Path) -> None:
    done = unpack(small.path, tmp_path / "here")
    assert (done.path, done.digest, done.files, done.relocated) == (tmp_path / "here", small.digest, small.files, True)
    with tarfile.open(small.path) as archive:
        archive.extractall(tmp_path / "there", filter="data")
    # Relocated towards the same directory.
    relocate(tmp_path / "there", tmp_path / "here")
    ours, theirs = tree_state(tmp_path / "here"), tree_state(tmp_path / "there")
    for name in ("poncho/state", "poncho/state/enter", "poncho/state/prefix", "poncho/state/digest"):
        ours.pop(name)
    times = {
        name
        for name, state in theirs.items()
        if name in ours and state[2] == ours[name][2] and state[0] == ours[name][0]
    }
    assert times == theirs.keys() == ours.keys()


def test_every_format_is_unpacked_and_verified(tmp_path: Path) -> None:
    for form in ("tar.gz", "tar.zst", "tar"):
        package = packed(small_prefix(tmp_path / form / "env"), tmp_path / f"env.{form}", format=form)
        unpack(package.path, tmp_path / form / "here")
        assert verify_unpacked(tmp_path / form / "here") == []
        assert (tmp_path / form / "here/bin/tool").read_text() == f"#!/bin/sh\necho {tmp_path / form / 'here'}/share\n"


def test_the_runner_takes_it_as_its_own(real: Path, tmp_path: Path) -> None:
    unpack(real, tmp_path / "here")
    run = Runner(tmp_path / "node")
    before = tree_state(tmp_path / "here")
    assert run("-e", tmp_path / "here", "--", "where").out.strip() == str(tmp_path / "here")
    assert tree_state(tmp_path / "here") == before
    enter = tmp_path / "here/poncho/state/enter"
    ours = enter.read_bytes()
    enter.unlink()
    (tmp_path / "here/poncho/state/prefix").unlink()
    run("-e", tmp_path / "here", "--relocate").ok()
    assert enter.read_bytes() == ours, "the runner writes another one"
    script = tmp_path / "here/bin/run_in_env"
    assert subprocess.run([script, "where"], capture_output=True, text=True, check=True).stdout.strip() == str(
        tmp_path / "here"
    )


def test_without_relocation_it_is_what_tar_makes_and_can_be_verified(small: PackedPackage, tmp_path: Path) -> None:
    assert not unpack(small.path, tmp_path / "here", relocate=False).relocated
    assert "/poncho_placeholder" in (tmp_path / "here/bin/tool").read_text()
    assert not (tmp_path / "here/poncho/state").exists()
    assert verify_unpacked(tmp_path / "here") == []


def test_the_directory_may_be_empty_but_hold_nothing(small: PackedPackage, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    unpack(small.path, tmp_path / "empty")
    assert (tmp_path / "empty/bin/tool").exists()
    with pytest.raises(StoreError, match="holds something already"):
        unpack(small.path, tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError):
        unpack(small.path, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_to_an_empty_directory_is_filled_where_it_leads(small: PackedPackage, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert unpack(small.path, tmp_path / "link").path == tmp_path / "real"
    assert (tmp_path / "link").is_symlink()
    assert str(tmp_path / "real") in (tmp_path / "real/bin/tool").read_text()


def test_archives_of_conda_pack_are_relocated_and_nothing_is_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    foreign(tmp_path / "env.tar.gz", files={"bin/python": f"#!/bin/sh\ntouch {canary}\n"})
    done = unpack(tmp_path / "env.tar.gz", tmp_path / "here")
    assert (done.digest, done.relocated) == (None, True)
    here = tmp_path / "here"
    assert (here / "bin/where").read_text() == f"#!/bin/sh\n# {here}/bin\necho {here}\n"
    assert (here / "lib/blob").read_bytes().startswith(os.fsencode(here) + b"/lib\0")
    assert (here / "bin/where").stat().st_mode & 0o111
    assert not canary.exists()


@pytest.mark.parametrize(
    "script",
    [
        "x = 1\n",
        "_prefix_records = [(",
        "_prefix_records = [('../../out', 'abc', 'text')]",
        "_prefix_records = [('a', 'b', 'c')]",
        "_prefix_records = open('/etc/passwd')",
        "_prefix_records = [1]",
        "(" * 100_000,
        "\0",
        "_prefix_records = [('a', '', 'text')]",
    ],
)
def test_records_that_are_none_are_refused(tmp_path: Path, script: str) -> None:
    path = tar(tmp_path / "x.tar", entry("bin/conda-unpack", script.encode()), entry("a", b"abc"))
    with pytest.raises(PackageError):
        unpack(path, tmp_path / "here")
    assert sorted(os.listdir(tmp_path)) == ["x.tar"]
    assert not unpack(path, tmp_path / "here", relocate=False).relocated


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_refused_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    path = around(tmp_path / "hostile.tar.gz", *HOSTILE[name])
    with pytest.raises(PackageError):
        unpack(path, tmp_path / "deep/er")
    assert sorted(path.name for path in tmp_path.rglob("*")) in (["hostile.tar.gz"], ["deep", "hostile.tar.gz"])


@pytest.mark.parametrize("name", sorted(HOSTILE.keys() - {"hard link", "contiguous", "unlisted", "newline in a name"}))
def test_a_hostile_archive_of_others_is_refused_too(tmp_path: Path, name: str) -> None:
    path = tar(tmp_path / "hostile.tar.gz", *HOSTILE[name], mode="w:gz")
    with pytest.raises(PackageError):
        unpack(path, tmp_path / "inside")
    assert os.listdir(tmp_path) == ["hostile.tar.gz"]


def test_a_changed_byte_leaves_nothing(small: PackedPackage, tmp_path: Path) -> None:
    data = bytearray(small.path.read_bytes())
    for place in range(200, len(data), len(data) // 12):
        changed = data.copy()
        changed[place] ^= 4
        (tmp_path / "x.tar.gz").write_bytes(changed)
        with pytest.raises(PackageError):
            unpack(tmp_path / "x.tar.gz", tmp_path / "here")
        assert os.listdir(tmp_path) == ["x.tar.gz"]


def test_too_little_room_is_said_before_anything_is_written(
    small: PackedPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = unpack_module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(unpack_module.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StoreError, match=r"no space left: .*\(\d+ bytes\) are needed, 1 kB are free"):
        unpack(small.path, tmp_path / "here")
    assert os.listdir(tmp_path) == []


def test_a_path_that_is_too_long_for_the_placeholder_is_refused(small: PackedPackage, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 200) / ("y" * 200)
    with pytest.raises(PackageError, match="too long"):
        unpack(small.path, long)
    assert not long.exists()


@pytest.mark.parametrize("name", ["a:b", "a\nb"])
def test_where_no_environment_can_run_none_is_put(small: PackedPackage, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match=r"holds a (colon|newline)"):
        unpack(small.path, tmp_path / name)
    assert os.listdir(tmp_path) == []
    assert not unpack(str(small.path), str(tmp_path / name), relocate=False).relocated


def test_a_parent_that_cannot_be_written_is_one_line(small: PackedPackage) -> None:
    with pytest.raises(PonchoError) as caught:
        unpack(small.path, Path("/proc/poncho/here"))
    assert "\n" not in caught.value.message


def test_killed_in_the_middle_leaves_no_directory(small: PackedPackage, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from poncho.package import unpack as m\n"
        "m._relocate = lambda *a: os.kill(os.getpid(), 9)\n"
        "m.unpack(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, small.path, tmp_path / "here"], cwd=root, check=False)
    assert done.returncode == -9
    assert not (tmp_path / "here").exists()
    unpack(small.path, tmp_path / "here")


def test_verify_finds_a_changed_slot_a_pipe_and_another_digest(small: PackedPackage, tmp_path: Path) -> None:
    here = tmp_path / "here"
    unpack(small.path, here)
    data = (here / "lib/binary.so").read_bytes()
    (here / "lib/binary.so").write_bytes(data.replace(b"/share:x", b"/other:x"))
    (here / "share/zeros").unlink()
    os.mkfifo(here / "share/zeros")
    (here / "poncho/state/digest").write_text("0" * 64 + "\n")
    found = {difference.path: difference.what for difference in verify_unpacked(here)}
    assert found == {"lib/binary.so": "changed", "share/zeros": "changed", "poncho/contents": "changed"}


def test_a_text_larger_than_metadata_can_be_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = small_prefix(tmp_path / "env")
    (prefix / "share/large.txt").write_text(f"{prefix}\n{'x' * 100_000}\n")
    unpack(packed(prefix, tmp_path / "env.tar.gz").path, tmp_path / "here")
    monkeypatch.setattr(_regular, "LIMIT", 50_000)
    assert verify_unpacked(tmp_path / "here") == []
    (tmp_path / "here/share/large.txt").write_text("other\n")
    assert [one.path for one in verify_unpacked(tmp_path / "here")] == ["share/large.txt"]
