"""contract.md, "The tarball": what any caller finds in the default output, with nothing but tar and sh."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import packages
from tests.support.channel import Channel

NODE = {"PATH": "/usr/bin:/bin"}


def node(*argv: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run as on a worker node: next to nothing in the environment."""
    return subprocess.run(
        list(map(str, argv)), env={**NODE, **env}, capture_output=True, text=True, timeout=120, check=False
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_member_names_have_no_dot_slash_and_stay_inside(package: Path) -> None:
    for name, member in packages.members(package).items():
        assert not name.startswith(("./", "/"))
        assert ".." not in Path(name).parts
        if member.issym():
            assert not member.linkname.startswith("/"), f"{name} -> {member.linkname}"


def test_members_have_no_owner_of_the_build_machine(package: Path) -> None:
    for member in packages.members(package).values():
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")


def test_plain_tar_reads_it(unpacked: Path) -> None:
    assert (unpacked / "bin/python").exists()
    assert (unpacked / "bin/python3").exists()
    assert list((unpacked / "conda-meta").glob("python-*.json"))


@pytest.mark.parametrize(
    "name", ["activate", "deactivate", "activate.fish", "conda-unpack", "run_in_env", "poncho_package_run"]
)
def test_bin_holds_what_callers_look_for(package: Path, name: str) -> None:
    member = packages.members(package)[f"bin/{name}"]
    assert member.mode & 0o111 or name.startswith(("activate", "deactivate"))


def test_conda_spec_yml_is_json_and_asks_for_what_was_asked(package: Path, full_spec: dict[str, Any]) -> None:
    spec = json.loads(packages.read_member(package, "conda_spec.yml"))
    assert spec["conda"]["channels"] == full_spec["conda"]["channels"]
    names = {item.split("=")[0] for item in spec["conda"]["dependencies"] if isinstance(item, str)}
    assert {"python", "pip", "greet", "pyyaml"} <= names


def test_git_and_http_data_lie_inside_the_prefix(unpacked: Path) -> None:
    found = {path.name for path in unpacked.rglob("*") if path.is_file()}
    assert {"data.txt", "calibration.csv", "value.txt"} <= found


def test_nothing_of_the_build_machine_is_left_inside(unpacked: Path) -> None:
    secrets = [os.environ["PONCHO_CACHE_DIR"].encode(), os.environ["HOME"].encode()]
    for path in unpacked.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            assert not any(secret in data for secret in secrets), path


def test_run_in_env_without_a_command_relocates_and_succeeds(package: Path, tmp_path: Path) -> None:
    env = packages.unpack(package, tmp_path / "env")
    assert said(node(env / "bin/run_in_env")) == ""


def test_run_in_env_names_its_grandparent_directory(package: Path, tmp_path: Path) -> None:
    env = packages.unpack(package, tmp_path / "env")
    assert said(node(env / "bin/run_in_env", "sh", "-c", 'echo "$PONCHO_PREFIX"')).strip() == str(env)


def test_the_life_of_an_environment_at_taskvine(package: Path, tmp_path: Path) -> None:
    """tar, run_in_env, move into the cache, reached through a symlink by many tasks at once, moved again."""
    output = packages.unpack(package, tmp_path / "staging" / "output")
    said(node(output / "bin/run_in_env"))
    cache = tmp_path / "cache dir" / "env"
    cache.parent.mkdir()
    output.rename(cache)
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    (sandbox / "__vine_env_1").symlink_to(cache)
    check = 'greet && where-am-i && python -c "import yaml, sys; print(sys.prefix)" && cat "$REPOSITORY/data.txt"'
    command = ["__vine_env_1/bin/run_in_env", "sh", "-c", check]
    tasks = [
        subprocess.Popen(command, cwd=sandbox, env=NODE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(12)
    ]
    for task in tasks:
        stdout, stderr = task.communicate(timeout=120)
        assert task.returncode == 0, stderr
        assert "grüß dich" in stdout
        assert stdout.endswith("data at v1\n")
        assert str(tmp_path / "staging") not in stdout
    moved = tmp_path / "moved"
    cache.rename(moved)
    assert "grüß dich" in said(node(moved / "bin/run_in_env", "greet"))
    assert said(node(moved / "bin/run_in_env", "where-am-i")).strip() == str(moved)


def test_a_binary_that_holds_the_prefix_is_right_after_a_move(channel: Channel, package: Path, tmp_path: Path) -> None:
    channel.require("prefix-tool")
    env = packages.unpack(package, tmp_path / "one")
    assert said(node(env / "bin/run_in_env", "prefix-tool")).strip() == str(env)
    env.rename(tmp_path / "another")
    said_now = said(node(tmp_path / "another/bin/run_in_env", "prefix-tool", "--data"))
    assert said_now == "data of prefix-tool\n"


def test_conda_unpack_and_activate_serve_people(package: Path, tmp_path: Path) -> None:
    env = packages.unpack(package, tmp_path / "env")
    said(node(env / "bin/conda-unpack"))
    script = f". '{env}/bin/activate' && greet && echo \"$CONDA_PREFIX\""
    assert str(env) in said(node("bash", "-c", script))


def test_scripts_find_their_interpreter_beside_them_without_activation(package: Path, tmp_path: Path) -> None:
    env = packages.unpack(package, tmp_path / "env with space")
    assert "grüß dich" in said(node(env / "bin/greet"))


def test_the_runner_travels_with_the_package(package: Path, tmp_path: Path) -> None:
    env = packages.unpack(package, tmp_path / "env")
    runner = tmp_path / "py_wrapper"
    runner.write_bytes((env / "bin/poncho_package_run").read_bytes())
    runner.chmod(0o755)
    settings = {"HOME": str(tmp_path), "PONCHO_STORE": str(tmp_path / "store")}
    assert "grüß dich" in said(node(runner, "-e", package, "greet", **settings))
