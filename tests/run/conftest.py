"""The runner in every shell of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.handmade import plain
from tests.support.httpserver import HttpServer
from tests.support.runner import SHELLS, Runner
from tests.support.servers import http_server


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


@pytest.fixture
def content(package: Path) -> bytes:
    """Return that package's bytes."""
    return package.read_bytes()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """Return a server on loopback for packages that URLs name."""
    with http_server() as server:
        yield server
