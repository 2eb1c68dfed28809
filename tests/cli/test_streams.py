"""Standard streams that are closed or full: said in one line, never taken for success, and no file is written into."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.look.conftest import full_package
from tests.support.channel import Channel
from tests.support.cli import command_path, environment


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full_package(tmp_path_factory.mktemp("full")).path


def _shell(tmp_path: Path, streams: str, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    line = shlex.join([str(command_path(name)), *map(str, arguments)])
    argv = ["/bin/sh", "-c", f"exec {line} {streams}"]
    return subprocess.run(argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("streams", [">/dev/full", ">&-", "<&- >&-"])
@pytest.mark.parametrize("how", [["inspect"], ["inspect", "--json"], ["sbom"]])
def test_what_cannot_be_printed_is_an_error_in_one_line(
    tmp_path: Path, package: Path, how: list[str], streams: str
) -> None:
    done = _shell(tmp_path, streams, "poncho", how[0], package, *how[1:])
    assert done.returncode == 1
    assert "standard output cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert "fault of PONCHO" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help", "--version", "create --help", "lock --version"])
def test_help_that_cannot_be_printed_is_an_error(tmp_path: Path, words: str, unbuffered: str) -> None:
    line = shlex.join([str(command_path("poncho")), *words.split()])
    env = environment({"PYTHONUNBUFFERED": unbuffered or None})
    argv = ["/bin/sh", "-c", f"exec {line} >/dev/full"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "standard output cannot be written" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_where_1_is_an_answer_trouble_with_stdout_is_another_status(tmp_path: Path, package: Path) -> None:
    assert _shell(tmp_path, ">/dev/full", "poncho", "diff", package, package).returncode == 2


@pytest.mark.parametrize("streams", ["2>&-", "<&- 2>&-"])
def test_errors_do_not_go_to_stdout_when_stderr_is_closed(tmp_path: Path, streams: str) -> None:
    done = _shell(tmp_path, streams, "poncho", "inspect", "missing")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "<&-", "2>&-"])
def test_a_build_needs_no_standard_stream(tmp_path: Path, channel: Channel, streams: str) -> None:
    spec = {"conda": {"channels": [channel.file_url], "dependencies": ["ladder=1.2"]}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    for output, how in (("one.tar.gz", ""), ("two.tar.gz", streams)):
        assert _shell(tmp_path, how, "poncho_package_create", "-v", "spec.json", output).returncode == 0
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_a_spec_from_a_closed_stdin_is_an_empty_one(tmp_path: Path) -> None:
    done = _shell(tmp_path, "<&-", "poncho_package_create", "-", "env.tar.gz")
    assert done.returncode == 1
    assert "fault of PONCHO" not in done.stderr
