"""A thousand directories in each other: a path may be that deep, so it is packed, looked at, unpacked and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from poncho.look import look
from poncho.pack.walk import walk
from poncho.store import remove_tree
from tests.support.cli import run_cli
from tests.support.odd import deep
from tests.support.prefixes import small_prefix

LEVELS = 1000


@pytest.fixture(autouse=True)
def _forgotten(tmp_path: Path) -> Iterator[None]:
    """Delete what the test's own clean-up is not deep enough for."""
    yield
    remove_tree(tmp_path)
    tmp_path.mkdir()


@pytest.fixture(params=[False, True], ids=["a file in the last one", "a file in all of them"])
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    prefix = small_prefix(tmp_path / "env")
    (prefix / "bin/python3.11").unlink()  # it is no Python, and packages are relocated by theirs
    deep(prefix / "share/deep", LEVELS, files=request.param)
    return prefix


@pytest.mark.parametrize("form", ["env.tar.gz", "env.tar.zst", "env.sh", "made"])
def test_a_package_of_it_is_made_looked_at_checked_and_unpacked(prefix: Path, tmp_path: Path, form: str) -> None:
    options = ["--format", "dir"] if form == "made" else []
    run_cli("poncho", "create", prefix, tmp_path / form, *options).ok()
    run_cli("poncho", "inspect", tmp_path / form, "--html", tmp_path / "page.html").ok()
    if form != "made":
        run_cli("poncho", "verify", tmp_path / form).ok()
        run_cli("poncho", "unpack", tmp_path / form, tmp_path / "new").ok()
        run_cli("poncho", "inspect", tmp_path / "new").ok()
        run_cli("poncho", "verify", tmp_path / "new").ok()
        run_cli("poncho", "diff", tmp_path / form, tmp_path / "new").ok()
        (tmp_path / "node").mkdir()
        run = run_cli(
            "poncho_package_run", "-e", tmp_path / form, "--", "tool", env={"PONCHO_STORE": tmp_path / "node"}
        )
        assert run.ok().stdout.startswith(str(tmp_path / "node"))
    assert f"share/deep{'/d' * LEVELS}/f.py" in {item.path for item in look(tmp_path / form).items}
    assert look(prefix).files > 10


def test_all_that_lies_below_is_listed_once(tmp_path: Path) -> None:
    for name in ("a/b/c", "a/empty", "d/__pycache__", "e"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch() if name[-1] in "ce" else None
    found = walk(tmp_path, [str(tmp_path)]).entries
    listed = sorted((entry.path, entry.directory) for entry in found)
    assert listed == [("a/b/c/file", False), ("a/empty", True), ("e/file", False)]
