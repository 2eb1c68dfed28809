"""Environments that stay: who finds them, who changes them, and what is never used again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.errors import BuildError
from poncho.install.kept import KeptEnvironments, identity
from poncho.install.slots import Slot, delete_unused, is_untouched, trim
from poncho.lock.model import LockedPip
from poncho.store import BuilderCache
from poncho.store.stamps import take_stamps

SITE = "lib/python3.11/site-packages"
KEY = "ab" * 32


class Filler:
    """Installs packages of one module each by writing it and its record; counts what it did."""

    def __init__(self) -> None:
        self.new = 0
        self.installed: list[list[str]] = []
        self.compiled: list[Sequence[str] | None] = []
        self.fails = False
        self.extra: dict[str, str] = {}

    def conda(self, prefix: Path) -> None:
        self.new += 1
        (prefix / SITE).mkdir(parents=True)
        (prefix / SITE / "README.txt").write_text("")
        (prefix / "conda-meta").mkdir()

    def pip(self, items: Sequence[LockedPip], prefix: Path) -> None:
        self.installed.append([item.name for item in items])
        if self.fails:
            raise BuildError("no such wheel")
        for item in items:
            info = f"{item.name}-{item.version}.dist-info"
            files = {f"{item.name}/__init__.py": f"version = {item.version!r}\n", f"{info}/METADATA": "", **self.extra}
            files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
            for name, text in files.items():
                path = prefix / SITE / name
                path.parent.mkdir(exist_ok=True)
                path.unlink(missing_ok=True)
                path.write_text(text)

    def compile(self, prefix: Path, directories: Sequence[str] | None) -> None:
        self.compiled.append(directories)


def pips(*texts: str) -> list[LockedPip]:
    return [LockedPip(name, version, text) for text in texts for name, _, version in [text.partition("==")]]


@pytest.fixture
def cache(tmp_path: Path) -> BuilderCache:
    return BuilderCache(tmp_path / "cache")


@pytest.fixture
def filler() -> Filler:
    return Filler()


@pytest.fixture
def said() -> list[Event]:
    return []


@pytest.fixture
def kept(cache: BuilderCache, filler: Filler, said: list[Event]) -> KeptEnvironments:
    return KeptEnvironments(cache, KEY, filler, said.append)


def modules(prefix: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in sorted((prefix / SITE).glob("*/__init__.py"))}


def test_the_same_packages_are_the_same_environment_and_nothing_is_done(kept: KeptEnvironments, filler: Filler) -> None:
    with kept.with_pip(pips("a==1", "b==1")) as first:
        made = modules(first)
    with kept.with_pip(pips("b==1", "a==1")) as again:
        assert again == first
        assert modules(again) == made
    assert (filler.new, len(filler.installed)) == (1, 1)


def test_only_what_differs_is_exchanged_and_compiled(kept: KeptEnvironments, filler: Filler) -> None:
    with kept.with_pip(pips("a==1", "b==1", "c==1")) as prefix:
        inode = (prefix / SITE / "a/__init__.py").stat().st_ino
    with kept.with_pip(pips("a==1", "b==2", "d==1")) as changed:
        assert changed == prefix
        assert modules(changed) == {"a": "version = '1'\n", "b": "version = '2'\n", "d": "version = '1'\n"}
        assert not list((changed / SITE).glob("c*"))
        assert (changed / SITE / "a/__init__.py").stat().st_ino == inode
    assert filler.installed[1:] == [["b", "d"]]
    assert filler.compiled == [None, [f"{SITE}/b", f"{SITE}/c", f"{SITE}/d"]]


def test_each_step_that_began_is_said_to_have_ended(kept: KeptEnvironments, said: list[Event]) -> None:
    for wanted in (pips("a==1", "b==1"), pips("a==1", "b==2")):
        with kept.with_pip(wanted):
            pass
    install = [event for event in said if event.step == "install" and event.kind in ("start", "done")]
    assert [event.kind for event in install] == ["start", "done"]
    assert all(event.message.endswith("different: b") for event in install)


def test_most_of_an_environment_is_not_exchanged_but_made_new(kept: KeptEnvironments, filler: Filler) -> None:
    with kept.with_pip(pips(*(f"p{n}==1" for n in range(10)))):
        pass
    with kept.with_pip(pips(*(f"p{n}==2" for n in range(10)))):
        pass
    assert filler.new == 2


def test_an_environment_that_is_being_read_is_not_changed(kept: KeptEnvironments, filler: Filler) -> None:
    with kept.with_pip(pips("a==1")) as first:
        with kept.with_pip(pips("a==2")) as second:
            assert second != first
            assert modules(first) == {"a": "version = '1'\n"}
        with kept.with_pip(pips("a==1")) as shared:
            assert shared == first
    assert filler.new == 2


def test_what_somebody_else_touched_is_not_changed_into_another_either(kept: KeptEnvironments, filler: Filler) -> None:
    with kept.with_pip(pips("a==1", "b==1")) as prefix:
        pass
    (prefix / SITE / "a/__init__.py").unlink()
    (prefix / SITE / "a/__init__.py").write_text("version = 'hand made'\n")
    with kept.with_pip(pips("a==1", "b==2")) as made:
        assert made != prefix
        assert modules(made) == {"a": "version = '1'\n", "b": "version = '2'\n"}
    assert filler.new == 2


def test_what_somebody_else_touched_is_not_used(
    kept: KeptEnvironments, filler: Filler, said: list[Event], cache: BuilderCache
) -> None:
    with kept.with_pip(pips("a==1")) as prefix:
        assert is_untouched(prefix.parent)
    (prefix / SITE / "more.py").write_text("")
    assert is_untouched(prefix.parent) is False
    with kept.with_pip(pips("a==1")) as other:
        assert other != prefix
    assert filler.new == 2
    assert any("changed by somebody else" in event.message for event in said)
    assert is_untouched(prefix.parent) is None


def test_packages_that_share_files_or_leave_some_behind_get_a_new_environment(
    kept: KeptEnvironments, filler: Filler, said: list[Event]
) -> None:
    with kept.with_pip(pips("a==1", "b==1")) as prefix:
        pass
    # Not listed in any RECORD, and so it would stay: state.json knows it as part of the environment.
    (prefix / SITE / "b-1.dist-info" / "unlisted").write_text("")
    state = Slot(prefix.parent)
    stamps = take_stamps(prefix)
    pip = state.state()
    assert pip is not None
    state.write_state(pip.pip, stamps)
    with kept.with_pip(pips("a==1", "b==2")) as new:
        assert not list(new.rglob("unlisted"))
    assert any("left files behind" in event.message for event in said)
    filler.extra = {"shared.py": "x = 1\n"}
    with kept.with_pip(pips("a==3", "b==3")) as new:
        pass
    with kept.with_pip(pips("a==3", "b==4")) as new:
        assert modules(new) == {"a": "version = '3'\n", "b": "version = '4'\n"}
    assert any("share files" in event.message for event in said)


def test_a_failed_exchange_deletes_the_environment_and_a_failed_build_leaves_none(
    kept: KeptEnvironments, filler: Filler, cache: BuilderCache
) -> None:
    with kept.with_pip(pips("a==1")):
        pass
    filler.fails = True
    with pytest.raises(BuildError, match="no such wheel"), kept.with_pip(pips("a==2")):
        pass
    assert [path for path in (cache.root / "environments").iterdir() if (path / "state.json").exists()] == []
    filler.fails = False
    with kept.with_pip(pips("a==2")) as prefix:
        assert modules(prefix) == {"a": "version = '2'\n"}


def test_a_new_one_that_does_not_stay_is_deleted_and_changes_no_other(
    kept: KeptEnvironments, filler: Filler, cache: BuilderCache
) -> None:
    with kept.with_pip(pips("a==1")) as first:
        pass
    with kept.with_pip(pips("a==1"), new=True) as loose:
        assert loose != first
        assert modules(loose) == modules(first)
    assert not loose.exists()
    assert os.listdir(cache.root / "tmp") == []


def test_builders_that_want_the_same_at_once_build_it_once(kept: KeptEnvironments, filler: Filler) -> None:
    seen: list[Path] = []

    def build() -> None:
        with kept.with_pip(pips("a==1", "b==1")) as prefix:
            assert modules(prefix) == {"a": "version = '1'\n", "b": "version = '1'\n"}
            seen.append(prefix)

    threads = [threading.Thread(target=build) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 6
    assert len(set(seen)) == 1
    assert filler.new == 1


def test_the_conda_packages_alone_are_kept_beside(kept: KeptEnvironments, filler: Filler) -> None:
    with kept.conda_only() as first, kept.conda_only() as second:
        assert first == second
        assert first.parent.name.endswith("-base")
    with kept.with_pip(pips("a==1")) as prefix:
        assert prefix != first
    assert filler.new == 2


def test_a_state_of_another_place_or_format_counts_as_none(kept: KeptEnvironments, filler: Filler) -> None:
    with kept.with_pip(pips("a==1")) as prefix:
        pass
    moved = prefix.parent.with_name(prefix.parent.name[:-8] + "00000000")
    prefix.parent.rename(moved)
    assert Slot(moved).state() is None
    with kept.with_pip(pips("a==1")) as other:
        assert other.parent != moved
    (other.parent / "state.json").write_text('{"format": 99}')
    assert Slot(other.parent).state() is None


def test_the_longest_unused_goes_and_what_is_in_use_stays(
    kept: KeptEnvironments, cache: BuilderCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = cache.root / "environments"
    places = []
    for number in range(3):
        # Far from each other, so that none is made from another.
        with kept.with_pip(pips(*(f"p{number}x{n}==1" for n in range(5)))) as prefix:
            places.append(prefix.parent)
        then = time.time() - 1000 + number
        os.utime(prefix.parent / "state.json", (then, then))
    with kept.with_pip(pips(*(f"p0x{n}==1" for n in range(5)))) as used:
        assert used.parent == places[0]
        os.utime(places[0] / "state.json", (1, 1))
        trim(root, keep=1)
        assert [place.exists() for place in places] == [True, False, True]
        assert not delete_unused(places[0], cache)
    assert delete_unused(places[0], cache)
    assert delete_unused(places[0], cache)  # it is gone already
    left, foreign = root / f"{'a' * 24}-00000000", root / "mine"
    left.mkdir()
    foreign.mkdir()
    trim(root)
    assert left.exists()  # it may be one that is just being made
    monkeypatch.setattr("poncho.install.slots._JUST_MADE", -1.0)
    trim(root)
    assert not left.exists()
    assert foreign.exists()  # no builder gives such names


def test_a_state_is_gone_while_the_environment_is_changed(
    kept: KeptEnvironments, filler: Filler, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept.with_pip(pips("a==1")) as prefix:
        pass
    states: list[bool] = []
    install = filler.pip

    def watched(items: Sequence[LockedPip], where: Path) -> None:
        states.append((prefix.parent / "state.json").exists())
        install(items, where)

    monkeypatch.setattr(filler, "pip", watched)
    with kept.with_pip(pips("a==2")):
        pass
    assert states == [False]


def test_the_identity_of_a_package_is_its_bytes_where_they_are_known() -> None:
    here = LockedPip("a", "1", "a==1", url="https://one.invalid/a.whl", sha256="ab" * 32)
    there = LockedPip("a", "1", "a==1", url="https://two.invalid/a.whl", sha256="ab" * 32)
    assert identity(here) == identity(there)
    assert identity(here) != identity(LockedPip("a", "1", "a==1", url=here.url, sha256="cd" * 32))
    assert identity(LockedPip("a", "1", "a==1", url=here.url)) != identity(LockedPip("a", "1", "a==1", url=there.url))
