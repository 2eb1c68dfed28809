"""``poncho_package_serverize`` and ``package_serverize``: faults 33 to 35, and what callers rely on."""

from __future__ import annotations

import ast
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poncho.compat import package_serverize
from poncho.errors import PonchoError
from tests.support import packages
from tests.support.cli import command_path, run_cli
from tests.support.workers import TaskVineWorker, WorkQueueWorker

# A manager's script, as users have it: functions and the work in one file.
MANAGER = """
import sys
import yaml
import ndcctools.work_queue as wq

def area(text):
    sides = yaml.safe_load(text)
    return sides["a"] * sides["b"]

def name():
    return "areas"

queue = wq.WorkQueue(port=int(sys.argv[1]))
"""


@pytest.fixture
def manager(tmp_path: Path) -> Path:
    """Return a manager's script."""
    (tmp_path / "manager.py").write_text(MANAGER)
    return tmp_path / "manager.py"


def serverize(source: Path, target: Path, *options: str | Path, version: str = "taskvine") -> Any:
    return run_cli("poncho_package_serverize", "--src", source, "--dest", target, "--version", version, *options)


@pytest.mark.parametrize("version", ["taskvine", "work_queue"])
def test_33_the_program_parses_and_can_be_executed(manager: Path, tmp_path: Path, version: str) -> None:
    target = tmp_path / "library.py"
    serverize(manager, target, "--function", "area", version=version).ok()
    text = target.read_text()
    assert text.startswith("#! /usr/bin/env python3\n")
    defined = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert {"area", "name"} <= defined
    assert "WorkQueue(" not in text
    assert os.access(target, os.X_OK)


def test_the_command_says_what_it_wrote_on_stderr_alone(manager: Path, tmp_path: Path) -> None:
    done = serverize(manager, tmp_path / "library.py", "--function", "area").ok()
    assert done.stdout == ""
    assert "library.py" in done.stderr
    done = serverize(manager, tmp_path / "library.py", "--function", "area", "--json").ok()
    assert json.loads(done.stdout)["functions"] == ["area"]


def test_a_missing_function_is_an_error_that_lists_those_there(manager: Path, tmp_path: Path) -> None:
    done = serverize(manager, tmp_path / "library.py", "--function", "area", "--function", "volume").failed()
    assert "volume" in done.stderr
    assert "area" in done.stderr.partition("hint:")[2]
    assert not (tmp_path / "library.py").exists()


@pytest.mark.parametrize("missing", ["--src", "--dest", "--version", "--function"])
def test_a_missing_option_is_named(manager: Path, tmp_path: Path, missing: str) -> None:
    given = {"--src": manager, "--dest": tmp_path / "l.py", "--version": "taskvine", "--function": "area"}
    words = [word for option, value in given.items() if option != missing for word in (option, value)]
    assert missing in run_cli("poncho_package_serverize", *words).failed().stderr


def test_arguments_are_not_changed_and_nothing_is_printed(
    manager: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    functions = ["area"]
    package_serverize.create_library_code(str(manager), functions, str(tmp_path / "l.py"), "taskvine")
    assert functions == ["area"]
    assert list(Path.cwd().iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "makeflow"}, "makeflow"),
        ({"funcs": []}, "at least one function"),
        ({"hoisting_modules": json}, "must be a list"),
        ({"hoisting_modules": ["json"]}, "cannot be hoisted"),
        ({"dest": "/no/such/directory/l.py"}, "/no/such/directory"),
    ],
)
def test_calls_that_cannot_work_raise_one_clear_error(
    manager: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    given = {"path": manager, "funcs": ["area"], "dest": tmp_path / "l.py", "version": "taskvine"}
    with pytest.raises(PonchoError, match=words):
        package_serverize.create_library_code(**{**given, **change})
    assert not (tmp_path / "l.py").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"functions": []}, "at least one function"),
        ({"functions": [len, len]}, "two functions of a library are called len"),
        ({"functions": [3]}, "3 is no function"),
        ({"functions": None}, "functions must be a list, not None"),
        ({"functions": "area"}, "functions must be a list, not str"),
        ({"library_context_info": 3}, "library_context_info"),
        ({"exec_mode": "thread"}, "thread"),
        ({"library_context_info": ["x", [], {}]}, "library_context_info"),
    ],
)
def test_libraries_that_cannot_work_raise_one_clear_error(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {
        "library_cache_path": tmp_path,
        "library_code_path": tmp_path / "code.py",
        "library_env_path": tmp_path / "env.tar.gz",
        "library_info_path": tmp_path / "info.clpk",
        "functions": [test_a_missing_option_is_named],
        "library_name": "l",
        "need_pack": False,
    }
    with pytest.raises(PonchoError, match=words):
        package_serverize.generate_library(**{**given, **change})
    assert list(tmp_path.iterdir()) == []


def test_one_function_alone_is_that_function(manager: Path, tmp_path: Path) -> None:
    package_serverize.create_library_code(manager, "area", tmp_path / "l.py", "taskvine")
    assert "def area(" in (tmp_path / "l.py").read_text()
    places = [tmp_path, tmp_path / "code.py", tmp_path / "env.tar.gz", tmp_path / "info.clpk"]
    package_serverize.generate_library(*places, area, "l", need_pack=False)
    assert list(pickle.loads((tmp_path / "info.clpk").read_bytes())["functions"]) == ["area"]
    settings = (None, None, True, "fork", None)
    alone = package_serverize.generate_library_hash("l", area, *settings, None)
    assert alone == package_serverize.generate_library_hash("l", [area], *settings, None)
    # What is served may prepare the others, too.
    assert alone != package_serverize.generate_library_hash("l", [area], *settings, [area, ["a: 1"], {}])


def area(text: str) -> int:
    import yaml

    sides = yaml.safe_load(text)
    return int(sides["a"] * sides["b"])


def test_serverize_library_from_code_writes_one_readable_program(tmp_path: Path) -> None:
    package_serverize.serverize_library_from_code(str(tmp_path), [area], "my-areas", need_pack=False)
    assert [path.name for path in tmp_path.iterdir()] == ["library_code.py"]
    (tmp_path / "work" / "libr.7").mkdir(parents=True)
    worker = TaskVineWorker(tmp_path / "work" / "libr.7", [sys.executable, tmp_path / "library_code.py"])
    try:
        assert worker.ready()["name"] == "my-areas"
        assert worker.call("area", "{a: 3, b: 4}")["Result"] == 12
    finally:
        worker.close()


def test_functions_hash_follows_functions_and_what_is_hoisted() -> None:
    digest = package_serverize.generate_functions_hash
    assert digest([area]) == digest([area])
    assert len({digest([area]), digest([area, serverize]), digest([area], hoisting_modules=[json])}) == 3


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with library.py and env.tar.gz, made by the command."""
    root = tmp_path_factory.mktemp("packed")
    (root / "manager.py").write_text(MANAGER)
    serverize(root / "manager.py", root / "library.py", "--function", "area", "--pack", root / "env.tar.gz").ok()
    return root


@pytest.fixture
def unpacked(packed: Path, tmp_path: Path) -> Iterator[Path]:
    """Return the package as TaskVine has it: unpacked by tar, moved, reached through a symbolic link."""
    packages.unpack(packed / "env.tar.gz", tmp_path / "mini")
    (tmp_path / "mini").rename(tmp_path / "cache")
    (tmp_path / "link").symlink_to(tmp_path / "cache")
    yield tmp_path / "link"
    subprocess.run(["chmod", "-R", "u+w", str(tmp_path / "cache")], check=True)


@pytest.mark.network
def test_34_35_the_command_packs_what_the_functions_import_and_nothing_of_the_rest(packed: Path) -> None:
    installed = {item.partition("==")[0] for item in packages.installed(packed / "env.tar.gz")}
    assert {"pyyaml", "cloudpickle"} <= installed
    assert "ndcctools" not in installed


@pytest.mark.network
def test_a_library_runs_in_its_package_as_taskvine_starts_it(packed: Path, unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "work" / "libr.7").mkdir(parents=True)
    command = [unpacked / "bin" / "run_in_env", "python", packed / "library.py"]
    worker = TaskVineWorker(tmp_path / "work" / "libr.7", command, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "/x"})
    try:
        assert worker.ready()["name"] == "areas"
        assert worker.call("area", "{a: 3, b: 4}")["Result"] == 12
    finally:
        worker.close()


@pytest.mark.network
def test_a_coprocess_runs_in_a_package_by_poncho_package_run(packed: Path, tmp_path: Path) -> None:
    program = tmp_path / "areas"
    serverize(packed / "manager.py", tmp_path / "coprocess.py", "--function", "area", version="work_queue").ok()
    program.write_text(
        f"#!/bin/sh\nexec '{command_path('poncho_package_run')}' -e '{packed / 'env.tar.gz'}' '{tmp_path / 'coprocess.py'}'\n"
    )
    program.chmod(0o755)
    (tmp_path / "workspace").mkdir()
    worker = WorkQueueWorker(tmp_path / "workspace", program)
    try:
        assert worker.call("area", "{a: 3, b: 4}") == {"Result": 12, "StatusCode": 200}
    finally:
        worker.close()


@pytest.mark.network
def test_a_package_that_is_still_right_is_kept(packed: Path) -> None:
    made = (packed / "env.tar.gz").stat().st_mtime_ns
    serverize(packed / "manager.py", packed / "again.py", "--function", "area", "--pack", packed / "env.tar.gz").ok()
    assert (packed / "env.tar.gz").stat().st_mtime_ns == made
