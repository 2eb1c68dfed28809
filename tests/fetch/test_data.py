"""All data of a package at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from poncho._types import Event
from poncho.errors import FetchError, SpecError
from poncho.fetch import fetch_data, resolve_data
from poncho.fetch.policy import HttpPolicy
from poncho.spec.model import GitSource, HttpSource
from poncho.store import BuilderCache
from tests.support.archives import entry, tar
from tests.support.gitserver import GitServer, Repository
from tests.support.httpserver import HttpServer


def test_every_variable_points_to_its_data_inside_the_environment(
    web: HttpServer, git_server: GitServer, repository: Repository, cache: BuilderCache, tmp_path: Path
) -> None:
    web.put("/events.csv.gz", b"not really")
    web.put("/a.tgz", tar(tmp_path / "t", entry("d/f"), mode="w:gz").read_bytes())
    prefix = tmp_path / "prefix"
    found = fetch_data(
        {
            "CODE": GitSource(git_server.url(repository), ref="v1"),
            "TABLES": GitSource(str(repository.path), subdirectory="data"),
        },
        {"EVENTS": HttpSource(web.url("/events.csv.gz")), "ARCHIVE": HttpSource(web.url("/a.tgz"), type="tar")},
        prefix / "poncho" / "data",
        cache=cache,
    )
    assert found.variables == {
        "ARCHIVE": "poncho/data/ARCHIVE",
        "CODE": "poncho/data/CODE",
        "EVENTS": "poncho/data/EVENTS/events.csv.gz",
        "TABLES": "poncho/data/TABLES/data",
    }
    assert list(found.variables) == sorted(found.variables)
    assert (prefix / found.variables["CODE"] / "data" / "events.csv").read_text() == "1,2\n"
    assert (prefix / found.variables["TABLES"] / "events.csv").read_text() == "3,4\n"
    assert (prefix / found.variables["EVENTS"]).read_bytes() == b"not really"
    assert (prefix / found.variables["ARCHIVE"] / "d" / "f").exists()
    assert (set(found.git), set(found.http)) == ({"CODE", "TABLES"}, {"ARCHIVE", "EVENTS"})


def test_what_was_locked_is_placed_without_a_network(
    web: HttpServer, git_server: GitServer, repository: Repository, cache: BuilderCache, tmp_path: Path
) -> None:
    web.put("/a", b"content")
    git, http = {"CODE": GitSource(git_server.url(repository))}, {"DATA": HttpSource(web.url("/a"))}
    first = fetch_data(git, http, tmp_path / "one", cache=cache)
    again = fetch_data(first.git, first.http, tmp_path / "two", cache=cache, offline=True)
    assert again == first
    assert resolve_data(git, http, cache=cache) == (first.git, first.http)


def test_all_that_fail_are_named_and_the_first_is_explained(
    web: HttpServer, cache: BuilderCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONCHO_HTTP_RETRIES", "0")
    web.put("/good", b"x")
    http = {name: HttpSource(web.url(path)) for name, path in (("C", "/c"), ("B", "/good"), ("A", "/a"))}
    with pytest.raises(FetchError) as caught:
        fetch_data({"D": GitSource("ext::x")}, http, tmp_path / "data", cache=cache)
    assert caught.value.message.startswith("A: http://127.0.0.1")
    assert "HTTP 404" in caught.value.message
    assert caught.value.message.endswith("(also failed: C, D)")
    assert list(caught.value.context["failures"]) == ["A", "C", "D"]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["B"]


@pytest.mark.parametrize("name", ["../evil", "X;touch pwned;Y", "LD_PRELOAD", "PATH", "", "1A"])
def test_a_name_that_cannot_be_a_variable_is_refused_before_anything_is_fetched(
    name: str, web: HttpServer, cache: BuilderCache, tmp_path: Path
) -> None:
    with pytest.raises(SpecError):
        fetch_data({}, {name: HttpSource(web.url("/a"))}, tmp_path / "data", cache=cache)
    assert not web.requests


def test_a_name_in_both_places_is_refused(cache: BuilderCache, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="both git and http"):
        fetch_data({"X": GitSource("/x")}, {"X": HttpSource("http://h/x")}, tmp_path, cache=cache)


def test_nothing_to_fetch_is_no_error(cache: BuilderCache, tmp_path: Path) -> None:
    assert fetch_data({}, {}, tmp_path / "data", cache=cache).variables == {}


def test_events_come_from_all_of_them(web: HttpServer, cache: BuilderCache, tmp_path: Path) -> None:
    events: list[Event] = []
    for name in "abcdefgh":
        web.put(f"/{name}", name.encode() * 100_000)
    http = {name.upper(): HttpSource(web.url(f"/{name}")) for name in "abcdefgh"}
    fetch_data({}, http, tmp_path / "data", cache=cache, reporter=events.append)
    assert sum(event.kind == "done" for event in events) == 8
    assert HttpPolicy.from_environment().attempts == 5
