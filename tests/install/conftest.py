"""One installed environment for the tests of a worker to copy, and small real wheels to install into it."""

from __future__ import annotations

import base64
import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho.store import BuilderCache
from tests.support.interpreters import make_base_prefix

MakeWheel = Callable[..., Path]


@pytest.fixture(scope="session")
def builder_cache(tmp_path_factory: pytest.TempPathFactory) -> BuilderCache:
    return BuilderCache(tmp_path_factory.mktemp("builder-cache"))


@pytest.fixture
def prefix(builder_cache: BuilderCache, tmp_path: Path) -> Path:
    """Return a new environment with this machine's interpreter and pip."""
    return make_base_prefix(tmp_path / "env", builder_cache)


@pytest.fixture(scope="session")
def shared_prefix(builder_cache: BuilderCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment that tests only read."""
    return make_base_prefix(tmp_path_factory.mktemp("shared") / "env", builder_cache)


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    """Return a function that writes a wheel NAME-VERSION with the given files and returns its path."""

    def make(name: str, version: str, files: dict[str, str], scripts: str = "") -> Path:
        info = f"{name}-{version}.dist-info"
        content = {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        if scripts:
            content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}\n"
        lines = [f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in content.items()]
        content[f"{info}/RECORD"] = "".join(lines) + f"{info}/RECORD,,\n"
        directory = tmp_path / "wheels"
        directory.mkdir(exist_ok=True)
        target = directory / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(target, "w") as archive:
            for path, text in content.items():
                archive.writestr(path, text)
        return target

    return make


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a small project that builds without any build requirement: its back end lies beside it."""
    root = tmp_path / "my project"
    shutil.copytree(Path(__file__).parent / "data" / "project", root)
    return root
