"""A function is tried in a package: in a clean process, started by the runner."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest
from filelock import FileLock

from poncho.analysis import analyze
from poncho.builder import create
from poncho.errors import AnalysisError, BuildError, PackageError
from poncho.package import open_package, verify_function, verify_imports
from tests.support.cli import run_cli

TOOLS = """
from verify_more import ANSWER
def tool(x):
    return x + ANSWER
class Fit:
    async def run(self):
        return tool(1)
"""


@pytest.fixture(scope="module")
def project(shared_directory: Path) -> Path:
    """Two modules that are the program's own, and a package in which they are; made once, without any index."""
    top = shared_directory / "verified"
    top.mkdir(exist_ok=True)
    with FileLock(top / "lock"):
        if not (top / "env.tar.gz").exists():
            (top / "verify_tools.py").write_text(TOOLS)
            (top / "verify_more.py").write_text("ANSWER = 41\n")
            (top / "app.py").write_text("import verify_tools\ndef f(x):\n    return verify_tools.tool(x)\n")
            # For the Python that runs the tests, whichever one is active.
            spec = analyze([top / "app.py"], ship_local=True, prefix=Path(sys.prefix)).spec
            create(spec, top / "env.tar.gz")
    return top


@pytest.fixture
def tools(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(project))
    yield importlib.import_module("verify_tools")
    for name in ("verify_tools", "verify_more"):
        sys.modules.pop(name, None)


def main_function(text: str, **names: Any) -> Any:
    """A function as a script or notebook defines it."""
    space: dict[str, Any] = {"__name__": "__main__", **names}
    exec(text, space)
    return space["f"]


def test_a_function_with_own_modules_is_loaded_where_these_are_packed(project: Path, tools: ModuleType) -> None:
    function = main_function("def f(x):\n    import json\n    return tools.tool(x)\n", tools=tools)
    check = open_package(project / "env.tar.gz").verify_function(function)
    assert check.right, check
    assert check.failed == {}
    assert [one.name for one in check.loaded] == ["poncho-local-modules"]
    assert check.lent
    assert verify_function(project / "env.tar.gz", tools.Fit().run, analysis=analyze(tools.tool, ship_local=True)).right
    assert json.loads(json.dumps(check.to_json()))["right"] is True


def test_the_packed_modules_are_used_when_the_package_runs(project: Path) -> None:
    code = "import verify_tools; print(verify_tools.tool(1), verify_tools.__file__)"
    done = run_cli("poncho_package_run", "-e", project / "env.tar.gz", "--", "python", "-c", code, cwd="/").ok()
    assert done.stdout.startswith("42 ")
    assert "site-packages/verify_tools.py" in done.stdout


def test_a_spec_whose_wheel_was_deleted_says_to_analyse_again(project: Path, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import verify_gone\n")
    (tmp_path / "verify_gone.py").write_text("import json\n")
    spec = analyze([tmp_path / "app.py"], ship_local=True).spec
    Path(unquote(next(one for one in spec.pip if "file://" in one).partition("file://")[2])).unlink()
    with pytest.raises(BuildError, match="local code is no longer there") as caught:
        create(spec, tmp_path / "env.tar.gz")
    assert "analyse the program again" in (caught.value.hint or "")
    assert not (tmp_path / "env.tar.gz").exists()


def test_what_is_missing_is_named(project: Path) -> None:
    function = main_function("import yaml\ndef f():\n    import zzz_missing\n    return yaml\n")
    check = verify_function(project / "env.tar.gz", function)
    assert not check.right
    assert set(check.failed) == {"f", "yaml", "zzz_missing"}
    assert "No module named 'yaml'" in check.failed["f"]


def test_another_version_than_the_spec_asks_for_is_named(project: Path, tools: ModuleType) -> None:
    analysis = analyze(tools.tool, ship_local=True)
    other = replace(analysis, spec=replace(analysis.spec, pip=("poncho-local-modules==7", "zzz==1")))
    check = verify_function(project / "env.tar.gz", tools.tool, analysis=other)
    assert [(one.name, one.wanted) for one in check.differing] == [("poncho-local-modules", "==7")]
    assert check.unused == ("zzz",)
    assert not check.right


def test_a_function_that_cannot_be_pickled_is_refused_here(project: Path) -> None:
    function = main_function("def f():\n    return lock\n", lock=threading.Lock())
    with pytest.raises(AnalysisError, match="f cannot be pickled"):
        verify_function(project / "env.tar.gz", function)


@pytest.mark.parametrize(
    ("code", "words"),
    [("import os; os._exit(3)", "exit status 3"), ("import os; os.kill(os.getpid(), 9)", "ended with")],
)
def test_a_process_that_ends_by_itself_is_an_error(project: Path, code: str, words: str) -> None:
    with pytest.raises(PackageError, match=words):
        verify_imports(project / "env.tar.gz", analyze([project / "app.py"]), code=code, names=["f"])


def test_an_import_that_waits_for_ever_is_ended(project: Path) -> None:
    with pytest.raises(PackageError, match="took longer than 1 s"):
        verify_imports(
            project / "env.tar.gz", analyze([project / "app.py"]), code="while True: pass", names=["f"], timeout=1
        )


def test_what_is_no_package_is_said(tmp_path: Path) -> None:
    (tmp_path / "env.tar.gz").write_text("no")
    with pytest.raises(PackageError, match=r"env\.tar\.gz is not a package") as caught:
        verify_function(tmp_path / "env.tar.gz", main_function("def f(): pass"))
    assert caught.value.hint == "make it with poncho_package_create"
    with pytest.raises(PackageError, match=r"gone\.tar\.gz does not exist"):
        verify_function(tmp_path / "gone.tar.gz", main_function("def f(): pass"))


def test_the_command_tries_functions_and_says_what_was_loaded(project: Path, tmp_path: Path) -> None:
    words = ("--function", "f", "--ship-local", "--verify", project / "env.tar.gz")
    done = run_cli("poncho_package_analyze", project / "app.py", tmp_path / "spec.json", *words).ok()
    assert "right: f can be loaded in env.tar.gz" in done.stderr
    assert "loaded, as in the spec: poncho-local-modules" in done.stderr
    assert done.stdout == ""


def test_the_command_fails_when_something_cannot_be_loaded(project: Path, tmp_path: Path) -> None:
    (tmp_path / "verify_other.py").write_text("import verify_more\n")
    (tmp_path / "verify_more.py").write_text("")
    (tmp_path / "app.py").write_text("import verify_other\ndef f():\n    return verify_other\n")
    words = ("--function", "f", "--verify", project / "env.tar.gz")
    done = run_cli("poncho_package_analyze", tmp_path / "app.py", tmp_path / "spec.json", *words).failed()
    assert "failed in env.tar.gz: f: ModuleNotFoundError: No module named 'verify_other'" in done.stderr
    assert "--ship-local" in done.stderr
    assert (tmp_path / "spec.json").exists()
