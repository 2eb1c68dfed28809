"""A real conda environment, made by another program, packed, unpacked elsewhere, and run there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from poncho.pack import PackedPackage
from poncho.pack.layout import Facts
from poncho.package.unpacked import verify_unpacked
from tests.support.channel import Channel
from tests.support.images import can_mount, needs_tools, unmount_all
from tests.support.packages import members, tree_state, unpack
from tests.support.prefixes import packed, relocate
from tests.support.runner import Runner

CLEAN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


def facts(package: Path) -> Facts:
    """Return the header's facts as a shell would find them."""
    return Facts.parse(package.read_bytes()[:1024].split(b"\n")[2].decode())


def output(*argv: str | os.PathLike[str]) -> str:
    """Run in a clean environment and return what is printed."""
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=CLEAN, cwd="/").stdout


def test_the_node_unpacks_it_with_its_own_first_members(conda_package: PackedPackage, tmp_path: Path) -> None:
    boot = facts(conda_package.path).boot
    assert boot > 0
    fast = tmp_path / "fast"
    fast.mkdir()
    begin = 'head -c "$1" "$2" | gzip -dc | tar -xf - -C "$3"'
    subprocess.run(["sh", "-ec", begin, "sh", str(boot), str(conda_package.path), str(fast)], check=True)
    some = sum(1 for path in fast.rglob("*") if path.is_file())
    assert some < conda_package.files / 2
    argv = [fast / "bin/python3", "-I", "-S", "-B", fast / "poncho/unpack.py", conda_package.path, fast]
    done = subprocess.run(argv, env={}, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    slow = unpack(conda_package.path, tmp_path / "slow")
    assert files(fast) == files(slow)


def test_it_runs_where_it_was_unpacked(conda_package: PackedPackage, tmp_path: Path) -> None:
    there = unpack(conda_package.path, tmp_path / "some where")
    relocate(there)
    assert (
        output(there / "bin/python", "-c", "import numpy, sys; print(numpy.arange(3).sum(), sys.prefix)")
        == f"3 {there}\n"
    )
    assert str(there) in output(there / "bin/greet")
    assert "pip" in output(there / "bin/pip", "--version")
    if (there / "bin/prefix-tool").exists():
        assert output(there / "bin/prefix-tool").strip() == str(there)
        assert output(there / "bin/prefix-tool", "--library").strip() == f"{there}/lib"
    script = f'_poncho_prefix="{there}"; . "{there}/poncho/env.sh"; echo "$CONDA_PREFIX:$_poncho_activate_d"; command -v python'
    said = output("sh", "-ec", script)
    assert said.splitlines()[0].startswith(f"{there}:")
    assert said.splitlines()[-1] == f"{there}/bin/python"


@needs_tools
@can_mount
def test_it_runs_from_a_mounted_image(conda_prefix: Path, conda_package: PackedPackage, tmp_path: Path) -> None:
    image = packed(conda_prefix, tmp_path / "env.squashfs", format="squashfs")
    assert image.digest == conda_package.digest
    run = Runner(tmp_path / "some where")
    code = (
        "import json, numpy, sys, sysconfig\n"
        "assert numpy.arange(3).sum() == 3\n"
        "print(sys.prefix, sys.base_prefix, sysconfig.get_config_var('prefix'), sysconfig.get_path('purelib'), "
        "json.__file__, numpy.__file__, sep='\\n')"
    )
    try:
        said = run("-e", image.path, "python", "-c", code).ok().out.splitlines()
        (name,) = run.unpacked()
        there = run.store / name
        assert said[:3] == [str(there)] * 3
        assert all(path.startswith(f"{there}/lib/python") for path in said[3:])
        assert str(there) in run("-e", image.path, "greet").ok().out
        assert f"from {there}/lib" in run("-e", image.path, "pip", "--version").ok().out
        # A script whose interpreter is the environment's, reached through the image, and by a link elsewhere.
        (tmp_path / "elsewhere").symlink_to(there / "poncho/image/bin/pip")
        for path in (there / "poncho/image/bin/pip", tmp_path / "elsewhere"):
            assert str(there) in output(path, "--version")
        assert run("-e", image.path, "sh", "-c", 'echo "$CONDA_PREFIX"').ok().out == f"{there}\n"
        if (there / "bin/prefix-tool").exists():
            assert run("-e", image.path, "prefix-tool").ok().out.strip() == str(there)
            assert run("-e", image.path, "prefix-tool", "--library").ok().out.strip() == f"{there}/lib"
        # What a package's activation script does, and what was relocated in it, is as in an unpacked environment.
        unpacked = Runner(tmp_path / "unpacked")
        printed = [
            node("-e", package, "--print-env=json").ok().out.replace(str(node.store / node.unpacked()[0]), "@")
            for node, package in ((run, image.path), (unpacked, conda_package.path))
        ]
        assert printed[0] == printed[1]
        assert verify_unpacked(there) == []
    finally:
        unmount_all(tmp_path)


def test_nothing_of_the_build_is_inside(conda_package: PackedPackage, conda_prefix: Path, tmp_path: Path) -> None:
    there = unpack(conda_package.path, tmp_path / "there")
    found = [path for path in there.rglob("*") if path.is_file() and os.fsencode(conda_prefix) in path.read_bytes()]
    assert found == []
    assert (there / "conda-meta/history").read_text() == ""


def test_compiled_files_are_valid_there_and_python_writes_none(conda_prefix: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(conda_prefix, copy, symlinks=True)
    library = next((copy / "lib").glob("python3.*")) / "json"
    subprocess.run([copy / "bin/python", "-m", "compileall", "-q", library], check=True, env=CLEAN)
    package = packed(copy, tmp_path / "env.tar.gz")
    there = unpack(package.path, tmp_path / "there")
    compiled = sorted((there / library.relative_to(copy) / "__pycache__").glob("*.pyc"))
    assert len(compiled) >= 4
    for path in compiled:
        data = path.read_bytes()
        assert os.fsencode(copy) not in data
        assert int.from_bytes(data[4:8], "little") == 1, "an unchecked hash"
    before = tree_state(there / library.relative_to(copy))
    code = "import json.decoder, json.tool; print(json.decoder.__cached__, json.tool.main.__code__.co_filename)"
    said = output(there / "bin/python", "-B", "-v", "-c", code)
    assert str(there) in said
    assert tree_state(there / library.relative_to(copy)) == before


def test_a_stale_compiled_file_is_left_out(conda_prefix: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(conda_prefix, copy, symlinks=True)
    site = next((copy / "lib").glob("python3.*/site-packages"))
    module = site / "stale.py"
    module.write_text("x = 1\n")
    subprocess.run([copy / "bin/python", "-m", "compileall", "-q", module], check=True, env=CLEAN)
    module.write_text("x = 22\n")
    names = members(packed(copy, tmp_path / "env.tar.gz").path)
    assert str(module.relative_to(copy)) in names
    assert not [name for name in names if "/stale." in name and name.endswith(".pyc")]


def test_the_manifest_says_what_a_node_must_have(
    conda_package: PackedPackage, channel: Channel, tmp_path: Path
) -> None:
    there = unpack(conda_package.path, tmp_path / "there")
    text = (there / "poncho/manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["platform"] == manifest["requires"]["platform"] == channel.subdir
    major, minor = map(int, manifest["requires"]["glibc"].split(".")[:2])
    assert (2, 2) <= (major, minor) < (3, 0)
    assert manifest["python"] == channel.python_version
    assert {"name": "greet", "kind": "conda"}.items() <= next(
        package for package in manifest["packages"] if package["name"] == "greet"
    ).items()
    assert os.uname().nodename not in text
    assert str(tmp_path) not in text


def test_two_installs_in_other_places_give_the_same_package(conda_package: PackedPackage, tmp_path: Path) -> None:
    moved = tmp_path / "a rather longer place to install into"
    there = unpack(conda_package.path, moved)
    relocate(there)
    again = packed(there, tmp_path / "again.tar.gz", threads=1)
    assert hashlib.sha256(again.path.read_bytes()).digest() == hashlib.sha256(conda_package.path.read_bytes()).digest()


def test_a_changed_byte_or_a_missing_end_is_refused_by_the_parallel_reader(tmp_path: Path) -> None:
    import random

    from tests.support.prefixes import small_prefix, unpack_in_parallel

    whole = packed(small_prefix(tmp_path / "env"), tmp_path / "env.tar.gz").path.read_bytes()
    broken = tmp_path / "broken.tar.gz"
    random.seed(3)
    places = [0, 3, 10, 30, 95, 200, 300, 310, len(whole) - 1, len(whole) - 60, len(whole) - 95, len(whole) - 120]
    places += [random.randrange(len(whole)) for _ in range(12)]
    for number, place in enumerate(places):
        data = bytearray(whole)
        data[place] ^= 1 << (number % 8)
        broken.write_bytes(data)
        shutil.rmtree(tmp_path / "d", ignore_errors=True)
        (tmp_path / "d").mkdir()
        done = unpack_in_parallel(broken, tmp_path / "d")
        assert done.returncode == 3, place
        assert done.stderr.count("\n") == 1, (place, done.stderr)
    for size in (0, 1, 100, 400, len(whole) // 2, len(whole) - 1):
        broken.write_bytes(whole[:size])
        done = unpack_in_parallel(broken, tmp_path / "d")
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), size


@pytest.mark.parametrize(
    "value", ["plain", "a b", "$(touch pwned)", "`id`", "it's", 'say "x"', "line\nbreak", "\\", "$HOME;x"]
)
def test_variables_of_the_environment_are_only_data(tmp_path: Path, value: str) -> None:
    from poncho.pack.activation import env_sh

    prefix = str(tmp_path)
    text = env_sh({"VALUE": value, "INSIDE": f"{prefix}/share:/usr/share", "GONE": "***unset***"}, {}, [], [prefix])
    (tmp_path / "env.sh").write_bytes(text)
    for shell in ("sh", "bash"):
        script = '_poncho_prefix=/new\\ place; . ./env.sh; printf "%s|%s|%s" "$VALUE" "$INSIDE" "${GONE-none}"'
        env = CLEAN | {"GONE": "1"}
        done = subprocess.run([shell, "-ec", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        assert done.stdout == f"{value}|/new place/share:/usr/share|none"
    assert not (tmp_path / "pwned").exists()


def files(root: Path) -> dict[str, tuple[int, str]]:
    """Return mode and content of every file and link below a directory."""
    return {
        name: (0 if (root / name).is_symlink() else mode, content)
        for name, (mode, _, content) in tree_state(root).items()
        if (root / name).is_symlink() or (root / name).is_file()
    }
