"""The builder's cache is a directory of its own: nothing is deleted from one that is somebody else's."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from poncho.errors import StoreError
from poncho.store import BuilderCache
from poncho.store.place import KINDS, TAG, claim, is_claimed
from poncho.upkeep import inventory, prune, verify
from tests.support.cli import command_path

SOURCE = Path(__file__).parents[2] / "poncho"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Return a directory of somebody who keeps a thesis where a cache would have its temporary work."""
    for kind in ("tmp", "environments", "data"):
        place = tmp_path / "scratch" / kind / "thesis"
        place.mkdir(parents=True)
        (place / "chapter.tex").write_text("x")
    long_ago = time.time() - 30 * 86400
    for path in (tmp_path / "scratch").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    return tmp_path / "scratch"


def test_a_directory_of_somebody_else_is_refused_and_stays_as_it_is(scratch: Path) -> None:
    before = sorted(scratch.rglob("*"))
    cache = BuilderCache(scratch)
    for use in (
        lambda: cache.directory("tmp"),
        lambda: cache.scratch("build").__enter__(),
        lambda: cache.alone().__enter__(),
        lambda: prune(cache, everything=True),
        lambda: prune(cache),
        lambda: prune(cache, everything=True, dry_run=True),
        lambda: verify(cache),
        lambda: inventory(cache),
    ):
        with pytest.raises(StoreError) as caught:
            use()
        assert str(scratch) in caught.value.message
        assert str(scratch / "poncho") in str(caught.value.hint)
    assert sorted(scratch.rglob("*")) == before


@pytest.mark.parametrize("argv", [["create", "spec.json", "env.tar.gz"], ["lock", "spec.json", "-o", "lock.json"]])
def test_a_build_refuses_it_too(scratch: Path, tmp_path: Path, argv: list[str]) -> None:
    (tmp_path / "spec.json").write_text('{"pip": []}')
    before = sorted(scratch.rglob("*"))
    done = subprocess.run(
        [command_path("poncho"), *argv],
        cwd=tmp_path,
        env={**os.environ, "PONCHO_CACHE_DIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "is no cache of PONCHO" in done.stderr
    assert "hint: " in done.stderr
    assert sorted(scratch.rglob("*")) == before


def test_a_directory_becomes_a_cache_when_nothing_is_in_it(tmp_path: Path) -> None:
    for root in (tmp_path / "new" / "deep", tmp_path / "empty", tmp_path / "disk"):
        if root.name != "deep":
            root.mkdir()
        if root.name == "disk":
            (root / "lost+found").mkdir()
        assert not is_claimed(root)
        claim(root)
        assert is_claimed(root)
        assert (root / TAG).read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
        assert not list(root.glob(f".{TAG}*"))


def test_a_cache_of_an_earlier_version_is_one(tmp_path: Path) -> None:
    for name in ("tmp", "pip", "environments"):
        (tmp_path / name).mkdir()
    with pytest.raises(StoreError, match="environments"):
        claim(tmp_path)
    (tmp_path / ".builders").touch()
    claim(tmp_path)
    assert is_claimed(tmp_path)


def test_parts_of_a_cache_alone_are_one_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "poncho/pip").mkdir(parents=True)
    claim(tmp_path / "poncho")
    (tmp_path / "poncho-work/thesis").mkdir(parents=True)
    with pytest.raises(StoreError, match="thesis"):
        claim(tmp_path / "poncho-work")


def test_what_an_analysis_alone_has_made_is_a_cache(tmp_path: Path) -> None:
    (tmp_path / "cache/analysis").mkdir(parents=True)
    claim(tmp_path / "cache")
    assert is_claimed(tmp_path / "cache")


def test_a_tag_of_another_program_is_none(tmp_path: Path) -> None:
    (tmp_path / TAG).write_text("Signature: 8a477f597d28d172789f06886806bc55\n# made by somebody else\n")
    with pytest.raises(StoreError, match=TAG):
        claim(tmp_path)


def test_a_cache_that_was_emptied_while_it_is_used_is_one_again(tmp_path: Path) -> None:
    cache = BuilderCache(tmp_path / "cache")
    cache.directory("pip")
    (tmp_path / "cache" / TAG).unlink()
    (tmp_path / "cache" / "pip").rmdir()
    cache.directory("tmp")
    assert is_claimed(tmp_path / "cache")


def test_only_names_that_builders_give_are_swept(tmp_path: Path) -> None:
    cache = BuilderCache(tmp_path)
    root = cache.directory("tmp")
    ours = [root / name for name in ("build-0a1b2c3d", "gone-0a1b2c3d4e5f", ".build-0a1b2c3d.gone.tmp")]
    theirs = [root / name for name in ("w", "build", "build-xyz", "thesis-2026")]
    for path in (*ours, *theirs):
        path.mkdir()
        os.utime(path, (1, 1))
    assert cache.sweep() == len(ours)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in theirs)


def test_all_kinds_of_things_are_listed() -> None:
    used = re.compile(r"""(?:(?:\.directory|answers_root)\(|^BUCKET = )"(\w+)\"""", re.MULTILINE)
    named = {kind for path in SOURCE.rglob("*.py") for kind in used.findall(path.read_text())}
    assert named == KINDS
