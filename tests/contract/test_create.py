"""contract.md, ``poncho_package_create``: one test for each thing that a caller relies on."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import run_cli

Json = dict[str, Any]


def test_a_spec_is_told_by_content_never_by_its_extension(ladder_spec: Json, tmp_path: Path) -> None:
    for name in ("spec", "spec.tar.gz", "spec.py"):
        (tmp_path / name).write_text(json.dumps(ladder_spec))
        run_cli("poncho_package_create", tmp_path / name, tmp_path / f"{name}.out").ok()
        assert packages.installed(tmp_path / f"{name}.out") == {"ladder-1.2"}


def test_a_directory_comes_before_a_file_or_a_name(conda_environment: Path, tmp_path: Path) -> None:
    (tmp_path / "env").symlink_to(conda_environment)
    run_cli("poncho_package_create", "env", "out.tar.gz", cwd=tmp_path).ok()
    assert "conda_spec.yml" in packages.members(tmp_path / "out.tar.gz")
    done = packages.run_in(tmp_path / "out.tar.gz", "python", "-c", "import yaml, six; print(six.__version__)").ok()
    assert done.stdout == "1.16.0\n"


def test_the_name_of_a_conda_environment(conda_environment: Path, tmp_path: Path) -> None:
    envs = tmp_path / "envs"
    envs.mkdir()
    (envs / "analysis").symlink_to(conda_environment)
    environments = tmp_path / ".conda" / "environments.txt"
    environments.parent.mkdir()
    environments.write_text(f"{envs / 'analysis'}\n")
    env = {"HOME": tmp_path, "CONDA_ENVS_PATH": envs, "CONDA_ENVS_DIRS": envs}
    run_cli("poncho_package_create", "analysis", tmp_path / "out.tar.gz", env=env).ok()
    assert "six==1.16.0" in packages.installed(tmp_path / "out.tar.gz")


def test_what_is_no_directory_file_or_environment_is_one_clear_line(tmp_path: Path) -> None:
    done = run_cli("poncho_package_create", "no-such-thing", tmp_path / "out.tar.gz").failed()
    assert "no-such-thing" in done.stderr
    assert not (tmp_path / "out.tar.gz").exists()


def test_the_package_of_a_directory_does_not_need_the_directory(channel: Channel, tmp_path: Path) -> None:
    from tests.support.reference_engine import make_environment

    make_environment(tmp_path / "env", [channel.file_url], [f"python={channel.python}", "greet", "text-prefix"])
    run_cli("poncho_package_create", tmp_path / "env", tmp_path / "out.tar.gz").ok()
    (tmp_path / "env").rename(tmp_path / "gone")
    assert "grüß dich" in packages.run_in(tmp_path / "out.tar.gz", "greet").ok().stdout
    where = packages.run_in(tmp_path / "out.tar.gz", "where-am-i").ok().stdout.strip()
    assert Path(where, "bin/where-am-i").exists()
    assert not where.startswith(str(tmp_path / "env"))


def test_an_output_that_exists_and_is_empty_is_replaced(ladder_spec: Json, tmp_path: Path) -> None:
    output = tmp_path / "out.tar.gz"
    output.touch()
    packages.create(ladder_spec, output).ok()
    assert packages.installed(output) == {"ladder-1.2"}


@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_failed_build_leaves_the_output_as_it_was(channel: Channel, tmp_path: Path, before: bytes | None) -> None:
    output = tmp_path / "out.tar.gz"
    if before is not None:
        output.write_bytes(before)
    spec = {"conda": {"channels": [channel.file_url], "dependencies": ["no-such-package"]}}
    done = packages.create(spec, output).failed()
    assert "no-such-package" in done.stderr
    assert (output.read_bytes() if output.exists() else None) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path != output) == ["out.tar.gz.spec"]


def test_the_output_may_be_read_by_others(ladder_spec: Json, tmp_path: Path) -> None:
    packages.create(ladder_spec, tmp_path / "out.tar.gz").ok()
    assert stat.S_IMODE((tmp_path / "out.tar.gz").stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_nothing_goes_to_stdout_without_json(ladder_spec: Json, tmp_path: Path) -> None:
    assert packages.create(ladder_spec, tmp_path / "out.tar.gz").ok().stdout == ""


def test_json_describes_what_was_made(ladder_spec: Json, tmp_path: Path) -> None:
    done = packages.create(ladder_spec, tmp_path / "out.tar.gz", "--json").ok()
    assert isinstance(json.loads(done.stdout), dict)


@pytest.mark.parametrize("dialect", ["plain list", "packages", "dependencies"])
def test_each_dialect_is_read_and_top_level_pip_counts(channel: Channel, tmp_path: Path, dialect: str) -> None:
    python = f"python={channel.python}"
    conda: Any = {
        "plain list": [f"{channel.file_url}::{python}", f"{channel.file_url}::ladder=1.1"],
        "packages": {"channels": [channel.file_url], "packages": [python, "ladder=1.1"]},
        "dependencies": {
            "channels": [channel.file_url],
            "dependencies": [python, "ladder=1.1", {"pip": ["idna==3.7"]}],
        },
    }[dialect]
    packages.create({"conda": conda, "pip": ["six==1.16.0"]}, tmp_path / "out.tar.gz").ok()
    found = packages.installed(tmp_path / "out.tar.gz")
    assert {"ladder-1.1", "six==1.16.0", f"python-{channel.python_version}"} <= found
    assert ("idna==3.7" in found) == (dialect == "dependencies")


def test_pinned_fixes_a_version(channel: Channel, tmp_path: Path) -> None:
    spec = {
        "conda": {"channels": [channel.file_url], "packages": ["ladder"]},
        "pinned": {"conda": {"ladder": "1.1"}},
    }
    packages.create(spec, tmp_path / "out.tar.gz").ok()
    assert packages.installed(tmp_path / "out.tar.gz") == {"ladder-1.1"}


def test_a_pin_of_a_package_that_nothing_needs_installs_nothing(channel: Channel, tmp_path: Path) -> None:
    spec = {
        "conda": {"channels": [channel.file_url], "packages": ["ladder"]},
        "pinned": {"conda": {"shadowed": "1.0"}},
    }
    packages.create(spec, tmp_path / "out.tar.gz").ok()
    assert packages.installed(tmp_path / "out.tar.gz") == {"ladder-2.0"}


@pytest.mark.parametrize(("first", "expected"), [(0, "first\n"), (1, "second\n")])
def test_the_order_of_channels_is_priority(channel: Channel, tmp_path: Path, first: int, expected: str) -> None:
    assert channel.second
    urls = [channel.file_url, channel.second.file_url]
    ordered = urls if first == 0 else urls[::-1]
    spec = {"conda": {"channels": ordered, "dependencies": ["shadowed"]}}
    packages.create(spec, tmp_path / "out.tar.gz").ok()
    assert packages.read_member(tmp_path / "out.tar.gz", "share/shadowed.txt").decode() == expected


def test_no_micromamba_is_accepted(ladder_spec: Json, tmp_path: Path) -> None:
    packages.create(ladder_spec, tmp_path / "out.tar.gz", "--no-micromamba").ok()


def test_options_may_come_before_the_words(ladder_spec: Json, tmp_path: Path) -> None:
    (tmp_path / "spec").write_text(json.dumps(ladder_spec))
    words = ("--no-micromamba", tmp_path / "spec", tmp_path / "out.tar.gz", "--ignore-editable-packages")
    run_cli("poncho_package_create", *words).ok()


@pytest.mark.parametrize("name", ["poncho_package_create", "python_package_create"])
def test_the_command_has_its_older_name_too(ladder_spec: Json, tmp_path: Path, name: str) -> None:
    (tmp_path / "spec").write_text(json.dumps(ladder_spec))
    run_cli(name, tmp_path / "spec", tmp_path / "out.tar.gz").ok()
    assert packages.installed(tmp_path / "out.tar.gz") == {"ladder-1.2"}


def test_a_channel_over_http(channel: Channel, tmp_path: Path) -> None:
    spec = {"conda": {"channels": [channel.url], "dependencies": ["ladder=1.0"]}}
    packages.create(spec, tmp_path / "out.tar.gz").ok()
    assert packages.installed(tmp_path / "out.tar.gz") == {"ladder-1.0"}


def test_conda_s_own_exact_form_name_version_build(channel: Channel, tmp_path: Path) -> None:
    spec = {"conda": {"channels": [channel.file_url], "dependencies": ["ladder=1.2=h0_0"]}}
    packages.create(spec, tmp_path / "out.tar.gz").ok()
    assert packages.read_member(tmp_path / "out.tar.gz", "share/ladder.txt") == b"1.2 0\n"
