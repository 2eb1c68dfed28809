"""What the commands say and how they end: stdout is data, stderr is for people, no traceback without --debug."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
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


def test_stdout_is_the_same_bytes_under_every_locale():
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
    env = {"COLUMNS": "40"}  # of the caller's terminal: uv would break its lines by it
    result = run_cli("poncho_package_create", tmp_path / "spec.json", tmp_path / "env.tar.gz", env=env).failed()
    assert "pyproject.toml" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["create", "s.json", "e.tar.gz", "--formt", "tar"], "did you mean --format?"),
        (["create", "s.json", "-o", "e.tar.gz"], "OUTPUT stands behind SPEC"),
        (["create", "s.json", "e.tar.gz", "--trim", "docs"], "--trim=docs"),
        (["submit", "slurm", "-e", "e.tar.gz", "python", "task.py"], "-- python task.py"),
        (["store", "prune", "--max-sise", "1G"], "did you mean --max-size?"),
        (["store"], "poncho store --help"),
    ],
)
def test_a_slip_in_the_options_is_answered_with_what_was_meant(words: list[str], hint: str):
    assert hint in run_cli("poncho", *words).failed().stderr.splitlines()[-1]


def test_help_is_a_command_too():
    assert run_cli("poncho", "help").ok().stdout == run_cli("poncho", "--help").ok().stdout
    assert "there is no command 'nope'" in run_cli("poncho", "help", "nope").failed().stderr
    assert run_cli("poncho", "help", "lock").ok().stdout == run_cli("poncho", "lock", "--help").ok().stdout


def test_messages_carry_the_name_that_was_typed(tmp_path: Path):
    (tmp_path / "app.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("")
    for name in (["poncho", "analyze"], ["poncho_package_analyze"]):
        done = run_cli(*name, tmp_path / "app.py", tmp_path / "spec.json").ok()
        assert done.stderr.startswith(f"{' '.join(name)}: note: the program's own files")


def test_a_project_given_as_an_environment_is_told_what_is_a_spec(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    done = run_cli("poncho", "create", tmp_path, tmp_path / "e.tar.gz").failed()
    assert f"did you mean {tmp_path / 'pyproject.toml'}" in done.stderr


def test_a_project_that_can_be_installed_is_said_not_to_be_in_its_own_spec(tmp_path: Path):
    text = '[build-system]\nrequires = []\n[project]\nname = "x"\nversion = "1"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    done = run_cli("poncho", "lock", tmp_path / "pyproject.toml", "-o", tmp_path / "lock.json").ok()
    assert f'the project itself is not: that is a spec with "pip": ["{tmp_path}"]' in done.stderr


def test_store_prune_knows_the_words_of_cache_prune(tmp_path: Path):
    for words in (["--all"], ["--older-than", "30d"]):
        run_cli("poncho", "store", "prune", "--store", tmp_path, *words).ok()
    assert (
        "--all goes with no limit" in run_cli("poncho", "store", "prune", "--all", "--max-size", "1G").failed().stderr
    )


def test_a_trace_of_a_failed_run_says_so(tmp_path: Path):
    done = run_cli("poncho", "trace", "-o", tmp_path / "t.json", "--", "python3", "-c", "raise SystemExit(3)")
    assert done.returncode == 3
    assert "note: the command ended with status 3" in done.stderr


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes since Python 3.11")
def test_who_calls_the_library_sees_the_hint_in_the_traceback():
    code = "import poncho; poncho.create({'pips': ['x']}, 'e.tar.gz')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)
    assert done.stderr.rstrip().endswith("hint: did you mean 'pip'?")
