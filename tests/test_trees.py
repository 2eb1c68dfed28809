"""Directories that lie deeper in each other than functions can call themselves."""

from __future__ import annotations

import os
from pathlib import Path

from poncho._trees import make_directories, walk
from poncho.store import remove_tree
from tests.support.odd import deep


def test_a_tree_is_walked_as_the_standard_library_does(tmp_path: Path) -> None:
    for name in ("a/b/c", "a/d", "z"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "file").symlink_to("a/b/c/file")
    os.mkfifo(tmp_path / "pipe")
    assert list(walk(tmp_path)) == list(os.walk(tmp_path))
    (top, directories, files), *_ = walk(tmp_path, regular=True)
    assert (top, sorted(directories), files) == (str(tmp_path), ["a", "link", "z"], ["file"])
    pruned = walk(tmp_path)
    next(pruned)[1].remove("a")
    assert [Path(place).name for place, _, _ in pruned] == ["z"]
    assert list(walk(tmp_path / "missing")) == []


def test_a_deep_tree_is_made_walked_and_deleted(tmp_path: Path) -> None:
    make_directories(f"{tmp_path}/made" + "/d" * 1200)
    assert sum(1 for _ in walk(tmp_path / "made")) == 1201
    deep(tmp_path / "other", 1200)
    for name in ("made", "other"):
        remove_tree(tmp_path / name)
    assert os.listdir(tmp_path) == []
