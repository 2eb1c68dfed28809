"""Virtual environments: the interpreter that they borrow comes along, they stay as they are, and what ran there runs anywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_existing import check_records, project, site_of, wheel
from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import environment, run_cli
from tests.support.interpreter import base_executable, is_debian
from tests.support.reference_engine import make_environment

_LISTED = (
    "import importlib.metadata as m, json; "
    "print(json.dumps(sorted((d.metadata['Name'], d.version) for d in m.distributions())))"
)


def uv(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True, env=environment())


def make(kind: str, target: Path, *options: str) -> Path:
    """Make a virtual environment with one of the tools that do."""
    python = base_executable()
    if kind == "uv":
        uv("venv", "--python", python, *options, target)
    else:
        subprocess.run([python, "-m", kind, *options, target], check=True, env=environment())
    return target


def install(venv: Path, *what: str | Path) -> None:
    uv("pip", "install", "--python", venv / "bin/python", "--offline", "--no-index", "--no-deps", *what)


KINDS = {"uv-relocatable": ("uv", ["--relocatable"]), "venv-copies": ("venv", ["--copies", "--without-pip"])}
if os.environ.get("PONCHO_TEST_FULL"):
    KINDS |= {"uv": ("uv", []), "venv": ("venv", [])}
    if importlib.util.find_spec("virtualenv"):
        KINDS["virtualenv"] = ("virtualenv", [])


@pytest.mark.parametrize(("kind", "options"), KINDS.values(), ids=KINDS)
def test_what_runs_in_a_virtual_environment_runs_anywhere(kind: str, options: list[str], tmp_path: Path) -> None:
    venv = make(kind, tmp_path / "my env", *options)
    files = {"tool/__init__.py": "def main():\n    import sys; print('tool', sys.prefix)\n"}
    made = wheel(
        tmp_path,
        "tool",
        "1.5",
        files | {"tool-1.5.dist-info/entry_points.txt": "[console_scripts]\ntool = tool:main\n"},
    )
    install(venv, made)
    (site_of(venv) / "inside.pth").write_text(f"{venv}/share/mine\n")
    (venv / "share/mine").mkdir(parents=True)
    (venv / "share/mine/mine.py").write_text(f"place = {str(venv / 'share')!r}\n")
    (venv / "bin/plain").write_text(f"#!/bin/sh\necho {venv}\n")
    (venv / "bin/plain").chmod(0o755)
    listed = json.loads(
        subprocess.run([venv / "bin/python", "-B", "-c", _LISTED], cwd=tmp_path, capture_output=True, check=True).stdout
    )
    before = packages.tree_state(venv)
    output = tmp_path / "env.tar.gz"
    run_cli("poncho_package_create", venv, output).ok()
    assert packages.tree_state(venv) == before
    venv.rename(tmp_path / "gone")
    assert json.loads(packages.run_in(output, "python", "-c", _LISTED, cwd=tmp_path).ok().stdout) == listed
    prefix = packages.run_in(output, "python", "-c", "import sys; print(sys.prefix)").ok().stdout.strip()
    assert packages.run_in(output, "tool").ok().stdout == f"tool {prefix}\n"
    assert packages.run_in(output, "plain").ok().stdout == f"{prefix}\n"
    assert packages.run_in(output, "python", "-c", "import mine; print(mine.place)").ok().stdout == f"{prefix}/share\n"
    there = packages.unpack(output, tmp_path / "there")
    assert not (there / "pyvenv.cfg").exists()
    assert not [path for path in there.rglob("*") if path.is_file() and os.fsencode(venv) in path.read_bytes()]
    check_records(there)
    spec = json.loads((there / "conda_spec.yml").read_text())
    assert "tool==1.5" in json.dumps(spec)


def test_what_is_in_a_virtual_environment_is_shown_and_locked(tmp_path: Path) -> None:
    venv = make("uv", tmp_path / "env")
    install(venv, wheel(tmp_path, "tool", "1.5", {"tool/__init__.py": "x = 1\n"}))
    (tmp_path / "code").mkdir()
    (site_of(venv) / "code.pth").write_text(f"{tmp_path / 'code'}\n")
    before = packages.tree_state(venv)
    shown = run_cli("poncho", "create", venv, "--dry-run", "--json", "--lock", tmp_path / "dry.json").ok()
    parts = {part["name"]: part for part in json.loads(shown.stdout)["parts"]}
    assert {name: part["kind"] for name, part in parts.items()} == {"python": "conda", "tool": "pip"}
    assert parts["tool"]["installed"] > 0
    assert all(part["cached"] for part in parts.values())
    assert "code: is installed editable, and not listed here" in shown.stderr
    run_cli("poncho", "lock", venv, "-o", tmp_path / "lock.json").ok()
    assert (tmp_path / "lock.json").read_text() == (tmp_path / "dry.json").read_text()
    lock = json.loads((tmp_path / "lock.json").read_text())
    assert [one["requirement"] for one in lock["pip"]] == ["tool==1.5"]
    assert lock["base"]["version"] == lock["spec"]["python"]
    assert packages.tree_state(venv) == before
    for words in (["--platform", "osx-arm64"], ["--environment", "dev"]):
        assert "hint: leave" in run_cli("poncho", "lock", venv, *words).failed().stderr


def test_what_a_virtual_environment_shows_of_its_interpreter_is_listed(tmp_path: Path) -> None:
    venv = make("uv", tmp_path / "env", "--system-site-packages")
    code = "import json, sys; from importlib.metadata import distributions as d; " + (
        "print(json.dumps(sorted({one.metadata['Name'].lower().replace('_', '-') for one in d()})))"
    )
    done = subprocess.run([venv / "bin/python", "-I", "-B", "-c", code], capture_output=True, check=True, cwd=tmp_path)
    lock = run_cli("poncho", "lock", venv)
    if "conda environment" in lock.stderr:
        pytest.skip("the interpreter is a conda environment's")
    names = {one["name"].replace(".", "-") for one in json.loads(lock.ok().stdout).get("pip", [])}
    assert names == {name.replace(".", "-") for name in json.loads(done.stdout)}


@pytest.mark.network
def test_editable_code_of_a_virtual_environment_is_built_from_a_copy(tmp_path: Path) -> None:
    venv = make("uv", tmp_path / "env")
    code = project(tmp_path / "my code", "my-code", "my_code", 7)
    uv("pip", "install", "--python", venv / "bin/python", "--editable", code)
    before = packages.tree_state(tmp_path)
    output = tmp_path.parent / f"{tmp_path.name}.tar.gz"
    said = run_cli("poncho_package_create", venv, output).ok()
    assert "my-code is installed editable" in said.stderr
    assert packages.tree_state(tmp_path) == before
    code.rename(tmp_path / "gone")
    assert packages.run_in(output, "my_code-says").ok().stdout == "answer 7\n"
    run_cli("poncho_package_create", venv, output, "--ignore-editable-packages").ok()
    assert "ModuleNotFoundError" in packages.run_in(output, "python", "-c", "import my_code").stderr


def test_the_interpreters_own_packages_come_along_but_for_those_that_are_hidden(tmp_path: Path) -> None:
    # An interpreter of one's own, so that its site-packages are known: a virtual environment is not enough of one.
    base = tmp_path / "base"
    shutil.copytree(Path(sys.base_prefix) / "lib", base / "lib", symlinks=True, ignore=_without_packages)
    (base / "bin").mkdir()
    shutil.copy2(base_executable(), base / "bin/python3")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = base / "lib" / version / "site-packages"
    site.mkdir(exist_ok=True)
    if is_debian() or not (base / "lib" / version / "os.py").exists():
        pytest.skip("this interpreter cannot be copied")
    env = environment({"LD_LIBRARY_PATH": base / "lib"})
    for name, number in (("shared", "1"), ("lower", "1")):
        module = {
            f"{name}/__init__.py": f"version = {number}\n",
            f"{name}/only_{number}.py": "",
            f"space/{name}.py": "",
        }
        uv("pip", "install", "--target", site, "--no-index", "--no-deps", wheel(tmp_path, name, number, module))
    subprocess.run(
        [base / "bin/python3", "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "env"],
        check=True,
        env=env,
    )
    upper = wheel(tmp_path, "shared", "2", {"shared/__init__.py": "version = 2\n", "space/upper.py": ""})
    uv("pip", "install", "--target", site_of(tmp_path / "env"), "--no-index", "--no-deps", upper)
    output = tmp_path / "env.tar.gz"
    run_cli("poncho_package_create", tmp_path / "env", output, env={"LD_LIBRARY_PATH": base / "lib"}).ok()
    code = "import shared, lower, space.lower, space.upper; print(shared.version, lower.version)"
    assert packages.run_in(output, "python", "-c", code).ok().stdout == "2 1\n"
    found = packages.members(output)
    assert not [name for name in found if name.endswith("shared/only_1.py") or "shared-1.dist-info" in name]


def _without_packages(directory: str, names: list[str]) -> set[str]:
    return {
        name
        for name in names
        if name in ("site-packages", "test", "__pycache__", "idlelib") or name.startswith("config-")
    }


def test_a_virtual_environment_of_a_conda_environments_python(channel: Channel, tmp_path: Path) -> None:
    base = tmp_path / "conda"
    make_environment(base, [channel.file_url], ["greet"])
    for options in ([], ["--system-site-packages"]):
        venv = tmp_path / f"env{len(options)}"
        uv("venv", "--python", base / "bin/python", *options, venv)
    run_cli("poncho_package_create", tmp_path / "env0", tmp_path / "env.tar.gz").ok()
    answer = packages.run_in(
        tmp_path / "env.tar.gz", "python", "-c", "import ssl, sqlite3, sys; print(sys.version_info[:2])"
    )
    assert answer.ok().stdout == f"{tuple(map(int, channel.python.split('.')))}\n"
    said = run_cli("poncho_package_create", tmp_path / "env1", tmp_path / "other.tar.gz").failed().stderr
    assert "conda environment" in said


def test_a_virtual_environment_whose_python_is_gone_is_one_line(tmp_path: Path) -> None:
    venv = make("uv", tmp_path / "env")
    for path in venv.glob("bin/python*"):
        path.unlink()
    (venv / "bin/python").symlink_to("/no/such/python3")
    said = run_cli("poncho_package_create", venv, tmp_path / "env.tar.gz").failed().stderr
    assert "its Python cannot be run" in said
    assert "hint: make the virtual environment again" in said
