"""What RECORD files say, and taking out what they list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from poncho.install.records import recorded_distributions, remove_files, with_parents

SITE = "lib/python3.11/site-packages"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    for name in ("bin/tool", f"{SITE}/six.py", f"{SITE}/deep/er/mod.py", f"{SITE}/other.py", "share/x/note"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    for name in (
        "six.cpython-311.pyc",
        "six.cpython-311.opt-1.pyc",
        "six.more.cpython-311.pyc",
        "other.cpython-311.pyc",
    ):
        path = tmp_path / SITE / "__pycache__" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    return tmp_path


def record(prefix: Path, info: str, text: str) -> None:
    (prefix / SITE / info).mkdir()
    (prefix / SITE / info / "RECORD").write_text(text)


def test_files_are_relative_to_the_prefix_however_they_are_written(prefix: Path) -> None:
    record(prefix, "My.Dist-1.0.dist-info", 'six.py,sha256=x,1\n../../../bin/tool,,\n"a,b.py",,\n./deep//er/mod.py\n\n')
    (found,) = recorded_distributions(prefix)
    assert (found.name, found.version, found.directory) == ("my-dist", "1.0", f"{SITE}/My.Dist-1.0.dist-info")
    assert found.files == (f"{SITE}/six.py", "bin/tool", f"{SITE}/a,b.py", f"{SITE}/deep/er/mod.py")
    assert recorded_distributions(prefix, but={found.directory}) == []


def test_a_distribution_without_record_has_no_files(prefix: Path) -> None:
    (prefix / SITE / "bare-2.dist-info").mkdir()
    (found,) = recorded_distributions(prefix)
    assert (found.name, found.files) == ("bare", ())


def test_what_is_taken_out_goes_with_its_bytecode_and_empty_directories(prefix: Path) -> None:
    changed = remove_files(prefix, [f"{SITE}/six.py", f"{SITE}/deep/er/mod.py", "bin/tool", f"{SITE}/never.py"])
    assert sorted(path.name for path in (prefix / SITE / "__pycache__").iterdir()) == [
        "other.cpython-311.pyc",
        "six.more.cpython-311.pyc",
    ]
    assert not (prefix / SITE / "deep").exists()
    assert not (prefix / "bin").exists()
    assert (prefix / "share/x/note").exists()
    assert {
        "",
        "bin",
        "lib",
        "lib/python3.11",
        SITE,
        f"{SITE}/__pycache__",
        f"{SITE}/deep",
        f"{SITE}/deep/er",
    } == changed


@pytest.mark.parametrize("file", ["/etc/passwd", "../outside", ".."])
def test_a_file_outside_of_the_prefix_is_refused_and_stays(file: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("")
    (tmp_path / "env").mkdir()
    with pytest.raises(ValueError, match=re.escape(file)):
        remove_files(tmp_path / "env", [file])
    assert (tmp_path / "outside").exists()


def test_a_directory_comes_with_all_that_it_lies_in() -> None:
    assert with_parents(["a/b/c", "a/d"]) == {"", "a", "a/b", "a/b/c", "a/d"}
