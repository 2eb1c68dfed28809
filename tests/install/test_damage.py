"""A conda environment beside what its records say, by names and sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.errors import BuildError
from poncho.install.damage import check_files

SITE = "lib/python3.11/site-packages"
FILES = (f"{SITE}/tool.py", f"{SITE}/tool/data.txt", "bin/tool")


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """Return an environment with one conda package of three files, and no Python."""
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of conda\n")
    paths = [{"_path": name, "path_type": "hardlink", "size_in_bytes": 9} for name in FILES]
    record = {"name": "tool", "version": "1.0", "files": FILES, "paths_data": {"paths": paths}}
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta/tool-1.0-0.json").write_text(json.dumps(record))
    return tmp_path


def check(env: Path, *, ignore_missing: bool = False) -> list[str]:
    said: list[Event] = []
    check_files(env, ignore_missing=ignore_missing, reporter=said.append)
    return [event.message for event in said]


def install(env: Path, directory: str, metadata: str, listing: str, text: str) -> None:
    info = env / SITE / directory
    info.mkdir()
    (info / metadata).write_text("Metadata-Version: 2.1\nName: Intruder\nVersion: 3.0\n")
    (info / listing).write_text(text)


def test_an_environment_as_it_was_installed_needs_no_word(env: Path) -> None:
    install(env, "intruder-3.0.dist-info", "METADATA", "RECORD", "intruder.py,,\n")
    assert check(env) == []


@pytest.mark.parametrize(
    ("directory", "metadata", "listing", "text"),
    [
        ("intruder-3.0.dist-info", "METADATA", "RECORD", "tool.py,,\n../../../bin/tool,,\n__pycache__/tool.pyc,,\n"),
        ("intruder-3.0-py3.11.egg-info", "PKG-INFO", "installed-files.txt", "../tool.py\n../../../../bin/tool\n"),
    ],
    ids=["a wheel", "an old setup.py"],
)
def test_who_wrote_over_files_of_a_conda_package_is_named(
    env: Path, directory: str, metadata: str, listing: str, text: str
) -> None:
    install(env, directory, metadata, listing, text)
    (env / FILES[0]).write_text("of the intruder\n")
    said = check(env)
    assert said == [
        f"pip package intruder 3.0 wrote over bin/tool, {FILES[0]} of conda package tool 1.0: what is there is packed"
    ]


def test_a_file_that_somebody_edited_is_named(env: Path) -> None:
    (env / FILES[1]).write_text("edited\n")
    (said,) = check(env)
    assert said.startswith(f"{FILES[1]} of conda package tool 1.0 changed since the installation")


def test_missing_files_are_refused_or_said(env: Path) -> None:
    (env / FILES[2]).unlink()
    with pytest.raises(BuildError, match=r"missing: tool 1\.0 \(bin/tool\)"):
        check(env)
    assert check(env, ignore_missing=True) == ["files of conda packages are missing: tool 1.0 (bin/tool)"]


def test_a_noarch_package_is_compared_where_its_files_lie(env: Path) -> None:
    """conda notes their places in the package, beside the list of files."""
    file = f"{SITE}/pure.py"
    (env / file).write_text("of conda\n")
    paths = [{"_path": "site-packages/pure.py", "path_type": "hardlink", "size_in_bytes": 9}]
    record = {"name": "pure", "version": "2.0", "files": [file], "paths_data": {"paths": paths}}
    (env / "conda-meta/pure-2.0-0.json").write_text(json.dumps(record))
    assert check(env) == []
    (env / file).write_text("edited\n")
    assert check(env) == [f"{file} of conda package pure 2.0 changed since the installation: what is there is packed"]
