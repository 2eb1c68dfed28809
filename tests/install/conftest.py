"""One installed environment for the tests of a worker to copy, and small real wheels to install into it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho.store import BuilderCache
from tests.support.interpreters import make_base_prefix
from tests.support.wheels_index import write_wheel

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
        return write_wheel(tmp_path / "wheels", name, version, files, scripts=scripts)

    return make


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a small project that builds without any build requirement: its back end lies beside it."""
    root = tmp_path / "my project"
    shutil.copytree(Path(__file__).parent / "data" / "project", root)
    return root
