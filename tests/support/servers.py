"""The loopback servers of the fetch tests as context managers, and an environment in which they are all that counts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.gitserver import GitServer, Repository, git_daemon
from tests.support.httpserver import HttpServer

__all__ = ["GitServer", "HttpServer", "Repository", "git_daemon", "git_ground", "http_server", "quiet_network"]


@contextmanager
def http_server() -> Iterator[HttpServer]:
    """Yield a running ``HttpServer``."""
    with HttpServer() as server:
        yield server


@contextmanager
def git_ground(root: Path, *, login: tuple[str, str] | None = None) -> Iterator[GitServer]:
    """Yield a running ``GitServer`` for the bare repositories below ``root``."""
    with ExitStack() as stack:
        root.mkdir(parents=True, exist_ok=True)
        yield stack.enter_context(GitServer(root, login=login))


def quiet_network(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Take away what this machine's user has set up: proxies, netrc, git's configuration, askpass programs."""
    home.mkdir(exist_ok=True)
    for name in list(os.environ):
        if name.startswith("GIT_") or name.lower().endswith("_proxy") or name in ("NETRC", "SSH_ASKPASS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
