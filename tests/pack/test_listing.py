"""Directories that two processes list: the same comes of it, whichever does it, and whatever becomes of the other."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from poncho.errors import BuildError
from poncho.pack import lister
from poncho.pack.listing import GONE, rows
from poncho.pack.walk import LeaveOut, Tree, walk
from poncho.store import remove_tree
from tests.support.odd import deep
from tests.support.prefixes import packed


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


def test_warnings_come_in_one_order_whoever_lists(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        package = prefix / "lib/python3.11/site-packages" / f"package{number}"
        package.mkdir()
        (package / "away").symlink_to("/nowhere")
        (package / ".netrc").write_text("")
    alone = packed(prefix, tmp_path / "alone.tar.gz", threads=1).warnings
    monkeypatch.setattr(lister.listing, "taken", lambda tokens: iter(()))
    beside = packed(prefix, tmp_path / "beside.tar.gz", threads=2).warnings
    assert len(alone) == 200
    assert beside == alone


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


def test_without_a_pipe_the_same_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe() -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    alone = walked(root)
    monkeypatch.setattr(os, "pipe", pipe)
    assert facts(walked(root, [])) == facts(alone)


_ALL_LEFT = """
import sys
from pathlib import Path
from poncho.pack import lister
from poncho.pack.walk import walk
lister.listing.taken = lambda tokens: iter(())
found = walk(Path(sys.argv[1]), [sys.argv[1]], meanwhile=lambda units: None)
print(sys.getfilesystemencoding(), len(found.entries))
"""


def test_names_are_the_same_where_the_locale_has_another_encoding(root: Path) -> None:
    (root / "lib/python3.11/site-packages/é").mkdir()
    another = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    argv = [sys.executable, "-c", _ALL_LEFT, str(root)]
    done = subprocess.run(argv, env={**os.environ, **another}, capture_output=True, text=True, check=False)
    encoding, _, count = done.stdout.partition(" ")
    assert encoding != "utf-8", done.stderr
    assert int(count) == len(walk(root, [str(root)]).entries)


@pytest.mark.parametrize("moment", ["started", "asked", "meanwhile"])
def test_an_interrupted_walk_leaves_nothing_open(root: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def interrupt(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    before = len(os.listdir("/proc/self/fd"))
    if moment == "started":
        monkeypatch.setattr(subprocess, "Popen", interrupt)
    elif moment == "asked":
        monkeypatch.setattr(os, "fsencode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        walk(root, [str(root)], meanwhile=interrupt)
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_that_cannot_be_read_is_named_whoever_meets_it(root: Path) -> None:
    package = root / "lib/python3.11/site-packages/package50"
    deep(package / "deep", 2100)  # its path is longer than any path can be
    try:
        with pytest.raises(BuildError, match=r"package50/deep/d/.*: cannot be read"):
            walked(root, [])
    finally:
        remove_tree(package / "deep")


def test_it_is_named_as_the_environment_was(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = "env/lib/python3.11/site-packages/package50"
    monkeypatch.setattr(os, "open", _refusing(f"{package}/", os.open))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BuildError) as caught:
        walked(Path("env"))
    assert caught.value.message == f"{package}: cannot be read (Permission denied)"


def _refusing(refused: str, opened: Callable[..., int]) -> Callable[..., int]:
    def refusing(path: str, *given: int, **options: int) -> int:
        if path == refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, *given, **options)

    return refusing


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
