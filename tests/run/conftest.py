"""The runner in every shell of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.handmade import plain
from tests.support.runner import SHELLS, Runner


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not shutil.which(name):
        pytest.skip(f"no {name} on this machine")
    return name


@pytest.fixture
def run(tmp_path: Path, shell: str) -> Runner:
    """Return the runner, to be run by each shell in turn."""
    return Runner(tmp_path / "node", shell)


@pytest.fixture
def node(tmp_path: Path) -> Runner:
    """Return the runner, run by /bin/sh."""
    return Runner(tmp_path / "node")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package with relocation records and no Python."""
    path = tmp_path / "env.tar.gz"
    plain().write(path)
    return path
