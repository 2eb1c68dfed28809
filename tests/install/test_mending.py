"""A damaged copy in an installer's cache is named by what is wrong with it, and fetched again where that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.errors import BuildError
from poncho.install.intact import Wrong
from poncho.install.mending import Mending
from poncho.store import BuilderCache

CHANGED = Wrong("x", "1", "x.py", "is not what was packed into it", "00")
LOST = Wrong("y", "1", "y-1.dist-info/RECORD", "is cut off", "1")


@pytest.fixture
def cache(tmp_path: Path) -> BuilderCache:
    return BuilderCache(tmp_path / "cache")


class Installer:
    """Has files that are wrong, and others when packages are installed once more."""

    def __init__(self, *rounds: Sequence[Wrong]) -> None:
        self.rounds = [list(one) for one in rounds]
        self.asked: list[str] = []

    def look(self) -> list[Wrong]:
        return self.rounds[0]

    def again(self, names: Sequence[str]) -> bool:
        self.asked += names
        del self.rounds[0]
        return True


def mend(installer: Installer, cache: BuilderCache, *names: str, offline: bool = False) -> list[str]:
    said: list[Event] = []
    Mending("pip", "pip", "wheel", installer.look, installer.again, cache, offline, said.append).mend(names)
    return [event.message for event in said]


@pytest.mark.parametrize("wrong", [[CHANGED, LOST], [LOST, CHANGED]], ids=["after", "before"])
def test_the_package_is_named_of_which_something_is_lost(cache: BuilderCache, wrong: list[Wrong]) -> None:
    with pytest.raises(BuildError, match=r"pip package y is damaged \(y-1.dist-info/RECORD is cut off\)"):
        mend(Installer(wrong), cache, offline=True)
    installer = Installer(wrong, [])
    assert mend(installer, cache) == [
        "the cache's copy of pip package y is damaged (y-1.dist-info/RECORD is cut off): it is fetched again"
    ]
    assert installer.asked == ["x", "y"]


def test_what_is_wrong_in_the_package_itself_is_told_of_once(cache: BuilderCache) -> None:
    assert mend(Installer([CHANGED], [CHANGED]), cache)[1:] == [
        "pip package x: x.py is not what was packed into it, in the wheel itself"
    ]
    assert mend(Installer([CHANGED]), cache) == []
    assert mend(Installer([CHANGED]), cache, offline=True) == []


def test_a_package_that_could_not_be_installed_is_fetched_again(cache: BuilderCache) -> None:
    installer = Installer([CHANGED], [])
    assert mend(installer, cache, "z") == ["the cache's copy of pip package z is damaged: it is fetched again"]
    assert installer.asked == ["z"]
    with pytest.raises(BuildError, match="pip package z is damaged"):
        mend(Installer([]), cache, "z", offline=True)
