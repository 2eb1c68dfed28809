"""Environments to analyse: virtual ones with wheels made here, and conda ones written as conda writes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import Analysis, analyze
from poncho.analysis.conda import public_host

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
BACKEND = """
import base64, hashlib, pathlib, zipfile

def _wheel(directory, pth):
    name = "local_tools-0.3-py3-none-any.whl"
    here = pathlib.Path.cwd()
    files = {"local_tools.pth": str(here / "code") + "\\n"} if pth else {
        "local_tools/__init__.py": (here / "code/local_tools/__init__.py").read_text()}
    meta = "local_tools-0.3.dist-info/"
    files[meta + "METADATA"] = "Metadata-Version: 2.1\\nName: Local_Tools\\nVersion: 0.3\\n"
    files[meta + "WHEEL"] = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    record = "".join(f"{path},,\\n" for path in files) + meta + "RECORD,,\\n"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(meta + "RECORD", record)
    return name

def build_wheel(directory, config_settings=None, metadata_directory=None):
    return _wheel(directory, False)

def build_editable(directory, config_settings=None, metadata_directory=None):
    return _wheel(directory, True)
"""


@pytest.fixture(autouse=True)
def _no_leaks(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path_factory.mktemp("cache") / "poncho"))
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONUSERBASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")


class Env:
    """A virtual environment into which wheels made on the spot are installed by a real installer."""

    def __init__(self, prefix: Path, work: Path) -> None:
        self.prefix = prefix
        self._work = work

    @property
    def site(self) -> Path:
        return self.prefix / "lib" / f"python{PYTHON}" / "site-packages"

    def install(self, name: str, version: str, files: Mapping[str, str], *, metadata: str = "") -> None:
        """Build the wheel ``name`` and install it."""
        stem = name.replace("-", "_").replace(".", "_")
        info = f"{stem}-{version}.dist-info"
        content = {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},,\n" for path in content) + f"{info}/RECORD,,\n"
        wheel = self._work / f"{stem}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in {**content, f"{info}/RECORD": record}.items():
                archive.writestr(path, text)
        self.pip("--find-links", str(self._work), f"{name}=={version}")

    def pip(self, *arguments: str) -> None:
        """Install by name, without any index (a wheel's path would be recorded as where it came from)."""
        command = [
            str(Path(sys.executable).parent / "uv"),
            "pip",
            "install",
            "-q",
            "--no-index",
            "--offline",
            "--no-config",
        ]
        python = str(self.prefix / "bin" / "python")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
        environ["UV_CACHE_DIR"] = str(self._work / "uv-cache")
        done = subprocess.run(
            [*command, "--python", python, *arguments], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def env(tmp_path_factory: pytest.TempPathFactory) -> Env:
    """An empty virtual environment (what ``python -m venv`` makes, without its second of work)."""
    work = tmp_path_factory.mktemp("env")
    prefix = work / "venv"
    (prefix / "bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to(Path(sys.executable).resolve())
    (prefix / "lib" / f"python{PYTHON}" / "site-packages").mkdir(parents=True)
    home, version = Path(sys.executable).resolve().parent, ".".join(map(str, sys.version_info[:3]))
    (prefix / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\nversion = {version}\n")
    return Env(prefix, work)


@pytest.fixture
def editable_project(tmp_path: Path) -> Path:
    """A project with a build backend of its own, so that an editable install needs no index. Its path has a space."""
    project = tmp_path / "my projects" / "tools"
    (project / "code" / "local_tools").mkdir(parents=True)
    (project / "code" / "local_tools" / "__init__.py").write_text("import yaml\n")
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "Local_Tools"\nversion = "0.3"\n'
    )
    return project


class CondaEnv:
    """A prefix with the files and the ``conda-meta`` records that conda leaves."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        (prefix / "conda-meta").mkdir(parents=True)
        self.site = f"lib/python{PYTHON}/site-packages"
        (prefix / self.site).mkdir(parents=True)
        (prefix / "conda-meta" / "history").write_text("")
        self.add("python", f"{PYTHON}.7", "h1_0_cpython", [f"bin/python{PYTHON}"])
        self.add("pip", "23.3", "pyhd8ed1ab_0", [f"{self.site}/pip/__init__.py"], dist="pip")

    def add(
        self,
        name: str,
        version: str,
        build: str,
        files: list[str],
        *,
        dist: str | None = None,
        channel: str = f"https://{public_host()}/conda-forge/linux-64",
    ) -> None:
        """Install a conda package; with ``dist`` it carries a Python distribution's metadata."""
        files = list(files)
        if dist:
            info = f"{self.site}/{dist}-{version}.dist-info"
            record = "".join(f"{file.removeprefix(self.site + '/')},,\n" for file in files if self.site in file)
            self._write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
            self._write(f"{info}/RECORD", record)
            self._write(f"{info}/INSTALLER", "conda")
            # conda-forge's builds leave where they were built.
            self._write(
                f"{info}/direct_url.json", '{"dir_info": {}, "url": "file:///home/conda/feedstock_root/x/work"}'
            )
            files += [f"{info}/{one}" for one in ("METADATA", "RECORD", "INSTALLER", "direct_url.json")]
        for file in files:
            if not (self.prefix / file).exists():
                self._write(file, "")
        record = {
            "build": build, "build_number": 0, "channel": channel, "depends": [], "files": files, "name": name,
            "fn": f"{name}-{version}-{build}.conda", "subdir": channel.rpartition("/")[2], "version": version,
            "link": {"source": f"/opt/conda/pkgs/{name}-{version}-{build}", "type": 1},
            "url": f"{channel}/{name}-{version}-{build}.conda",
        }  # fmt: skip
        (self.prefix / "conda-meta" / f"{name}-{version}-{build}.json").write_text(json.dumps(record, indent=2))

    def pip(self, dist: str, version: str, files: list[str]) -> None:
        """Install a distribution as pip does in a conda environment: conda knows nothing of it."""
        info = f"{self.site}/{dist}-{version}.dist-info"
        self._write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        self._write(f"{info}/RECORD", "".join(f"{file},,\n" for file in files))
        for file in files:
            self._write(f"{self.site}/{file}", "")

    def _write(self, path: str, text: str) -> None:
        (self.prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (self.prefix / path).write_text(text)


@pytest.fixture
def conda_env(tmp_path_factory: pytest.TempPathFactory) -> CondaEnv:
    """A conda environment with python and pip."""
    return CondaEnv(tmp_path_factory.mktemp("conda") / "env")


@pytest.fixture
def look(env: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Analysis]:
    """Analyse a text, written to ``app.py`` in an empty working directory, against an empty environment."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, **options: Any) -> Analysis:
        (tmp_path / "app.py").write_text(text)
        return analyze([Path("app.py")], prefix=options.pop("prefix", env.prefix), **options)

    return run
