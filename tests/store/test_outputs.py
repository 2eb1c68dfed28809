"""What is to be written is none of what is read, and no two outputs are one file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poncho.errors import StoreError, UsageError
from poncho.store.outputs import check_apart, check_kept, check_output


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file that is read, with a link, a hard link and a copy beside it."""
    (tmp_path / "source").write_text("what is read")
    (tmp_path / "link").symlink_to("source")
    os.link(tmp_path / "source", tmp_path / "hard")
    (tmp_path / "copy").write_text("what is read")
    return tmp_path / "source"


@pytest.mark.parametrize("name", ["source", "link", "hard", "../{}/source"])
def test_what_is_read_is_not_written_by_whatever_name(source: Path, name: str) -> None:
    output = source.parent / name.format(source.parent.name)
    with pytest.raises(UsageError, match="would be overwritten") as caught:
        check_kept(output, "no such file", None, source)
    assert caught.value.hint


def test_what_is_no_file_or_another_one_may_be_written(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_kept(source.parent / "copy", source)
    check_kept(source.parent / "new", source, {"pip": []}, None, "-")
    check_kept("-", "-")
    check_kept(None, source)
    # A conda environment may be called what the output is.
    monkeypatch.chdir(source.parent)
    check_kept("base", "base")


def test_who_may_take_its_own_place_does(source: Path) -> None:
    check_kept(source, source, unless=lambda path: path.name == "source")
    with pytest.raises(UsageError):
        check_kept(source, source, unless=lambda path: False)


@pytest.mark.parametrize("pair", [("new", "new"), ("new", "./new"), ("source", "hard"), ("link", "source")])
def test_two_outputs_are_two_files_there_or_not(
    source: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    with pytest.raises(UsageError, match="overwrite the other"):
        check_apart("something else", pair[0], None, Path(pair[1]))
    check_apart("new", "copy", None, "source")


def test_a_directory_is_refused_with_a_name_that_fits(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a directory") as caught:
        check_output(tmp_path, example="lock.json")
    assert str(caught.value.hint).endswith(f"{tmp_path}/lock.json")
