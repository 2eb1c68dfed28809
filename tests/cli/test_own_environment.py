"""analyze says so when the versions are those of the environment that PONCHO itself lives in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, command_path, environment


def analyze(python: Path, program: Path, **env: str | None) -> str:
    command = [str(python), str(command_path("poncho_package_analyze")), str(program), "-"]
    changes = {"VIRTUAL_ENV": None, "CONDA_PREFIX": None, **env}
    done = subprocess.run(command, env=environment(changes), capture_output=True, text=True, check=True)
    return done.stderr


def test_a_hint_when_nothing_is_active_and_none_when_something_is(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import rich\n")
    python = Path(sys.executable)
    if sys.prefix == sys.base_prefix:
        return  # these tests run in no virtual environment: there is nothing of its own to be mistaken for
    said = analyze(python, tmp_path / "app.py")
    assert "no environment is active" in said
    assert "hint: activate" in said
    assert "no environment" not in analyze(python, tmp_path / "app.py", VIRTUAL_ENV=sys.prefix)
    (tmp_path / "none.py").write_text("import json\n")
    assert "no environment" not in analyze(python, tmp_path / "none.py")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("poncho_package_create", ["spec.yaml", "env.tar.gz"]),
        ("poncho", ["lock", "spec.yaml"]),
    ],
)
def test_a_bare_clone_says_how_to_install_it(tmp_path: Path, command: str, arguments: list[str]) -> None:
    (tmp_path / "spec.yaml").write_text("dependencies: [numpy]\n")
    # -S: the interpreter as it is, without the libraries that these tests run with.
    line = [sys.executable, "-I", "-S", str(CHECKOUT / "bin" / command), *arguments]
    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 2
    assert f"PONCHO is not installed for {sys.executable}: it has no module " in done.stderr
    assert f"-m venv DIR && DIR/bin/pip install {CHECKOUT}" in done.stderr
    assert sorted(one.name for one in tmp_path.iterdir()) == ["spec.yaml"]


def test_a_variable_that_leads_python_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("dependencies: [numpy]\n")
    line = [sys.executable, "-S", str(CHECKOUT / "bin" / "poncho_package_create"), "spec.yaml", "env.tar.gz"]
    done = subprocess.run(line, cwd=tmp_path, env=environment({"PYTHONPATH": "/a/b/c"}), capture_output=True, text=True)
    assert done.returncode == 1
    assert "hint: PYTHONPATH may lead Python elsewhere: env -u PYTHONPATH poncho_package_create …" in done.stderr
