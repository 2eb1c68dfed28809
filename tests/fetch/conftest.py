"""Servers and caches for the tests of the fetch floor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from poncho.store import BuilderCache
from tests.support import servers
from tests.support.gitserver import GitServer, Repository
from tests.support.httpserver import HttpServer


@pytest.fixture(autouse=True)
def _quiet_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    servers.quiet_network(monkeypatch, tmp_path / "home")


@pytest.fixture
def cache(tmp_path: Path) -> BuilderCache:
    """Return an empty builder's cache."""
    return BuilderCache(tmp_path / "cache")


@pytest.fixture
def web() -> Iterator[HttpServer]:
    """Yield a loopback HTTP server."""
    with servers.http_server() as server:
        yield server


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """Yield a smart http git server for what lies below its ``root``."""
    with servers.git_ground(tmp_path / "srv") as server:
        yield server


@pytest.fixture
def repository(git_server: GitServer) -> Repository:
    """Return a repository on ``git_server`` with two commits, a branch and an annotated tag."""
    made = Repository(git_server.root / "analysis.git")
    first = made.commit({"data/events.csv": "1,2\n", "run.sh": "#!/bin/sh\n"}, "first")
    made.git("tag", "--annotate", "--message", "one", "v1", first)
    made.git("branch", "old", first)
    (made.work / "run.sh").chmod(0o755)
    made.commit({"data/events.csv": "3,4\n"}, "second")
    return made
