"""Isolation of every test, and the fixtures that all floors share. See tests/support/README.md."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.channel import Channel, channels_directory
from tests.support.faults import FULL
from tests.support.interpreter import FULL_VERSION
from tests.support.server import FileServer, serve

_shared = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Isolate before anything of the project is imported; full counts take as long as they take."""
    if FULL:
        config.option.timeout = 0
    config.stash[_shared] = machine.isolate(os.environ.get("PYTEST_XDIST_WORKER", "main"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Delete what the workers shared, once they are gone."""
    if not hasattr(config, "workerinput") and _shared in config.stash:
        machine.forget(config.stash[_shared])


@pytest.fixture(scope="session")
def shared_directory(request: pytest.FixtureRequest) -> Path:
    """Return the directory that all workers of this session share: for what is made once, under a file lock."""
    return request.config.stash[_shared]


@pytest.fixture(scope="session")
def channel() -> Iterator[Channel]:
    """Yield the test channel, from its folder and over HTTP."""
    root = channels_directory()
    with ExitStack() as stack:
        urls = {name: stack.enter_context(serve(FileServer(root / name))).url for name in ("first", "second")}
        second = Channel(root / "second", urls["second"], FULL_VERSION)
        yield Channel(root / "first", urls["first"], FULL_VERSION, second)


@pytest.fixture
def channel_server(channel: Channel) -> Iterator[Callable[..., FileServer]]:
    """Yield a function that serves the channel (or ``root=``) for this test alone; options are those of FileServer."""
    with ExitStack() as stack:

        def start(root: Path = channel.path, **options: object) -> FileServer:
            return stack.enter_context(serve(FileServer(root, **options)))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def everyone() -> Iterator[Path]:
    """Yield a directory that other users can enter, for running as one of them."""
    path = Path(tempfile.mkdtemp(prefix="poncho-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
