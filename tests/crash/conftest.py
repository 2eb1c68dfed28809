"""A runner on a node of its own, and a real package to run on it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.realpackage import real_package
from tests.support.runner import Runner


@pytest.fixture(autouse=True)
def signals_as_at_a_terminal() -> None:
    """Undo that whoever started the tests in the background had INT and QUIT ignored: no shell could undo it."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "node")


@pytest.fixture(scope="session")
def real(shared_directory: Path) -> Path:
    """Return a package with a Python in it, made by the real packer; it unpacks itself. Read only."""
    return real_package(shared_directory)
