"""analyze --explain, --check, --include, --trace and poncho trace as a person types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.cli import run_cli

PYPROJECT = '[build-system]\nrequires = []\n[project]\nname = "mine"\ndependencies = ["numpy", "six"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "mine" / "__init__.py").write_text(
        "import numpy\nimport zzz_nowhere\ntry:\n    import scipy_not_there\nexcept ImportError:\n    pass\n"
    )
    return tmp_path


def test_check_says_what_differs_and_by_its_status(project: Path) -> None:
    done = run_cli("poncho", "analyze", "--check", ".", cwd=project)
    assert done.returncode == 1
    assert "zzz_nowhere" in done.stdout
    assert "pyproject.toml:5" in done.stdout
    found = json.loads(run_cli("poncho", "analyze", "--check", "--json", ".", cwd=project).stdout)
    assert {(one["kind"], one["name"]) for one in found["projects"][0]["differences"]} == {
        ("missing", "zzz_nowhere"),
        ("unused", "six"),
    }
    excluded = run_cli("poncho", "analyze", "--check", ".", "--exclude", "six,zzz_nowhere", cwd=project).ok()
    assert "what is declared is what is imported" in excluded.stdout


def test_check_has_a_status_of_its_own_for_trouble(project: Path) -> None:
    assert run_cli("poncho", "analyze", "--check", "nowhere", cwd=project).failed().returncode == 2
    assert run_cli("poncho", "analyze", "--check", ".", "spec.json", cwd=project).failed().returncode == 2
    assert run_cli("poncho", "analyze", "--check", "mine/__init__.py", cwd=project).failed().returncode == 2


def test_explain_shows_places_and_why(project: Path) -> None:
    done = run_cli("poncho_package_analyze", "--explain", "numpy", "mine", cwd=project).ok()
    assert "mine/__init__.py:1" in done.stdout
    assert "required" in done.stdout
    found = json.loads(
        run_cli("poncho_package_analyze", "--explain", "numpy", "--json", "mine", cwd=project).ok().stdout
    )
    assert found["findings"][0]["reasons"][0]["tier"] == "required"
    near = run_cli("poncho_package_analyze", "--explain", "nump", "mine", cwd=project).failed()
    assert "did you mean numpy?" in near.stderr


def test_the_table_says_what_was_left_out_and_how_to_take_it_in(project: Path) -> None:
    done = run_cli("poncho", "analyze", "-v", ".", "-", "--exclude", "zzz_nowhere,numpy", cwd=project).ok()
    assert "left out (1)" in done.stderr
    assert "--include numpy" in done.stderr
    assert "1 unused" in done.stderr
    assert json.loads(done.stdout)["conda"]["dependencies"][:1] == ["pip"]


def test_a_wrong_choice_is_one_line(project: Path) -> None:
    done = run_cli("poncho", "analyze", ".", "-", "--include", "nothing_like_it", cwd=project).failed()
    assert "nothing imports nothing_like_it" in done.stderr


def test_trace_runs_the_command_as_it_is(tmp_path: Path) -> None:
    code = "import sys, json; print(sys.argv[1:], sys.stdin.read()); print('err', file=sys.stderr); sys.exit(9)"
    words = ["--", sys.executable, "-c", code, "-o", "--json", "x"]
    done = run_cli("poncho", "trace", "-q", *words, cwd=tmp_path, stdin="in")
    assert (done.returncode, done.stdout, done.stderr) == (9, "['-o', '--json', 'x'] in\n", "err\n")
    assert json.loads((tmp_path / "trace.json").read_text())["status"] == 9
    loud = run_cli("poncho", "trace", "-o", "t.json", sys.executable, "-c", "pass", cwd=tmp_path).ok()
    assert "t.json" in loud.stderr


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "a COMMAND is needed"),
        (["--", "nowhere-at-all"], 127, "not found"),
        (["-o", "/nowhere/t.json", "true"], 2, "cannot be written"),
        (["true"], 1, "nothing was recorded"),
    ],
)
def test_trace_says_what_is_wrong(tmp_path: Path, words: list[str], status: int, message: str) -> None:
    done = run_cli("poncho", "trace", *words, cwd=tmp_path).failed()
    assert (done.returncode, message in done.stderr) == (status, True)
    assert not (tmp_path / "trace.json").exists()
