"""Tarballs that others made: conda-pack's, in every compression, and those of cctools' own poncho."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.handmade import foreign
from tests.support.runner import Runner, without


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "conda.tar.gz"
    foreign(path)
    return path


def test_it_is_unpacked_once_and_found_again_by_one_stat(run: Runner, tarball: Path) -> None:
    out = run("-e", tarball, "where").ok().out
    root = run.store / run.unpacked()[0]
    assert out == f"{root}\n"
    assert (root / "lib/blob").read_bytes().startswith(f"{root}/lib".encode())
    done = run("-d", "-e", tarball, "where").ok()
    assert done.out == out
    assert "reading" not in done.err
    assert "unpacking" not in done.err


def test_a_copy_is_not_unpacked_again_and_a_changed_file_is(run: Runner, tarball: Path) -> None:
    run("-e", tarball).ok()
    copy = Path(shutil.copy(tarball, tarball.with_name("copy")))
    run("-e", copy, "where").ok()
    assert len(run.unpacked()) == 1
    foreign(tarball, files={"bin/say": "#!/bin/sh\necho new\n"})
    assert run("-e", tarball, "say").ok().out == "new\n"
    assert len(run.unpacked()) == 2


@pytest.mark.parametrize("tool", ["cat", "bzip2", "xz", "zstd"])
def test_every_compression_that_the_node_knows(run: Runner, tarball: Path, tmp_path: Path, tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"no {tool} on this machine")
    plain = tmp_path / "plain.tar"
    plain.write_bytes(subprocess.run(["gzip", "-dc", tarball], capture_output=True, check=True).stdout)
    other = tmp_path / "no extension"
    command = ["cat"] if tool == "cat" else [tool, "-c"]
    other.write_bytes(subprocess.run(command, input=plain.read_bytes(), capture_output=True, check=True).stdout)
    assert run("-e", other, "say", "x").ok().out == "x\n"


def test_a_compression_that_the_node_does_not_know_is_named(run: Runner, tmp_path: Path) -> None:
    other = tmp_path / "env.tar.zst"
    other.write_bytes(bytes.fromhex("28b52ffd") + bytes(100))
    run("-e", other, "say", "x", env={"PATH": without(tmp_path / "bin", "zstd")}).refused("needs zstd")


def test_variables_of_cctools_packages_are_set(run: Runner, tarball: Path) -> None:
    foreign(
        tarball,
        files={
            "poncho/set_env": "export DATA=$1/DATA\nexport LD_PRELOAD=$1/x\nexport X;touch pwned=$1/X\n",
            "DATA/x": "",
        },
    )
    done = run("-e", tarball, "sh", "-c", "echo $DATA $LD_PRELOAD $X").ok()
    assert done.out == f"{run.store}/{run.unpacked()[0]}/DATA\n"
    assert not list(run.cwd.iterdir())


def test_activation_scripts_run_and_say_nothing_on_stdout(run: Runner, tarball: Path) -> None:
    scripts = {
        "etc/conda/activate.d/a.sh": "export FIRST=1; echo noise; list=(1 2); export BASHED=${list[1]}\n",
        "etc/conda/activate.d/b c.sh": 'export SECOND="$FIRST$CONDA_PREFIX"\n',
    }
    foreign(tarball, files=scripts)
    for _ in range(2):
        done = run("-e", tarball, "sh", "-c", "echo $FIRST $SECOND $BASHED $0 $1", "zero", "a  b").ok()
        root = run.store / run.unpacked()[0]
        assert done.out == f"1 1{root} 2 zero a b\n"
    status = run("-e", tarball, "sh", "-c", "exit 77").status
    assert status == 77


def test_activation_scripts_run_where_there_is_no_bash(run: Runner, tarball: Path, tmp_path: Path) -> None:
    foreign(tarball, files={"etc/conda/activate.d/a.sh": "export FIRST=1\n"})
    path = without(tmp_path / "bin", "bash")
    assert run("-e", tarball, "sh", "-c", "echo $FIRST", env={"PATH": path}).ok().out == "1\n"


def test_no_python_anywhere_is_a_warning(run: Runner, tmp_path: Path) -> None:
    tarball = tmp_path / "conda.tar.gz"
    foreign(tarball)
    data = subprocess.run(["gzip", "-dc", tarball], capture_output=True, check=True).stdout
    (tmp_path / "t.tar").write_bytes(data)
    subprocess.run(["tar", "--delete", "-f", tmp_path / "t.tar", "bin/python"], check=True)
    done = run("-e", tmp_path / "t.tar", "say", "x", env={"PATH": without(tmp_path / "bin", "python3")}).ok()
    assert "warning" in done.err
