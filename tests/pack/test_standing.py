"""What no archive can hold is refused by its name before anything is written; what a package can do without is left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho.errors import BuildError
from poncho.pack import Overlay
from poncho.pack.layout import formats
from poncho.package import verify
from tests.support.images import needs_tools
from tests.support.packages import members, unpack
from tests.support.prefixes import packed


def _file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x\n")


def _behind_a_link(path: Path, to: str = "moved") -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(to)


def _file_instead(path: Path) -> None:
    path.rename(path.with_name("moved"))
    _file(path)


def _directory_instead(path: Path) -> None:
    path.unlink()
    _file(path / "f")


IN_THE_WAY: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "bin is a link": (lambda e: _behind_a_link(e / "bin"), "bin", "link"),
    "bin is a link to nowhere": (lambda e: _behind_a_link(e / "bin", "nowhere"), "bin", "link"),
    "bin is a file": (lambda e: _file_instead(e / "bin"), "bin", "file"),
    "poncho is a file": (lambda e: _file(e / "poncho"), "poncho", "file"),
    "poncho is a link": (lambda e: (e / "poncho").symlink_to("share"), "poncho", "link"),
    "the spec is a directory": (lambda e: _file(e / "conda_spec.yml/f"), "conda_spec.yml", "directory"),
    "the spec is an empty directory": (lambda e: (e / "conda_spec.yml").mkdir(), "conda_spec.yml", "directory"),
    "a script is a directory": (lambda e: _file(e / "bin/activate/f"), "bin/activate", "directory"),
    "the runner is a directory": (
        lambda e: _file(e / "bin/poncho_package_run/deep/f"),
        "bin/poncho_package_run",
        "directory",
    ),
    "python is a directory": (lambda e: _file(e / "bin/python3/f"), "bin/python3", "directory"),
    "conda's records are behind a link": (lambda e: _behind_a_link(e / "conda-meta"), "conda-meta", "link"),
    "conda's history is a directory": (
        lambda e: _directory_instead(e / "conda-meta/history"),
        "conda-meta/history",
        "directory",
    ),
}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_in_the_way_of_the_packages_own_files_is_named(what: str, prefix: Path, tmp_path: Path) -> None:
    make, path, kind = IN_THE_WAY[what]
    make(prefix)
    with pytest.raises(BuildError) as caught:
        packed(prefix, tmp_path / "env.tar.gz")
    assert caught.value.message.startswith(f"{path}: is a {kind} in the environment")
    assert caught.value.hint
    assert not (tmp_path / "env.tar.gz").exists()


@pytest.mark.parametrize("form", [pytest.param(form, marks=needs_tools) for form in formats()])
def test_every_format_refuses_it(form: str, prefix: Path, tmp_path: Path) -> None:
    _behind_a_link(prefix / "bin")
    with pytest.raises(BuildError, match="bin: is a link"):
        packed(prefix, tmp_path / "out", format=form)
    assert not os.path.lexists(tmp_path / "out")


def test_files_and_links_of_the_same_names_give_way_to_the_packages_own(prefix: Path, tmp_path: Path) -> None:
    _file(prefix / "bin/activate")
    _file(prefix / "conda_spec.yml")
    (prefix / "bin/run_in_env").symlink_to("tool")
    (prefix / "poncho").mkdir()
    _file(prefix / "poncho/env.sh/f")
    done = packed(prefix, tmp_path / "env.tar.gz")
    assert verify(done.path).digest == done.digest
    assert members(done.path)["bin/run_in_env"].isreg()


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_what_a_runner_left_in_the_directory_stays_there(kind: str, prefix: Path, tmp_path: Path) -> None:
    before = packed(prefix, tmp_path / "before.tar.gz").digest
    if kind == "directory":
        _file(prefix / ".poncho/lock")
        _file(prefix / ".poncho/4f2a/bin/python")
    elif kind == "file":
        _file(prefix / ".poncho")
    else:
        (prefix / ".poncho").symlink_to("share")
    assert packed(prefix, tmp_path / "env.tar.gz").digest == before


def test_a_directory_of_that_name_further_down_travels(prefix: Path, tmp_path: Path) -> None:
    _file(prefix / "share/.poncho/f")
    assert "share/.poncho/f" in members(packed(prefix, tmp_path / "env.tar.gz").path)


class TestOver:
    """Code that is packed over the environment."""

    SITE = "lib/python3.11/site-packages"

    @pytest.fixture
    def over(self, tmp_path: Path) -> Path:
        over = tmp_path / "over"
        over.mkdir()
        return over

    @pytest.mark.parametrize("kind", ["link", "file"])
    def test_a_module_below_a_link_or_file_is_refused(
        self, kind: str, over: Path, prefix: Path, tmp_path: Path
    ) -> None:
        if kind == "link":
            (prefix / self.SITE / "code").symlink_to("thing")
        else:
            _file(prefix / self.SITE / "code")
        _file(over / self.SITE / "code/__init__.py")
        with pytest.raises(BuildError) as caught:
            packed(prefix, tmp_path / "env.tar.gz", overlay=Overlay(over))
        assert f"{self.SITE}/code: is a {kind}, and {self.SITE}/code/__init__.py" in caught.value.message

    @pytest.mark.parametrize("kind", ["link", "file"])
    def test_a_link_or_file_in_the_place_of_a_directory_is_refused(
        self, kind: str, over: Path, prefix: Path, tmp_path: Path
    ) -> None:
        if kind == "link":
            _file(over / self.SITE / "other/__init__.py")
            (over / self.SITE / "thing").symlink_to("other")
        else:
            _file(over / self.SITE / "thing")
        with pytest.raises(BuildError) as caught:
            packed(prefix, tmp_path / "env.tar.gz", overlay=Overlay(over))
        assert f"{self.SITE}/thing: is a {kind}, and {self.SITE}/thing/__init__.py" in caught.value.message

    def test_its_own_directory_in_the_way_of_a_script_is_refused(
        self, over: Path, prefix: Path, tmp_path: Path
    ) -> None:
        _file(over / "bin/deactivate/f")
        with pytest.raises(BuildError, match="bin/deactivate: is a directory"):
            packed(prefix, tmp_path / "env.tar.gz", overlay=Overlay(over))

    @pytest.mark.parametrize("kind", ["link", "file"])
    def test_bytecode_is_left_out_where_the_environment_has_no_directory_for_it(
        self, kind: str, over: Path, prefix: Path, tmp_path: Path
    ) -> None:
        if kind == "link":
            (prefix / self.SITE / "thing/__pycache__").symlink_to("../../../../share")
        else:
            _file(prefix / self.SITE / "thing/__pycache__")
        _file(over / self.SITE / "thing/__pycache__/__init__.cpython-311.pyc")
        done = packed(prefix, tmp_path / "env.tar.gz", overlay=Overlay(over))
        assert verify(done.path).digest == done.digest
        found = members(done.path)[f"{self.SITE}/thing/__pycache__"]
        assert found.issym() if kind == "link" else found.isreg()

    def test_an_empty_directory_takes_nothing_away(self, over: Path, prefix: Path, tmp_path: Path) -> None:
        for name in ("lib/relative", "lib/plain.txt", "share"):
            (over / name).mkdir(parents=True)
        done = packed(prefix, tmp_path / "env.tar.gz", overlay=Overlay(over))
        found = members(done.path)
        assert found["lib/relative"].issym()
        assert found["lib/plain.txt"].isreg()


def test_a_link_to_a_directory_elsewhere_in_the_environment_travels(prefix: Path, tmp_path: Path) -> None:
    _behind_a_link(prefix / "lib")
    done = packed(prefix, tmp_path / "env.tar.gz")
    assert verify(done.path).digest == done.digest
    there = unpack(done.path, tmp_path / "there")
    assert (there / "lib/plain.txt").read_text() == "nothing special\n"
