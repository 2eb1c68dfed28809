"""What the commands say and how they end: stdout is data, stderr is for people, no traceback without --debug."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from poncho._version import __version__
from tests.support.channel import Channel
from tests.support.cli import command_path, environment, run_cli

COMMANDS = ["poncho", "poncho_package_analyze", "poncho_package_create", "poncho_package_run"]
OLDER = ["python_package_analyze", "python_package_create", "python_package_run"]


@pytest.mark.parametrize("name", COMMANDS + OLDER)
def test_help_goes_to_stdout_and_exits_0(name: str):
    result = run_cli(name, "--help").ok()
    assert result.stdout.lower().startswith("usage")
    assert result.stderr == ""


@pytest.mark.parametrize("name", [*COMMANDS, "poncho_package_cache"])
def test_version_is_printed(name: str):
    assert run_cli(name, "--version").ok().stdout == f"{name} {__version__}\n"


def test_subcommands_are_the_same_commands(tmp_path: Path):
    (tmp_path / "app.py").write_text("import numpy\n")
    one = run_cli("poncho", "analyze", tmp_path / "app.py", "-").ok()
    two = run_cli("poncho_package_analyze", tmp_path / "app.py", "-").ok()
    assert one.stdout == two.stdout
    assert "poncho_package_run" in run_cli("poncho", "run", "--help").ok().stdout


@pytest.mark.parametrize("name", ["poncho_package_analyze", "poncho_package_create"])
def test_a_missing_argument_is_one_line_and_a_hint(name: str):
    result = run_cli(name).failed()
    assert result.returncode == 2
    assert result.stderr.splitlines()[0].startswith(f"{name}: error: ")
    assert result.stderr.splitlines()[1].startswith("hint: ")
    assert result.stdout == ""


def test_an_unknown_subcommand_names_those_that_exist():
    result = run_cli("poncho", "pakc").failed()
    assert "analyze" in result.stderr
    assert "create" in result.stderr


def test_errors_are_json_when_asked(tmp_path: Path):
    (tmp_path / "spec.json").write_text('{"pips": []}')
    result = run_cli("poncho_package_create", "--json", tmp_path / "spec.json", tmp_path / "env.tar.gz").failed()
    error = json.loads(result.stderr)
    assert error["error"] == "spec"
    assert error["context"]["pointer"] == "/pips"
    assert "pip" in error["hint"]


def test_traceback_only_with_debug(tmp_path: Path):
    (tmp_path / "spec.json").write_text('{"pips": []}')
    arguments = (tmp_path / "spec.json", tmp_path / "env.tar.gz")
    assert "Traceback" not in run_cli("poncho_package_create", *arguments).failed().stderr
    assert "Traceback" in run_cli("poncho_package_create", "--debug", *arguments).stderr


def test_result_is_json_when_asked(channel: Channel, tmp_path: Path):
    spec = {"conda": {"channels": [channel.file_url], "dependencies": ["ladder=1.2"]}}
    result = run_cli("poncho_package_create", "--json", "-", tmp_path / "env.tar.gz", stdin=json.dumps(spec)).ok()
    facts = json.loads(result.stdout)
    assert facts["packed_bytes"] == (tmp_path / "env.tar.gz").stat().st_size
    assert len(facts["digest"]) == 64


def test_quiet_says_nothing_and_verbose_names_the_steps(channel: Channel, tmp_path: Path):
    spec = json.dumps({"conda": {"channels": [channel.file_url], "dependencies": ["ladder=1.2"]}})
    quiet = run_cli("poncho_package_create", "-q", "-", tmp_path / "a.tar.gz", stdin=spec).ok()
    assert (quiet.stdout, quiet.stderr) == ("", "")
    verbose = run_cli("poncho_package_create", "-v", "-", tmp_path / "b.tar.gz", stdin=spec).ok()
    for step in ("solve", "install", "pack"):
        assert f": {step}: " in verbose.stderr
    assert verbose.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_build_leaves_nothing_and_says_so(number: signal.Signals, tmp_path: Path):
    server = tmp_path / "never"
    os.mkfifo(server)
    spec = {"http": {"A": {"url": "http://127.0.0.1:9/never"}}, "pip": ["numpy"]}
    (tmp_path / "out").mkdir()
    with _stalling_server() as port:
        spec["http"]["A"]["url"] = f"http://127.0.0.1:{port}/never"
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        build = subprocess.Popen(
            [command_path("poncho_package_create"), tmp_path / "spec.json", tmp_path / "out" / "env.tar.gz"],
            env=environment({"PONCHO_CACHE_DIR": tmp_path / "cache"}),
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("cache/tmp/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        build.send_signal(number)
        _, words = build.communicate(timeout=60)
    assert build.returncode == 128 + number
    assert number.name in words
    assert "Traceback" not in words
    assert list((tmp_path / "out").iterdir()) == []
    assert list(tmp_path.glob("cache/tmp/*")) == []


def _stalling_server():
    import socket
    from contextlib import contextmanager

    @contextmanager
    def stalling():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener.getsockname()[1]

    return stalling()


def test_stdout_is_the_same_bytes_under_every_locale(tmp_path: Path):
    for encoding in ("latin-1", "ascii", "utf-8"):
        result = run_cli("poncho_package_analyze", "--help", env={"PYTHONIOENCODING": encoding}).ok()
        assert "SOURCE… OUT".encode() in result.stdout_bytes


def test_a_forgotten_out_does_not_cost_a_program(tmp_path: Path):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("import json\n")
    result = run_cli("poncho_package_analyze", tmp_path / "one.py", tmp_path / "two.py").failed()
    assert "would overwrite a program" in result.stderr
    assert (tmp_path / "two.py").read_text() == "import json\n"


def test_the_programs_own_files_are_named_because_they_have_to_travel(tmp_path: Path):
    (tmp_path / "app.py").write_text("import tracks\n")
    (tmp_path / "tracks.py").write_text("x = 1\n")
    result = run_cli("poncho_package_analyze", tmp_path / "app.py", tmp_path / "spec.json").ok()
    assert "tracks.py" in result.stderr
    assert run_cli("poncho_package_analyze", "-q", tmp_path / "app.py", tmp_path / "spec.json").ok().stderr == ""


def test_local_code_without_a_project_file_gets_the_right_advice(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "code.py").write_text("")
    (tmp_path / "spec.json").write_text('{"pip": ["./mine"]}')
    result = run_cli("poncho_package_create", tmp_path / "spec.json", tmp_path / "env.tar.gz").failed()
    assert "pyproject.toml" in result.stderr.splitlines()[-1]
