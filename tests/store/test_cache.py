"""The builder's cache: temporary work, who uses it, answers, stamps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from poncho.store import Answers, BuilderCache, Flock, answer_key
from poncho.store.stamps import renew_stamps, take_stamps

ABANDON = """
import os, sys
from pathlib import Path
from poncho.store import BuilderCache
with BuilderCache(Path(sys.argv[1])).scratch("build") as work:
    (work / "half").write_text("done")
    print(work, flush=True)
    sys.stdin.read()
    os._exit(9)
"""


def abandoned(cache: BuilderCache) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", ABANDON, str(cache.root)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_cache_is_where_the_variables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PONCHO_CACHE_DIR", raising=False)
    monkeypatch.setenv("PONCHO_CACHE", str(tmp_path / "short"))
    assert BuilderCache.default().root == tmp_path / "short"
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path / "long"))
    assert BuilderCache.default().root == tmp_path / "long"


def test_temporary_work_of_a_killed_process_goes_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poncho.store.cache._JUST_MADE", 0.0)
    cache = BuilderCache(tmp_path / "cache")
    process = abandoned(cache)
    assert process.stdout is not None
    work = Path(process.stdout.readline().strip())
    with cache.scratch("other"):
        assert (work / "half").is_file()
    process.kill()
    process.communicate()
    with cache.scratch("other") as mine:
        assert os.listdir(cache.root / "tmp") == [mine.name]
    assert os.listdir(cache.root / "tmp") == []


def test_nobody_is_alone_while_a_builder_runs(tmp_path: Path) -> None:
    cache = BuilderCache(tmp_path / "cache")
    with cache.alone() as alone:
        assert alone
    process = abandoned(cache)
    assert process.stdout is not None
    process.stdout.readline()
    with cache.alone() as alone:
        assert not alone
    process.kill()
    process.communicate()
    with cache.alone() as alone:
        assert alone


def test_a_lock_whose_file_was_deleted_is_known_to_be_none(tmp_path: Path) -> None:
    with Flock(tmp_path / "lock") as lock:
        assert lock.exclusive()
        assert lock.is_current()
        with Flock(tmp_path / "lock") as other:
            assert not other.shared(wait=False)
        (tmp_path / "lock").unlink()
        assert not lock.is_current()
        with Flock(tmp_path / "lock") as other:
            assert other.exclusive(wait=False)


def test_answers_come_back_and_damaged_ones_do_not(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    key = answer_key("question", 1, {"b": 2, "a": 1})
    assert key == answer_key("question", 1, {"a": 1, "b": 2})
    assert answers.get(key) is None
    answers.put(key, {"found": [1, 2]})
    assert answers.get(key) == {"found": [1, 2]}
    path = next(tmp_path.glob("*/*"))
    path.write_bytes(path.read_bytes().replace(b"1", b"3", 1))
    assert answers.get(key) is None
    answers.put(key, ["new"])
    assert answers.get(key) == ["new"]
    assert [file.name for file in tmp_path.glob("*/*")] == [key]


def test_stamps_tell_every_change_but_a_new_link(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("one")
    (root / "a" / "link").symlink_to("b")
    before = take_stamps(root)
    assert set(before) == {"", "a", "a/b"}
    os.link(root / "a" / "b" / "file", tmp_path / "elsewhere")
    assert take_stamps(root) == before
    changes = [
        lambda: (root / "a" / "b" / "file").write_text("two"),
        lambda: (root / "a" / "b" / "file").chmod(0o755),
        lambda: (root / "a" / "b" / "more").touch(),
        lambda: ((root / "a" / "link").unlink(), (root / "a" / "link").symlink_to("c")),
        lambda: (root / "d").mkdir(),
        lambda: (
            (root / "a" / "b" / "more").unlink(),
            (root / "a" / "b" / "file").unlink(),
            (root / "a" / "b").rmdir(),
        ),
    ]
    for change in changes:
        change()
        after = take_stamps(root)
        assert after != before
        different = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        assert renew_stamps(root, before, different - {"d"}) == after
        before = after
