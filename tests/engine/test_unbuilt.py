"""Pages of output of a failed build become one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from poncho.engine.unbuilt import find_unbuilt
from tests.support.cli import run_cli

UV = """\
   Building mysqlclient==2.3.1
error: Failed to build `mysqlclient==2.3.1`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.get_requires_for_build_wheel` failed (exit status: 1)

         [stdout]
         Trying pkg-config --exists mysqlclient

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 14, in <module>
         Exception: Can not find valid pkg-config name.
         Specify MYSQLCLIENT_CFLAGS and MYSQLCLIENT_LDFLAGS env vars manually

hint: Build failures usually indicate a problem with the package or the build environment
"""
OLD_UV = """\
  × Failed to build `slow-project @ file:///home/me/project`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `backend.build_wheel` failed (exit status: 1)
      [stderr]
      src/x.c:1:10: fatal error: nowhere.h: No such file or directory
      hint: This usually indicates a problem with the package or the build environment.
"""
PIP = """\
  error: subprocess-exited-with-error
  × Building wheel for thing (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> [3 lines of output]
      Traceback (most recent call last):
      RuntimeError: no compiler
      [end of output]
  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for thing
"""


@pytest.mark.parametrize(
    ("output", "name", "why"),
    [
        (UV, "mysqlclient==2.3.1", "Exception: Can not find valid pkg-config name."),
        (
            OLD_UV,
            "slow-project @ file:///home/me/project",
            "src/x.c:1:10: fatal error: nowhere.h: No such file or directory",
        ),
        (PIP, "thing", "RuntimeError: no compiler"),
        (
            "error: Failed to build\n  `/a/long/path/slow-project`\n  cause: Call to `backend.build_wheel` failed\n",
            "/a/long/path/slow-project",
            "Call to `backend.build_wheel` failed",
        ),
        ("ERROR: Failed to build 'thing' when getting requirements to build wheel\n", "thing", "its build failed"),
    ],
)
def test_the_distribution_and_the_cause_are_found(output: str, name: str, why: str) -> None:
    found = find_unbuilt(output)
    assert found is not None
    assert (found.name, found.why) == (name, why)


def test_the_hint_says_how_to_leave_it_out() -> None:
    unbuilt = find_unbuilt("× Failed to build `mysqlclient==2.3.1`\nException: no pkg-config")
    assert unbuilt is not None
    assert "--exclude mysqlclient" in unbuilt.hint


def test_other_trouble_is_none() -> None:
    assert find_unbuilt("error: No solution found when resolving dependencies\n") is None


@pytest.mark.parametrize("without", ["", "1"], ids=["uv", "pip"])
def test_a_project_whose_build_fails_is_one_line_that_names_it_and_says_why(tmp_path: Path, without: str) -> None:
    project = tmp_path / "broken"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "broken"\nversion = "1"\n'
    )
    (project / "backend.py").write_text(
        "def get_requires_for_build_wheel(config_settings=None): return []\n"
        "def build_wheel(*a, **k): raise RuntimeError('this compiler is too old')\n"
    )
    spec = tmp_path / "spec.json"
    spec.write_text('{"pip": ["./broken"]}')
    env = {"PONCHO_NO_UV": without} if without else {}
    done = run_cli("poncho_package_create", spec, tmp_path / "env.tar.gz", env=env).failed()
    assert len(done.stderr.splitlines()) > 1, done.stderr
    *_, first, hint = done.stderr.splitlines()
    assert first.startswith("poncho_package_create: error: cannot build broken")
    assert "RuntimeError: this compiler is too old" in first
    assert hint.startswith("hint: ")
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "spec.json"]
