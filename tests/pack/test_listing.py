"""Directories that two processes list: the same comes of it, whichever does it, and whatever becomes of the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from poncho.errors import BuildError
from poncho.pack import lister
from poncho.pack.listing import GONE, rows
from poncho.pack.walk import LeaveOut, Tree, walk
from poncho.store import remove_tree
from tests.support.odd import deep


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An environment of 100 packages, some with directories in each other, links, and a directory to be left out."""
    site = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    for number in range(100):
        inner = site / f"package{number}" / "inner" / "é\udcff"
        inner.mkdir(parents=True)
        for path in (site / f"package{number}/__init__.py", inner / "data"):
            path.write_text(str(number))
        (inner / "link").symlink_to("../../__init__.py")
        (site / f"package{number}" / "empty").mkdir()
        (site / f"package{number}-1.dist-info").mkdir()
        (site / f"package{number}-1.dist-info" / "RECORD").write_text("")
    (site / "package7" / "secret" / "inner").mkdir(parents=True)
    (site / "package7" / "secret" / "inner" / "key").write_text("")
    return tmp_path / "env"


def walked(root: Path, asked: list[Sequence[str]] | None = None) -> Tree:
    leave_out = LeaveOut({"secret"}, lambda path: path.endswith("/secret"))
    meanwhile = None if asked is None else asked.append
    return walk(root, [str(root)], leave_out, meanwhile=meanwhile)


def facts(tree: Tree) -> tuple[object, ...]:
    return sorted(tree.entries, key=lambda entry: entry.path), tree.directories, sorted(tree.warnings)


def test_two_processes_find_what_one_finds(root: Path) -> None:
    asked: list[Sequence[str]] = []
    alone, beside = walked(root), walked(root, asked)
    assert facts(beside) == facts(alone)
    assert len(alone.entries) == 500
    assert not any("secret" in entry.path for entry in beside.entries)
    assert len(asked) == 1
    assert "lib/python3.11/site-packages/package1-1.dist-info/" in asked[0]


def test_the_other_process_takes_its_share(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = "lib/python3.11/site-packages/"
    units = [f"{site}package{number}/" for number in range(100)]
    mine: list[str] = []
    # This one takes nothing: all is left to the other.
    monkeypatch.setattr(lister.listing, "taken", lambda tokens: iter(()))
    found = lister.list_beside(str(root), units, mine.append, lambda: None)
    assert not mine
    assert list(found) == units
    inner = f"{units[3]}inner/é\udcff/"
    assert {row[0] for row in found[units[3]][inner]} == {"data", "link"}
    assert found[units[3]][inner] == rows(f"{root}/{inner}")


@pytest.mark.parametrize(
    "helper", ["/nowhere/python", "/bin/false", "#!/bin/sh\necho nonsense\n", "#!/bin/sh\nkill -9 $$\n"]
)
def test_without_another_process_the_same_is_found(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helper: str
) -> None:
    if helper.startswith("#!"):
        script = tmp_path / "helper"
        script.write_text(helper)
        script.chmod(0o755)
        helper = str(script)
    alone = walked(root)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(sys, "executable", helper)
    assert facts(walked(root, [])) == facts(alone)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_that_cannot_be_read_is_named_whoever_meets_it(root: Path) -> None:
    package = root / "lib/python3.11/site-packages/package50"
    deep(package / "deep", 2100)  # its path is longer than any path can be
    try:
        with pytest.raises(BuildError, match=r"package50/deep/d/.*: cannot be read"):
            walked(root, [])
    finally:
        remove_tree(package / "deep")


def test_what_goes_while_it_is_listed_is_an_error_unless_it_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.stat

    def without(path: str, **options: object) -> os.stat_result:
        if path in ("__init__.py", "secret"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return stat(path, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "stat", without)
    assert ("__init__.py", GONE, 0, 0, "") in rows(f"{root}/lib/python3.11/site-packages/package7")
    with pytest.raises(BuildError, match=r"package\d+/__init__.py: cannot be read"):
        walked(root)
