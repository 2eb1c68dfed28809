"""Faults 1 to 15 and 37 of contract.md: what was wrong in the implementation that PONCHO replaces."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import CHECKOUT, environment, run_cli
from tests.support.reference_engine import make_environment
from tests.support.sources import Sources

Json = dict[str, Any]


def http_spec(ladder_spec: Json, **sources: Json) -> Json:
    return {**ladder_spec, "http": sources}


def git_spec(ladder_spec: Json, **sources: Json) -> Json:
    return {**ladder_spec, "git": sources}


def test_01_git_and_http_data_is_in_the_package(package: Path) -> None:
    script = 'cat "$REPOSITORY/data.txt" "$CALIBRATION" "$ARCHIVE/inner/value.txt"'
    assert packages.run_in(package, "sh", "-c", script).ok().stdout == "data at v1\nx,y\n1,2\n42\n"


@pytest.mark.parametrize("kind", ["branch", "tag", "commit", "short name of nothing"])
def test_02_the_git_ref_is_what_is_packed(ladder_spec: Json, sources: Sources, tmp_path: Path, kind: str) -> None:
    ref, name = {
        "branch": ("side", "side"),
        "tag": ("v1", "v1"),
        "commit": (sources.commits["side"], "side"),
        "short name of nothing": ("no-such-ref", ""),
    }[kind]
    spec = git_spec(ladder_spec, DATA={"remote": str(sources.repository), "ref": ref})
    done = packages.create(spec, tmp_path / "out.tar.gz")
    if not name:
        assert "no-such-ref" in done.failed().stderr
        return
    done.ok()
    assert (
        packages.run_in(tmp_path / "out.tar.gz", "sh", "-c", 'cat "$DATA/data.txt"').ok().stdout == f"data at {name}\n"
    )


@pytest.mark.parametrize("status", [404, 500])
def test_03_an_error_page_is_never_stored_as_the_data(ladder_spec: Json, tmp_path: Path, status: int) -> None:
    from tests.support.server import FileServer, serve

    with serve(FileServer(tmp_path, faults={"data.csv": status})) as server:
        spec = http_spec(ladder_spec, DATA={"type": "file", "url": f"{server.url}/data.csv"})
        done = packages.create(spec, tmp_path / "out.tar.gz").failed()
    assert str(status) in done.stderr
    assert not (tmp_path / "out.tar.gz").exists()


def test_03_redirects_are_followed(ladder_spec: Json, sources: Sources, tmp_path: Path) -> None:
    spec = http_spec(ladder_spec, DATA={"type": "file", "url": f"{sources.web.url}/moved.csv"})
    packages.create(spec, tmp_path / "out.tar.gz").ok()
    assert packages.run_in(tmp_path / "out.tar.gz", "sh", "-c", 'cat "$DATA"').ok().stdout == "x,y\n1,2\n"


def test_03_a_wrong_checksum_is_refused(ladder_spec: Json, sources: Sources, tmp_path: Path) -> None:
    source = {"type": "file", "url": f"{sources.web.url}/calibration.csv", "sha256": "0" * 64}
    done = packages.create(http_spec(ladder_spec, DATA=source), tmp_path / "out.tar.gz").failed()
    assert "sha256" in done.stderr
    assert not (tmp_path / "out.tar.gz").exists()


@pytest.mark.parametrize(("mode", "compression"), [("bz2", "bz2"), ("xz", "xz"), ("gz", "gzip")])
def test_03_other_compressions_than_gzip(ladder_spec: Json, tmp_path: Path, mode: str, compression: str) -> None:
    import io
    import tarfile

    from tests.support.server import FileServer, serve

    with tarfile.open(tmp_path / f"data.tar.{mode}", f"w:{mode}") as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("value.txt")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"7\n"))
    with serve(FileServer(tmp_path)) as server:
        source = {"type": "tar", "compression": compression, "url": f"{server.url}/data.tar.{mode}"}
        packages.create(http_spec(ladder_spec, DATA=source), tmp_path / "out.tar.gz").ok()
    assert packages.run_in(tmp_path / "out.tar.gz", "sh", "-c", 'cat "$DATA/value.txt"').ok().stdout == "7\n"


@pytest.mark.parametrize(
    "name", ["X;touch pwned;Y", "$(touch pwned)", "../outside", "A/B", "", "1A", "LD_PRELOAD", "PATH"]
)
@pytest.mark.parametrize("kind", ["git", "http"])
def test_04_a_hostile_variable_name_is_refused(
    ladder_spec: Json, sources: Sources, tmp_path: Path, kind: str, name: str
) -> None:
    source = {"remote": str(sources.repository)} if kind == "git" else {"url": f"{sources.web.url}/calibration.csv"}
    work = tmp_path / "work"
    work.mkdir()
    done = packages.create({**ladder_spec, kind: {name: source}}, work / "out.tar.gz", cwd=work).failed()
    assert kind in done.stderr
    assert {path.name for path in work.iterdir()} == {"out.tar.gz.spec"}
    assert {path.name for path in tmp_path.iterdir()} == {"work"}


def test_05_a_conda_executable_that_is_missing_is_one_clear_line(ladder_spec: Json, tmp_path: Path) -> None:
    done = packages.create(ladder_spec, tmp_path / "out.tar.gz", "--conda-executable", "/no/such/conda").failed()
    assert "/no/such/conda" in done.stderr


def test_06_a_spec_on_standard_input(ladder_spec: Json, tmp_path: Path) -> None:
    run_cli("poncho_package_create", "-", tmp_path / "out.tar.gz", stdin=json.dumps(ladder_spec)).ok()
    assert packages.installed(tmp_path / "out.tar.gz") == {"ladder-1.2"}


@pytest.mark.network
def test_07_a_spec_of_pip_alone_gives_those_packages(tmp_path: Path) -> None:
    packages.create({"pip": ["six==1.16.0"]}, tmp_path / "out.tar.gz").ok()
    done = packages.run_in(tmp_path / "out.tar.gz", "python3", "-c", "import six; print(six.__version__)").ok()
    assert done.stdout == "1.16.0\n"


def test_07_our_own_sample_specs_are_understood() -> None:
    from poncho.spec import load_spec

    samples = [path for path in (CHECKOUT / "specs").glob("*.json") if "schema" not in path.name]
    assert samples
    for sample in samples:
        load_spec(sample)


def test_10_the_working_directory_stays_as_it_is(full_spec: Json, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    packages.create(full_spec, tmp_path / "out.tar.gz", cwd=work).ok()
    assert list(work.iterdir()) == []


def test_11_packing_a_directory_leaves_it_bit_identical(conda_environment: Path, tmp_path: Path) -> None:
    before = packages.tree_state(conda_environment)
    run_cli("poncho_package_create", conda_environment, tmp_path / "out.tar.gz").ok()
    assert packages.tree_state(conda_environment) == before


def test_11_a_read_only_directory_is_packed(channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.file_url], ["text-prefix", "ladder"])
    for path in [prefix, *prefix.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o555)
    try:
        run_cli("poncho_package_create", prefix, tmp_path / "out.tar.gz").ok()
    finally:
        for path in [prefix, *prefix.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
    assert packages.run_in(tmp_path / "out.tar.gz", "where-am-i").ok().stdout.strip() != str(prefix)


def test_12_no_downloaded_program_solves_the_environment(ladder_spec: Json, tmp_path: Path) -> None:
    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name in ("curl", "wget", "conda", "mamba", "micromamba"):
        (stubs / name).write_text(f'#!/bin/sh\necho {name} >> "{tmp_path}/called"\nexit 1\n')
        (stubs / name).chmod(0o755)
    env = {"PATH": f"{stubs}:{environment()['PATH']}"}
    packages.create(ladder_spec, tmp_path / "out.tar.gz", env=env).ok()
    assert not (tmp_path / "called").exists()


@pytest.fixture
def editable_environment(channel: Channel, tmp_path: Path) -> Path:
    """An environment with an editable project in a directory with spaces, and a name that needs normalising."""
    project = tmp_path / "my project (2)"
    (project / "my_code").mkdir(parents=True)
    (project / "my_code" / "__init__.py").write_text("answer = 42\n")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "My.Code_Project"\nversion = "1.0"\n'
        '[tool.setuptools]\npackages = ["my_code"]\n'
    )
    prefix = tmp_path / "env"
    specs = [f"python={channel.python}", "pip", "setuptools", "wheel"]
    make_environment(prefix, [channel.file_url], specs)
    pip = [str(prefix / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-e", str(project)], check=True)
    return prefix


def test_13_editable_code_is_packed_or_named(editable_environment: Path, tmp_path: Path) -> None:
    done = run_cli("poncho_package_create", editable_environment, tmp_path / "out.tar.gz")
    if done.returncode:
        assert "my-code-project" in done.failed().stderr.lower().replace("_", "-").replace(".", "-")
        assert "--ignore-editable-packages" in done.stderr
        return
    (tmp_path / "my project (2)").rename(tmp_path / "gone")
    code = "import my_code; print(my_code.answer)"
    assert packages.run_in(tmp_path / "out.tar.gz", "python", "-c", code).ok().stdout == "42\n"


def test_13_editable_code_is_left_out_when_asked(editable_environment: Path, tmp_path: Path) -> None:
    run_cli("poncho_package_create", editable_environment, tmp_path / "out.tar.gz", "--ignore-editable-packages").ok()
    done = packages.run_in(tmp_path / "out.tar.gz", "python", "-c", "import my_code")
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.network
def test_13_a_name_that_is_installed_editable_means_that_code(editable_environment: Path, tmp_path: Path) -> None:
    done = packages.create(
        {"pip": ["My.Code_Project"]},
        tmp_path / "out.tar.gz",
        env={"CONDA_PREFIX": editable_environment, "VIRTUAL_ENV": None},
    ).ok()
    assert "installed editable" in done.stderr
    (tmp_path / "my project (2)").rename(tmp_path / "gone")
    code = "import my_code; print(my_code.answer)"
    assert packages.run_in(tmp_path / "out.tar.gz", "python", "-c", code).ok().stdout == "42\n"
    assert str(tmp_path).encode() not in packages.read_member(tmp_path / "out.tar.gz", "conda_spec.yml")


@pytest.mark.network
def test_14_pinned_without_conda(tmp_path: Path) -> None:
    packages.create({"pip": ["six==1.16.0"], "pinned": {"conda": {"numpy": "1.24"}}}, tmp_path / "out.tar.gz").ok()


@pytest.mark.parametrize(
    ("dependencies", "words"),
    [
        (["wants-old-ladder", "wants-new-ladder"], ["ladder", "<2", ">=2"]),
        (["future"], ["__glibc", "999"]),
        (["missing-dependency"], ["no-such-package"]),
        (["ladder=7"], ["ladder"]),
    ],
)
def test_15_the_solver_s_own_words_reach_the_user(
    channel: Channel, tmp_path: Path, dependencies: list[str], words: list[str]
) -> None:
    spec = {"conda": {"channels": [channel.file_url], "dependencies": dependencies}}
    done = packages.create(spec, tmp_path / "out.tar.gz").failed()
    for word in words:
        assert word in done.stderr


def test_15_a_channel_that_is_not_there_is_named(tmp_path: Path) -> None:
    spec = {"conda": {"channels": [(tmp_path / "no-channel").as_uri()], "dependencies": ["ladder"]}}
    assert "no-channel" in packages.create(spec, tmp_path / "out.tar.gz").failed().stderr


def test_15_a_failing_post_link_script_fails_the_build(channel: Channel, tmp_path: Path) -> None:
    spec = {"conda": {"channels": [channel.file_url], "dependencies": ["post-link-fails"]}}
    assert "post-link-fails" in packages.create(spec, tmp_path / "out.tar.gz").failed().stderr
    assert not (tmp_path / "out.tar.gz").exists()


@pytest.mark.network
def test_37_the_caller_s_pythonpath_does_not_count_as_installed(channel: Channel, tmp_path: Path) -> None:
    from tests.support.wheels import download

    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(download(["six==1.16.0"], wheels)["six"]) as wheel:
        wheel.extractall(tmp_path / "elsewhere")
    spec = {
        "conda": {"channels": [channel.file_url], "dependencies": [f"python={channel.python}", "pip"]},
        "pip": ["six==1.16.0"],
    }
    packages.create(spec, tmp_path / "out.tar.gz", env={"PYTHONPATH": str(tmp_path / "elsewhere")}).ok()
    assert "six==1.16.0" in packages.installed(tmp_path / "out.tar.gz")


def test_neither_the_spec_nor_a_pipe_is_written_over(channel: Channel, tmp_path: Path):
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"conda": {"channels": [channel.file_url], "dependencies": ["ladder"]}}))
    os.mkfifo(tmp_path / "pipe")
    before = spec.read_bytes()
    for words in (
        ("poncho_package_create", spec, spec),
        ("poncho_package_create", spec, tmp_path / "a.tar.gz", "--lock", spec),
        ("poncho", "lock", spec, "-o", spec),
        ("poncho_package_create", spec, tmp_path / "pipe"),
        ("poncho", "lock", spec, "-o", tmp_path / "pipe"),
        ("poncho_package_create", spec, "-"),
    ):
        run_cli(*words, cwd=tmp_path).failed()
    assert spec.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "spec.json"]
    assert (tmp_path / "pipe").is_fifo()
    printed = run_cli("poncho", "lock", spec, "-o", "-", cwd=tmp_path).ok()
    assert json.loads(printed.stdout)["poncho_lock"] == 1
