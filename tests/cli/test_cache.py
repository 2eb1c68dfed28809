"""``poncho cache``: what is printed where, and what is said of what cannot be."""

from __future__ import annotations

import json
import os
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho.cli.units import age, duration, size
from poncho.store import Answers, BuilderCache, answer_key
from tests.support.cli import Finished, run_cli


@pytest.fixture
def cache(tmp_path: Path) -> BuilderCache:
    """Return a cache with two solutions, one of them of forty days ago, and a downloaded file."""
    cache = BuilderCache(tmp_path / "cache")
    answers = Answers(cache.directory("solve"))
    for number in range(2):
        answers.put(answer_key(number), {"number": number})
    then = time.time() - 40 * 86400
    os.utime(entry(cache, 0), (then, then))
    content = cache.directory("http/sha256/0b") / "0b2c2c7e0f1fd8e6ba6a55f3b24f1e5a0a5bb1c9a0a2a0f0c8a3e0a3a9f1c0de"
    content.write_bytes(b"x" * 100_000)
    return cache


def entry(cache: BuilderCache, number: int) -> Path:
    return cache.root / "solve" / answer_key(number)[:2] / answer_key(number)


def poncho_cache(cache: BuilderCache, *words: str) -> Finished:
    return run_cli("poncho", "cache", *words, env={"PONCHO_CACHE_DIR": cache.root})


def test_the_list_has_a_line_for_each_bucket_and_the_sum(cache: BuilderCache) -> None:
    done = poncho_cache(cache, "list").ok()
    head, *lines, total = done.stdout.splitlines()
    assert head.split() == ["bucket", "size", "items", "used", "what"]
    assert [line.split()[0] for line in lines] == ["solve", "http"]
    assert total.startswith("all ")
    assert total.endswith(f"in {cache.root}")
    assert done.stderr == ""


def test_a_bucket_is_listed_item_by_item_the_longest_unused_first(cache: BuilderCache) -> None:
    lines = poncho_cache(cache, "list", "solve").ok().stdout.splitlines()
    assert [line.split()[-1] for line in lines] == [answer_key(0), answer_key(1)]
    answer = json.loads(poncho_cache(cache, "list", "solve", "--json").ok().stdout)
    assert [item["name"] for item in answer["items"]["solve"]] == [answer_key(0), answer_key(1)]
    assert answer["buckets"][0]["bytes"] == sum(item["bytes"] for item in answer["items"]["solve"])


def test_a_prune_without_a_limit_says_which_there_are(cache: BuilderCache) -> None:
    done = poncho_cache(cache, "prune").ok()
    assert done.stdout == "0 B deleted\n"
    assert "--older-than" in done.stderr
    assert poncho_cache(cache, "prune", "-q").ok().stderr == ""


def test_what_is_old_goes_and_a_dry_run_only_says_so(cache: BuilderCache) -> None:
    for words in (["--dry-run"], []):
        answer = json.loads(poncho_cache(cache, "prune", "--older-than", "30d", "--json", *words).ok().stdout)
        assert answer["deleted"] == [f"solve/{answer_key(0)}"]
        assert entry(cache, 0).exists() == bool(words)
    assert entry(cache, 1).exists()


def test_what_is_damaged_is_named_and_deleted_and_the_status_says_it(cache: BuilderCache) -> None:
    entry(cache, 1).write_bytes(b"nonsense")
    dry = poncho_cache(cache, "verify", "--dry-run").failed()
    assert dry.returncode == 1
    assert f"solve/{answer_key(1)}: does not match its digest, still there" in dry.stdout
    answer = json.loads(poncho_cache(cache, "verify", "--json").failed().stdout)
    assert {one["bucket"]: one["deleted"] for one in answer["damaged"]} == {"solve": True, "http": True}
    words = poncho_cache(cache, "verify").ok().stdout.split()
    assert " ".join(words) == "solve 1 right, 0 damaged http 0 right, 0 damaged"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "arguments are required: {list,prune,verify,path}\n"),
        (["list", "nonsense"], "nonsense: no kind of thing"),
        (["prune", "--max-size", "much"], "'much' is no size"),
        (["prune", "--older-than", "long"], "'long' is no age"),
        (["list", "--cache", "/no/such/place"], "/no/such/place: no such directory"),
    ],
)
def test_mistakes_are_said_in_one_line_with_a_hint(cache: BuilderCache, words: list[str], said: str) -> None:
    done = poncho_cache(cache, *words).failed()
    assert done.returncode == 2
    assert said in done.stderr
    assert "hint: " in done.stderr
    assert done.stdout == ""


def test_a_cache_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    none = BuilderCache(tmp_path / "none")
    assert poncho_cache(none, "list").ok().stdout.splitlines()[-1].endswith(f"in {none.root}")
    assert poncho_cache(none, "prune", "--all").ok().stdout == "0 B deleted\n"
    assert json.loads(poncho_cache(none, "path", "--json").ok().stdout) == {"cache": str(none.root)}


@pytest.mark.parametrize(
    "words",
    [
        "cache list --all",
        "cache verify --max-age 1",
        "cache path --dry-run",
        "store list --max-age 1",
        "store path --dry-run",
    ],
)
def test_an_option_that_would_do_nothing_is_refused(cache: BuilderCache, words: str) -> None:
    done = run_cli("poncho", *words.split(), env={"PONCHO_CACHE_DIR": cache.root}).failed()
    assert done.returncode == 2
    assert "prune" in done.stderr


@pytest.mark.parametrize("read", [age, duration, size])
def test_a_number_that_nobody_means_is_refused(read: Callable[[str], float]) -> None:
    with pytest.raises(ArgumentTypeError):
        read(f"{'9' * 400}d" if read is not size else f"{'9' * 400}G")


@pytest.mark.parametrize("action", ["list", "prune", "verify"])
def test_a_store_that_is_named_and_not_there_is_an_error(action: str) -> None:
    done = run_cli("poncho", "store", action, "--store", "/no/such/place").failed()
    assert "/no/such/place: no such directory" in done.stderr
    assert "hint:" in done.stderr


def test_a_limit_does_not_seem_to_hold_for_what_is_named(tmp_path: Path) -> None:
    """``prune NAME --max-age 30d`` would delete NAME whatever its age."""
    done = run_cli("poncho", "store", "prune", "abc", "--max-age", "30d", "--store", tmp_path).failed()
    assert "--max-age goes with prune, and without a NAME" in done.stderr
