"""What was not used for long goes, the longest unused first; what is used stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from poncho.store import Answers, BuilderCache, answer_key
from poncho.upkeep import BUCKETS, inventory, prune, verify

DAY = 86400.0


@pytest.fixture
def cache(tmp_path: Path) -> BuilderCache:
    """Return a cache with ten answers, of 1 to 10 days ago, and five packages of 100 kB, of 2 to 10 days ago."""
    cache = BuilderCache(tmp_path / "cache")
    answers = Answers(cache.directory("solve"))
    for number in range(10):
        answers.put(answer_key(number), {"number": number})
        (path,) = (answers.root / answer_key(number)[:2]).glob(answer_key(number))
        age(path, number + 1)
    for number in range(5):
        path = cache.directory("packages") / f"{number}.tar.gz"
        path.write_bytes(b"x" * 100_000)
        age(path, 2 * (number + 1))
    return cache


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY - 60
    os.utime(path, (then, then))


def names(cache: BuilderCache, bucket: str) -> list[str]:
    return [item.name for item in inventory(cache).get(bucket, [])]


def test_the_inventory_is_in_order_of_use(cache: BuilderCache) -> None:
    assert names(cache, "packages") == ["4.tar.gz", "3.tar.gz", "2.tar.gz", "1.tar.gz", "0.tar.gz"]
    assert names(cache, "solve")[0] == answer_key(9)
    assert set(inventory(cache)) == {"packages", "solve"}
    assert set(inventory(cache, ["solve"])) == {"solve"}


def test_what_is_older_goes(cache: BuilderCache) -> None:
    done = prune(cache, older_than=7 * DAY)
    assert len(done.deleted) == 4 + 2
    assert names(cache, "packages") == ["2.tar.gz", "1.tar.gz", "0.tar.gz"]
    assert done.freed >= 200_000


def test_the_longest_unused_goes_until_so_much_is_left(cache: BuilderCache) -> None:
    prune(cache, max_size=250_000)
    assert names(cache, "packages") == ["1.tar.gz", "0.tar.gz"]
    assert sum(item.size for items in inventory(cache).values() for item in items) <= 250_000


def test_a_dry_run_deletes_nothing_and_a_bucket_limits_it(cache: BuilderCache) -> None:
    assert len(prune(cache, everything=True, dry_run=True).deleted) == 15
    assert len(prune(cache, everything=True, buckets=["solve"]).deleted) == 10
    assert len(names(cache, "packages")) == 5


def test_what_only_an_analysis_makes_again_goes_when_it_is_named(cache: BuilderCache) -> None:
    wheel = cache.directory("modules") / "program_modules-0+12-py3-none-any.whl"
    wheel.write_bytes(b"damaged")
    prune(cache, everything=True)
    assert wheel.exists()
    assert not prune(cache, everything=True, buckets=["modules"]).in_use
    assert not wheel.exists()


def test_without_a_limit_only_leftovers_go(cache: BuilderCache) -> None:
    (cache.root / "solve" / "ab").mkdir(exist_ok=True)
    (cache.root / "solve" / "ab" / ".key.12.tmp").write_text("half")
    done = prune(cache)
    assert (done.deleted, done.left_behind) == ((), 1)
    assert len(names(cache, "packages")) == 5


def test_while_a_builder_runs_only_what_it_can_do_without_goes(cache: BuilderCache) -> None:
    with cache.in_use():
        done = prune(cache, everything=True)
        assert {item.bucket for item in done.deleted} == {"solve"}
        assert {item.bucket for item in done.in_use} == {"packages"}
        assert len(names(cache, "packages")) == 5
    prune(cache, everything=True)
    assert inventory(cache)["packages"] == []


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    cache = BuilderCache(tmp_path / "none")
    assert inventory(cache) == {}
    assert prune(cache, everything=True).freed == 0
    assert not cache.root.exists()


def test_every_bucket_can_be_verified(cache: BuilderCache) -> None:
    for name in BUCKETS:
        cache.directory(name)
    victim = next((cache.root / "solve").glob("*/*"))
    victim.write_bytes(b"nonsense")
    content = cache.directory("http/sha256/ab") / ("ab" * 32)
    content.write_bytes(b"not that")
    done = verify(cache)
    found = sorted((one.item.bucket, one.deleted) for one in done.damaged)
    assert found == [("http", True), *[("packages", True)] * 5, ("solve", True)]
    assert not victim.exists()
    assert verify(cache).damaged == ()
