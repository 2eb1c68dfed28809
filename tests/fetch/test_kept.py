"""Data trees are unpacked once for what they hold, and looked up each time."""

from __future__ import annotations

from pathlib import Path

from poncho.fetch import kept_data
from poncho.spec.model import GitSource, HttpSource
from poncho.store import BuilderCache
from tests.support.gitserver import GitServer, Repository
from tests.support.httpserver import HttpServer


def test_the_same_data_is_the_same_directory_and_a_moved_branch_another(
    cache: BuilderCache, git_server: GitServer, repository: Repository, web: HttpServer
) -> None:
    web.put("/table.csv", b"1,2\n")
    git = {"CODE": GitSource(git_server.url(repository), ref="main")}
    http = {"TABLE": HttpSource(web.url("/table.csv"))}
    first, tree = kept_data(git, http, cache=cache)
    assert tree is not None
    assert (tree / "CODE/data/events.csv").read_text() == "3,4\n"
    assert (tree / "TABLE/table.csv").read_text() == "1,2\n"
    assert first.variables == {"CODE": "poncho/data/CODE", "TABLE": "poncho/data/TABLE/table.csv"}
    again, same = kept_data(git, http, cache=cache)
    assert (same, again.git, again.http, again.variables) == (tree, first.git, first.http, first.variables)
    assert kept_data(first.git, first.http, cache=cache, offline=True)[1] == tree
    repository.commit({"data/events.csv": "5,6\n"}, "third")
    moved, other = kept_data(git, http, cache=cache)
    assert other is not None
    assert other != tree
    assert moved.git["CODE"].commit != first.git["CODE"].commit
    assert (other / "CODE/data/events.csv").read_text() == "5,6\n"
    web.put("/table.csv", b"7,8\n")
    last = kept_data(git, http, cache=cache)[1]
    assert last is not None
    assert (last / "TABLE/table.csv").read_text() == "7,8\n"


def test_a_tree_that_somebody_changed_is_made_again(cache: BuilderCache, web: HttpServer) -> None:
    web.put("/table.csv", b"1,2\n")
    http = {"TABLE": HttpSource(web.url("/table.csv"))}
    tree = kept_data({}, http, cache=cache)[1]
    assert tree is not None
    (tree / "TABLE/table.csv").write_text("9,9\n")
    assert kept_data({}, http, cache=cache)[1] == tree
    assert (tree / "TABLE/table.csv").read_text() == "1,2\n"


def test_no_sources_are_no_directory(cache: BuilderCache) -> None:
    assert kept_data({}, {}, cache=cache)[1] is None
    assert not Path(cache.root / "data").exists()
