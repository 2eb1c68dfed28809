"""Options do what they say or are refused; what is wrong is said in the form that was asked for, with the next step."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.channel import Channel
from tests.support.cli import environment, run_cli


@pytest.fixture
def spec(channel: Channel, tmp_path: Path) -> Path:
    """Return a spec of one small conda package, in the working directory of the commands."""
    document = {"conda": {"channels": [channel.file_url], "dependencies": ["ladder=1.2"]}}
    (tmp_path / "s.json").write_text(json.dumps(document))
    return tmp_path / "s.json"


def test_a_dry_run_writes_the_lock_that_it_is_asked_for(spec: Path) -> None:
    done = run_cli("poncho", "create", spec, "--dry-run", "--lock", "l.json", cwd=spec.parent).ok()
    assert "l.json was written" in done.stderr
    assert json.loads((spec.parent / "l.json").read_text())["conda"][0]["name"] == "ladder"
    run_cli("poncho", "lock", spec, "-o", "l.json", "--locked", cwd=spec.parent).ok()
    assert sorted(path.name for path in spec.parent.iterdir()) == ["l.json", "s.json"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lock s.json -o l.json --environment nonsense", "no environments to choose from"),
        ("create s.json o.tgz --threads -3", "'-3' is no number of threads"),
        ("cache prune --all --max-size 1G", "--all goes with no limit"),
        ("cache prune --all --older-than 1d", "--all goes with no limit"),
        ("lock s.json -o l.json --update ladder --locked", "--update moves packages, and --locked"),
        ("lock s.json -o .", "lock.json"),
    ],
)
def test_options_that_would_do_nothing_or_clash_are_refused(spec: Path, words: str, said: str) -> None:
    done = run_cli("poncho", *words.split(), cwd=spec.parent).failed()
    assert said in done.stderr
    assert "hint: " in done.stderr
    assert [path.name for path in spec.parent.iterdir()] == ["s.json"]


def test_a_lock_is_not_checked_by_another_one(spec: Path) -> None:
    run_cli("poncho", "lock", spec, "-o", "l.json", cwd=spec.parent).ok()
    for words in ("lock l.json -o l.json --locked", "create l.json o.tgz --lock l.json --locked"):
        assert "what is named first is no spec" in run_cli("poncho", *words.split(), cwd=spec.parent).failed().stderr


def test_missing_files_that_cannot_be_missing_are_said_to_have_no_effect(spec: Path) -> None:
    done = run_cli("poncho", "create", spec, "o.tgz", "--ignore-missing-files", cwd=spec.parent).ok()
    assert "--ignore-missing-files has no effect" in done.stderr


def test_a_lock_is_not_up_to_date_when_local_code_has_changed(tmp_path: Path) -> None:
    code = tmp_path / "mine"
    code.mkdir()
    (code / "setup.py").write_text("from setuptools import setup\nsetup(name='mine', version='1')\n")
    (tmp_path / "s.json").write_text('{"pip": ["./mine"]}')
    run_cli("poncho", "lock", "s.json", "-o", "l.json", cwd=tmp_path).ok()
    run_cli("poncho", "lock", "s.json", "-o", "l.json", "--locked", cwd=tmp_path).ok()
    (code / "more.py").write_text("x = 1\n")
    done = run_cli("poncho", "lock", "s.json", "-o", "l.json", "--locked", cwd=tmp_path).failed()
    assert "has changed since it was locked" in done.stderr


def test_manual_pages_and_completion_are_json_when_asked(tmp_path: Path) -> None:
    page = json.loads(run_cli("poncho", "man", "create", "--json").ok().stdout)
    assert page["command"] == "poncho create"
    assert page["page"].startswith(".TH")
    found = json.loads(run_cli("poncho", "completion", "bash", "--json").ok().stdout)
    assert (found["command"], found["shell"]) == ("poncho", "bash")
    assert "complete" in found["completion"]
    written = json.loads(run_cli("poncho", "man", "--output-dir", tmp_path, "--json").ok().stdout)
    assert sorted(written["files"]) == sorted(path.name for path in tmp_path.iterdir())


def test_an_analysis_on_standard_output_is_the_object_when_asked(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import json\n")
    found = json.loads(run_cli("poncho", "analyze", "app.py", "-", "--json", cwd=tmp_path).ok().stdout)
    assert {"spec", "findings", "problems"} <= found.keys()
    assert "conda" in json.loads(run_cli("poncho", "analyze", "app.py", "-", cwd=tmp_path).ok().stdout)


@pytest.mark.parametrize(
    "words", ["create --json", "inspect --json -n x env.tgz", "--json pakc", "create --json s.json o.tgz --bogus"]
)
def test_a_wrong_call_is_one_json_object_when_asked(words: str) -> None:
    done = run_cli("poncho", *words.split()).failed()
    error = json.loads(done.stderr)
    assert (done.returncode, done.stdout, error["error"]) == (2, "", "usage")
    assert error["message"]
    assert error["hint"]


@pytest.mark.parametrize("words", ["--progress json", "--progress=json"])
def test_a_wrong_call_is_an_event_when_asked(words: str) -> None:
    error = json.loads(run_cli("poncho", "create", *words.split()).failed().stderr)
    assert (error["event"], error["error"]) == ("error", "usage")


def test_what_stands_behind_a_command_is_not_taken_for_ours() -> None:
    done = run_cli("poncho", "submit", "slurm", "--", "program", "--json").failed()
    assert done.stderr.startswith("poncho submit: error: ")


@pytest.mark.parametrize("option", ["-v", "-q", "--debug", "--verbose", "--quiet", "--json"])
def test_options_of_every_command_may_stand_before_it(spec: Path, option: str) -> None:
    before = run_cli("poncho", option, "lock", spec, "-o", "a.json", cwd=spec.parent).ok()
    behind = run_cli("poncho", "lock", spec, option, "-o", "a.json", cwd=spec.parent).ok()
    assert before.stdout == behind.stdout
    assert (spec.parent / "a.json").exists()


def test_other_options_before_the_command_are_told_where_they_stand() -> None:
    done = run_cli("poncho", "--offline", "create", "s.json").failed()
    assert "options stand behind the command: poncho create --offline s.json" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "said", "hint"),
    [
        ("e.yml", "name: x\ndependecies:\n- numpy\n", "unknown key 'dependecies'", "did you mean 'dependencies'"),
        ("nb.ipynb", '{"cells": [], "metadata": {}, "nbformat": 4}', "is a notebook", "analyze nb.ipynb spec.json"),
        ("s.json", '{"pip": ["./nope"]}', "s.json: /pip/0: './nope': no such file", "from the directory of the spec"),
        (
            "s.json",
            '{"git": {"A": {"remote": "x"}}, "http": {"A": {"url": "http://h/x"}}}',
            "s.json: /http/A: A stands in both",
            "another name",
        ),
        ("s.json", '{"conda": ["numpy"]}', "s.json: /conda: the spec asks for conda packages", "channels"),
        ("y.yml", "a: [\n", "not YAML", "brackets"),
        ("p.toml", "[project]\na = \n", "not TOML", "quotes"),
        ("p.toml", "[build-system]\nrequires = []\n", "no [project] table", '"pip": ["."]'),
        ("s.json", '{"pip": [""]}', "/pip/0: must not be empty", "leave it out"),
        ("s.json", '{"pip": [7]}', "/pip/0: must be a string", "double quotes"),
        ("s.json", '{"git": {"C": {"remote": "x", "depth": 0}}}', "/git/C/depth: must be a whole", "1 or more"),
        ("s.json", '{"http": {"C": {"url": "http://h/x", "filename": "a/b"}}}', "/http/C/filename", '"b"'),
        ("s.json", '{"dependecies": ["numpy"]}', "/dependecies: unknown key", '"conda": {"dependencies"'),
        ("r.txt", "-r nope.txt\n", "r.txt: line 1: nope.txt: cannot be read", "it is looked for as /"),
    ],
)
def test_a_spec_that_is_off_is_told_where_and_what_to_do(
    tmp_path: Path, name: str, text: str, said: str, hint: str
) -> None:
    (tmp_path / name).write_text(text)
    lines = run_cli("poncho", "create", name, "o.tgz", cwd=tmp_path).failed().stderr.splitlines()
    assert said in lines[0]
    assert lines[1].startswith("hint: ")
    assert hint in lines[1]
    assert not (tmp_path / "o.tgz").exists()


def test_data_given_for_a_spec_is_told_what_it_should_be(tmp_path: Path) -> None:
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress(b"1,2,3\n"))
    done = run_cli("poncho", "create", "events.csv.gz", "o.tgz", cwd=tmp_path).failed()
    assert "hint: name a spec, a lock or a package" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "poncho_package_serverize --src nope.py --function f --dest x.py --version taskvine",
        "poncho_package_cache .",
    ],
)
def test_a_file_that_cannot_be_read_gets_a_hint(tmp_path: Path, words: str) -> None:
    name, *rest = words.split()
    done = run_cli(name, *rest, cwd=tmp_path).failed()
    assert "cannot be read" in done.stderr
    assert "hint: name " in done.stderr


def test_help_of_lock_names_environments() -> None:
    assert "conda or virtual environment" in " ".join(run_cli("poncho", "lock", "--help").ok().stdout.split())


def test_the_package_is_the_command(tmp_path: Path) -> None:
    """``python -m poncho`` is ``poncho``."""
    argv = [sys.executable, "-m", "poncho", "cache", "path"]
    done = subprocess.run(argv, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == run_cli("poncho", "cache", "path").ok().stdout
