"""A cache that was damaged mends itself: what cannot be used is thrown away and fetched anew, and that is said."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poncho._types import Event
from poncho.errors import FetchError
from poncho.fetch import HttpPolicy, fetch_git, fetch_http, resolve_git
from poncho.fetch.gitcommand import GitCommand
from poncho.lock.model import LockedGit
from poncho.spec.model import GitSource, HttpSource
from poncho.store import BuilderCache
from tests.support.gitserver import GitServer, Repository
from tests.support.httpserver import HttpServer

DATA = os.urandom(300_000)
SHA = hashlib.sha256(DATA).hexdigest()
ONCE = HttpPolicy(attempts=1, backoff=0.01)


def _mirror(cache: BuilderCache) -> Path:
    (found,) = (cache.root / "git").glob("*.git")
    return found


def _only(mirror: Path, pattern: str) -> Path:
    (found,) = mirror.glob(pattern)
    found.chmod(0o644)
    return found


def _file_instead(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("x")


def _directory_instead(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)
    (path / "f").write_text("x")


def _flip(path: Path) -> None:
    """Change every byte in the middle of a pack: the objects there cannot be inflated."""
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(byte ^ 0x55 for byte in data[third : 2 * third])
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "an empty ref": lambda mirror: os.truncate(_only(mirror, "refs/poncho/commit/*"), 0),
    "a truncated pack": lambda mirror: os.truncate(_only(mirror, "objects/pack/*.pack"), 60),
    "an empty pack": lambda mirror: os.truncate(_only(mirror, "objects/pack/*.pack"), 0),
    "other bytes in a pack": lambda mirror: _flip(_only(mirror, "objects/pack/*.pack")),
    "an empty index": lambda mirror: os.truncate(_only(mirror, "objects/pack/*.idx"), 0),
    "no objects": lambda mirror: shutil.rmtree(mirror / "objects"),
    "an empty HEAD": lambda mirror: os.truncate(mirror / "HEAD", 0),
    "no HEAD": lambda mirror: (mirror / "HEAD").unlink(),
    "an empty configuration": lambda mirror: (mirror / "config").write_text("[core\n"),
    "a bad list of what is shallow": lambda mirror: (mirror / "shallow").write_text("x\n"),
    "nothing": lambda mirror: [shutil.rmtree(p) if p.is_dir() else p.unlink() for p in mirror.iterdir()],
    "a file": _file_instead,
    "notes that are a directory": lambda mirror: _directory_instead(mirror / "poncho.json"),
}


class TestMirror:
    @pytest.fixture
    def events(self) -> list[Event]:
        return []

    @pytest.fixture
    def fetch(self, cache: BuilderCache, tmp_path: Path, events: list[Event]) -> Callable[..., tuple[Path, LockedGit]]:
        """Return a function that fetches a source to a new directory."""
        count = iter(range(1000))

        def run(source: GitSource | LockedGit, **how: Any) -> tuple[Path, LockedGit]:
            place = tmp_path / f"data{next(count)}"
            return place, fetch_git(source, place, cache=cache, reporter=events.append, **how)

        return run

    @pytest.mark.parametrize("what", DAMAGE)
    def test_it_is_fetched_anew(
        self,
        what: str,
        git_server: GitServer,
        repository: Repository,
        fetch: Any,
        cache: BuilderCache,
        events: list[Event],
    ) -> None:
        source = GitSource(git_server.url(repository))
        _, locked = fetch(source)
        DAMAGE[what](_mirror(cache))
        place, again = fetch(source)
        assert again == locked
        assert (place / "data/events.csv").read_text() == "3,4\n"
        assert sorted(path.name for path in place.iterdir()) == ["data", "run.sh"]
        assert GitCommand(_mirror(cache)).damage() is None
        warnings = [event.message for event in events if event.kind == "warning"]
        assert all("in the cache is damaged" in words and "fetched anew" in words for words in warnings)
        assert len(warnings) <= 1

    @pytest.mark.parametrize("what", ["an empty ref", "a truncated pack", "other bytes in a pack", "no HEAD"])
    def test_a_lock_finds_it_so_too_and_it_is_said_once(
        self,
        what: str,
        git_server: GitServer,
        repository: Repository,
        fetch: Any,
        cache: BuilderCache,
        events: list[Event],
    ) -> None:
        _, locked = fetch(GitSource(git_server.url(repository)))
        DAMAGE[what](_mirror(cache))
        for _ in range(2):
            assert (fetch(locked)[0] / "data/events.csv").read_text() == "3,4\n"
        assert len([event for event in events if event.kind == "warning"]) == 1

    @pytest.mark.parametrize("what", ["an empty ref", "a truncated pack", "other bytes in a pack", "no HEAD", "a file"])
    def test_offline_it_is_said_and_stays(
        self, what: str, git_server: GitServer, repository: Repository, fetch: Any, cache: BuilderCache, tmp_path: Path
    ) -> None:
        _, locked = fetch(GitSource(git_server.url(repository)))
        DAMAGE[what](_mirror(cache))
        before = len(git_server.requests)
        with pytest.raises(FetchError) as caught:
            fetch(locked, offline=True)
        assert "its copy in the cache is damaged" in caught.value.message
        assert "this build is offline" in caught.value.message
        assert "without --offline" in (caught.value.hint or "")
        assert "\n" not in caught.value.message
        assert len(git_server.requests) == before
        assert _mirror(cache).exists()
        assert not (tmp_path / "data1").exists()

    def test_resolving_a_part_of_a_commit_mends_it(
        self, git_server: GitServer, repository: Repository, fetch: Any, cache: BuilderCache
    ) -> None:
        commit = repository.git("rev-parse", "HEAD")
        source = GitSource(git_server.url(repository), ref=commit[:10])
        fetch(source)
        DAMAGE["a truncated pack"](_mirror(cache))
        assert resolve_git(source, cache=cache).commit == commit

    def test_a_submodule_comes_anew_into_its_place(
        self, git_server: GitServer, repository: Repository, fetch: Any, cache: BuilderCache
    ) -> None:
        whole = Repository(git_server.root / "whole.git")
        whole.commit({"top": "1\n"})
        whole.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(repository.path), "part")
        whole.git("config", "--file", ".gitmodules", "submodule.part.url", git_server.url(repository))
        whole.commit()
        source = GitSource(git_server.url(whole), submodules=True)
        fetch(source)
        for mirror in (cache.root / "git").glob("*.git"):
            DAMAGE["other bytes in a pack"](mirror)
        place, _ = fetch(source)
        assert (place / "part/data/events.csv").read_text() == "3,4\n"

    def test_a_commit_that_is_not_there_takes_nothing_of_a_sound_one(
        self, git_server: GitServer, repository: Repository, fetch: Any, cache: BuilderCache, events: list[Event]
    ) -> None:
        fetch(GitSource(git_server.url(repository)))
        before = _mirror(cache).stat().st_ino
        with pytest.raises(FetchError, match="has no commit"):
            fetch(GitSource(git_server.url(repository), ref="ab" * 20))
        assert _mirror(cache).stat().st_ino == before
        assert not [event for event in events if event.kind == "warning"]

    def test_one_that_cannot_be_fetched_anew_stays_with_what_is_sound_in_it(
        self, git_server: GitServer, repository: Repository, fetch: Any, cache: BuilderCache
    ) -> None:
        _, old = fetch(GitSource(git_server.url(repository), ref="old"))
        _, new = fetch(GitSource(git_server.url(repository)))
        os.truncate(_mirror(cache) / "refs/poncho/commit" / new.commit, 0)
        away = repository.path.rename(repository.path.with_name("away"))
        for _ in range(2):
            with pytest.raises(FetchError):
                fetch(new)
        assert (fetch(old)[0] / "data/events.csv").read_text() == "1,2\n"
        assert not list((cache.root / "git").glob(".*"))
        away.rename(repository.path)
        assert (fetch(new)[0] / "data/events.csv").read_text() == "3,4\n"

    def test_what_fails_again_is_the_users_error(
        self,
        git_server: GitServer,
        repository: Repository,
        fetch: Any,
        cache: BuilderCache,
        monkeypatch: pytest.MonkeyPatch,
        events: list[Event],
    ) -> None:
        real = GitCommand.local

        def local(self: GitCommand, *arguments: str, **how: Any) -> str:
            return real(self, "no-such-command" if arguments[0] == "ls-tree" else arguments[0], *arguments[1:], **how)

        monkeypatch.setattr(GitCommand, "local", local)
        with pytest.raises(FetchError, match="git cannot work with what was fetched") as caught:
            fetch(GitSource(git_server.url(repository)))
        assert caught.value.hint
        assert len([event for event in events if event.kind == "warning"]) == 1


class TestHttp:
    @pytest.fixture
    def fetch(self, cache: BuilderCache, tmp_path: Path) -> Callable[..., tuple[bytes, list[str]]]:
        """Return a function that fetches a URL, and returns what came and the warnings."""
        count = iter(range(1000))

        def run(url: str, **how: Any) -> tuple[bytes, list[str]]:
            events: list[Event] = []
            options = {"sha256": how.pop("sha256")} if "sha256" in how else {}
            place = tmp_path / f"data{next(count)}"
            _, at = fetch_http(
                HttpSource(url, **options), place, cache=cache, policy=ONCE, reporter=events.append, **how
            )
            return at.read_bytes(), [event.message for event in events if event.kind == "warning"]

        return run

    def _stored(self, cache: BuilderCache) -> Path:
        return cache.root / "http/sha256" / SHA[:2] / SHA

    @pytest.mark.parametrize("pinned", [{}, {"sha256": SHA}])
    @pytest.mark.parametrize("what", ["directory", "other bytes", "empty", "link"])
    def test_what_is_no_sound_file_is_fetched_anew(
        self, what: str, pinned: dict[str, str], web: HttpServer, fetch: Any, cache: BuilderCache
    ) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a"), **pinned)
        stored = self._stored(cache)
        stored.chmod(0o644)
        if what == "directory":
            _directory_instead(stored)
        elif what == "link":
            stored.unlink()
            stored.symlink_to("nowhere")
        else:
            stored.write_bytes(b"" if what == "empty" else DATA[:-1] + b"!")
        data, warnings = fetch(web.url("/a"), **pinned)
        assert data == DATA
        assert [words for words in warnings if "its copy in the cache is damaged; it is fetched anew" in words]
        assert fetch(web.url("/a"), **pinned, offline=True) == (DATA, [])

    @pytest.mark.parametrize("pinned", [{}, {"sha256": SHA}])
    def test_offline_it_is_said(self, pinned: dict[str, str], web: HttpServer, fetch: Any, cache: BuilderCache) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a"), **pinned)
        _directory_instead(self._stored(cache))
        with pytest.raises(FetchError, match=r"its copy in the cache is damaged, and this build is offline") as caught:
            fetch(web.url("/a"), **pinned, offline=True)
        assert "without --offline" in (caught.value.hint or "")

    @pytest.mark.parametrize("what", ["index/*.json", "partial/*", "partial/*.json", "locks/*.lock", "sha256/*"])
    def test_whatever_is_no_file_is_no_hindrance(
        self, what: str, web: HttpServer, fetch: Any, cache: BuilderCache
    ) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a"))
        key = next((cache.root / "http/index").glob("*.json")).stem
        if what == "sha256/*":
            _file_instead(self._stored(cache).parent)
        else:
            _directory_instead(cache.root / "http" / what.replace("*", key))
        assert fetch(web.url("/a"))[0] == DATA
        assert fetch(web.url("/a"), offline=True)[0] == DATA
