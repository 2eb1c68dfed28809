"""Git sources: the exact commit as plain files, from real servers, with nothing left behind (issue 2 item 4)."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poncho._types import Event
from poncho.errors import FetchError
from poncho.fetch import fetch_git, resolve_git
from poncho.lock.model import LockedGit
from poncho.spec.model import GitSource
from poncho.store import BuilderCache
from tests.support.gitserver import GitServer, Repository, git_daemon
from tests.support.httpserver import unused_port_url


@pytest.fixture
def fetch(cache: BuilderCache, tmp_path: Path) -> Callable[..., tuple[Path, LockedGit]]:
    """Return a function that fetches a source to a new directory."""
    count = iter(range(1000))

    def run(source: GitSource | LockedGit, **how: Any) -> tuple[Path, LockedGit]:
        place = tmp_path / f"data{next(count)}"
        return place, fetch_git(source, place, **{"cache": cache, **how})

    return run


def _files(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


OLD = {"data/events.csv": "1,2\n", "run.sh": "#!/bin/sh\n"}
NEW = {"data/events.csv": "3,4\n", "run.sh": "#!/bin/sh\n"}


class TestRef:
    @pytest.mark.parametrize(
        ("ref", "files"),
        [
            (None, NEW),
            ("main", NEW),
            ("refs/heads/main", NEW),
            ("HEAD", NEW),
            ("old", OLD),
            ("v1", OLD),
            ("refs/tags/v1", OLD),
        ],
    )
    def test_a_name_gives_the_commit_it_stands_for(
        self, ref: str | None, files: dict[str, str], git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        place, locked = fetch(GitSource(git_server.url(repository), ref=ref))
        assert _files(place) == files
        assert locked.commit == repository.git("rev-parse", f"{'HEAD' if files is NEW else 'v1'}^{{commit}}")

    @pytest.mark.parametrize("digits", [40, 10, 7])
    def test_a_commit_that_is_no_branch_can_be_named_in_full_or_in_part(
        self, digits: int, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        wanted = repository.git("rev-parse", "HEAD")
        repository.commit({"more": "later"})
        place, locked = fetch(GitSource(git_server.url(repository), ref=wanted[:digits]))
        assert locked.commit == wanted
        assert _files(place) == NEW

    def test_the_object_of_an_annotated_tag_leads_to_its_commit(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        _, locked = fetch(GitSource(git_server.url(repository), ref=repository.git("rev-parse", "v1")))
        assert locked.commit == repository.git("rev-parse", "v1^{commit}")

    def test_a_branch_goes_before_a_tag_of_the_same_name_with_a_warning(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        events: list[Event] = []
        repository.git("tag", "old", "main")
        repository.git("push", "--quiet", "origin", "refs/tags/old")
        place, _ = fetch(GitSource(git_server.url(repository), ref="old"), reporter=events.append)
        assert _files(place) == OLD
        assert any(event.kind == "warning" and "branch and a tag" in event.message for event in events)

    def test_a_name_that_is_not_there_is_answered_with_those_that_are(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        with pytest.raises(FetchError, match="no branch, tag or commit mian") as caught:
            fetch(GitSource(git_server.url(repository), ref="mian"))
        assert "main" in (caught.value.hint or "")

    def test_a_commit_that_is_not_there_is_said_so(
        self, git_server: GitServer, repository: Repository, fetch: Any, tmp_path: Path
    ) -> None:
        with pytest.raises(FetchError, match=f"has no commit {'ab' * 20}"):
            fetch(GitSource(git_server.url(repository), ref="ab" * 20))
        with pytest.raises(FetchError, match="abcd"):
            fetch(GitSource(git_server.url(repository), ref="abcdabcd"))
        assert not list(tmp_path.glob("data*"))

    def test_an_empty_repository_is_said_so(self, git_server: GitServer, fetch: Any) -> None:
        empty = Repository(git_server.root / "empty.git")
        with pytest.raises(FetchError, match="the repository is empty"):
            fetch(GitSource(git_server.url(empty)))

    def test_resolving_takes_nothing_but_a_look(
        self, git_server: GitServer, repository: Repository, cache: BuilderCache
    ) -> None:
        locked = resolve_git(GitSource(git_server.url(repository), ref="v1", subdirectory="data"), cache=cache)
        assert locked.commit == repository.git("rev-parse", "v1^{commit}")
        assert (locked.ref, locked.subdirectory) == ("v1", "data")
        assert not list(cache.root.rglob("*.pack"))

    @pytest.mark.parametrize("prefix", ["", "file://"])
    def test_changes_that_are_not_committed_are_said_of_a_repository_here(
        self, prefix: str, repository: Repository, cache: BuilderCache
    ) -> None:
        here = repository.work.rename(repository.work.with_name("my %41 code"))
        remote = here.as_uri() if prefix else str(here)

        def said(ref: str | None = None) -> list[str]:
            events: list[Event] = []
            resolve_git(GitSource(remote, ref=ref), cache=cache, reporter=events.append)
            return [event.message for event in events if event.kind == "warning"]

        (here / "notes.txt").write_text("not tracked")
        os.utime(here / "run.sh")
        assert said() == []
        (here / "run.sh").write_text("#!/bin/sh\necho changed\n")
        (message,) = said()
        assert "changes that are not committed; the package gets commit " in message
        assert said("main") == []


class TestTransport:
    def test_every_way_to_a_repository_gives_the_same_files(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        with git_daemon(git_server.root) as daemon:
            for remote in (
                git_server.url(repository),
                str(repository.path),
                f"file://{repository.path}",
                f"{daemon}/analysis.git",
            ):
                assert _files(fetch(GitSource(remote, ref="v1"))[0]) == OLD
                assert _files(fetch(GitSource(remote))[0]) == NEW

    def test_an_old_server_that_gives_no_single_commits_serves_too(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        wanted = repository.git("rev-parse", "HEAD")
        repository.commit({"more": "later"})
        config = Path(os.environ["HOME"]) / ".gitconfig"
        config.write_text("[protocol]\n\tversion = 0\n")
        assert _files(fetch(GitSource(git_server.url(repository), ref=wanted))[0]) == NEW
        assert _files(fetch(GitSource(git_server.url(repository), ref="v1"))[0]) == OLD

    def test_a_dumb_http_server_serves_too(self, repository: Repository, fetch: Any) -> None:
        from tests.support.httpserver import HttpServer

        subprocess.run(["git", "update-server-info"], cwd=repository.path, check=True)
        with HttpServer() as server:
            for path in repository.path.rglob("*"):
                if path.is_file():
                    server.put(f"/r.git/{path.relative_to(repository.path)}", path.read_bytes())
            assert _files(fetch(GitSource(server.url("/r.git"), ref="v1"))[0]) == OLD

    def test_a_server_in_trouble_is_asked_again(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        git_server.broken = 1
        assert _files(fetch(GitSource(git_server.url(repository)))[0]) == NEW

    @pytest.mark.parametrize(
        ("remote", "message"),
        [
            ("{server}/missing.git", "not found"),
            ("/does/not/exist", "does not appear to be a git repository"),
            ("{nobody}", "onnect"),
        ],
    )
    def test_what_cannot_be_reached_is_one_clear_line(
        self, remote: str, message: str, git_server: GitServer, fetch: Any
    ) -> None:
        with pytest.raises(FetchError) as caught:
            fetch(
                GitSource(remote.format(server=f"http://127.0.0.1:{git_server.port}", nobody=unused_port_url("/x.git")))
            )
        assert message in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint


class TestCache:
    def test_a_commit_that_is_here_needs_no_network(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        _, locked = fetch(GitSource(git_server.url(repository)))
        before = len(git_server.requests)
        assert _files(fetch(locked)[0]) == NEW
        assert _files(fetch(GitSource(git_server.url(repository)), offline=True)[0]) == NEW
        assert len(git_server.requests) == before

    def test_offline_says_what_is_missing(self, git_server: GitServer, repository: Repository, fetch: Any) -> None:
        for ref in (None, "v1", "ab" * 20):
            with pytest.raises(FetchError, match="this build is offline"):
                fetch(GitSource(git_server.url(repository), ref=ref), offline=True)
        assert not git_server.requests

    def test_a_branch_that_moved_is_followed(self, git_server: GitServer, repository: Repository, fetch: Any) -> None:
        fetch(GitSource(git_server.url(repository)))
        commit = repository.commit({"data/events.csv": "5,6\n"})
        place, locked = fetch(GitSource(git_server.url(repository)))
        assert locked.commit == commit
        assert _files(place)["data/events.csv"] == "5,6\n"

    def test_a_branch_that_was_rewritten_is_followed_and_the_locked_commit_stays(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        _, locked = fetch(GitSource(git_server.url(repository)))
        repository.git("reset", "--quiet", "--hard", "v1")
        repository.commit({"new": "history"})
        assert "new" in _files(fetch(GitSource(git_server.url(repository)))[0])
        assert _files(fetch(locked)[0]) == NEW

    def test_many_at_once_are_all_right(self, git_server: GitServer, repository: Repository, fetch: Any) -> None:
        found: list[dict[str, str]] = []
        refs = [None, "v1", "old", "main"]

        def one(ref: str | None) -> None:
            found.append(_files(fetch(GitSource(git_server.url(repository), ref=ref))[0]))

        threads = [threading.Thread(target=one, args=(ref,)) for ref in refs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, found)) == sorted(map(str, [OLD, OLD, NEW, NEW]))


class TestFiles:
    def test_the_same_commit_gives_the_same_bytes_modes_and_times(
        self, git_server: GitServer, repository: Repository, fetch: Any, tmp_path: Path
    ) -> None:
        (repository.work / "link").symlink_to("data/events.csv")
        repository.commit({".gitattributes": "*.csv text eol=crlf export-ignore\n"})

        def facts(root: Path) -> dict[str, tuple[int, float, bytes]]:
            return {
                str(path.relative_to(root)): (
                    path.lstat().st_mode,
                    path.lstat().st_mtime,
                    path.read_bytes() if path.is_file() else b"",
                )
                for path in root.rglob("*")
            }

        one, locked = fetch(GitSource(git_server.url(repository)))
        (Path(os.environ["HOME"]) / ".gitconfig").write_text(
            '[core]\n\tautocrlf = true\n\tsymlinks = false\n\tfileMode = false\n[filter "x"]\n\tsmudge = rev\n'
        )
        old = os.umask(0o077)
        try:
            two, _ = fetch(locked, cache=BuilderCache(tmp_path / "other"))
        finally:
            os.umask(old)
        assert facts(one) == facts(two)
        assert (one / "run.sh").stat().st_mode & 0o777 == 0o755
        assert (one / "data").stat().st_mtime == int(repository.git("log", "-1", "--format=%ct"))
        assert (one / "data" / "events.csv").read_bytes() == b"3,4\r\n"
        assert os.readlink(one / "link") == "data/events.csv"

    def test_there_is_no_git_directory_in_the_data(
        self, git_server: GitServer, repository: Repository, fetch: Any
    ) -> None:
        place, _ = fetch(GitSource(git_server.url(repository)))
        assert not list(place.rglob(".git"))

    def test_the_subdirectory_must_be_there(self, git_server: GitServer, repository: Repository, fetch: Any) -> None:
        place, locked = fetch(GitSource(git_server.url(repository), subdirectory="data"))
        assert locked.subdirectory == "data"
        assert (place / "data" / "events.csv").exists()
        for wrong in ("missing", "../..", "/etc"):
            with pytest.raises(FetchError) as caught:
                fetch(GitSource(git_server.url(repository), subdirectory=wrong))
            assert wrong in caught.value.message

    @pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "data/../../x"])
    def test_a_link_that_leads_outside_is_refused(
        self, target: str, git_server: GitServer, repository: Repository, fetch: Any, tmp_path: Path
    ) -> None:
        (repository.work / "data" / "link").symlink_to(target)
        repository.commit()
        with pytest.raises(FetchError, match=r"symbolic link data/link links to .*: refused"):
            fetch(GitSource(git_server.url(repository)))
        assert not list(tmp_path.glob("data*"))

    def test_a_git_hook_that_builds_a_package_does_not_confuse_it(
        self, git_server: GitServer, repository: Repository, fetch: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_DIR", str(repository.work / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(repository.work / ".git" / "index"))
        monkeypatch.setenv("GIT_WORK_TREE", str(repository.work))
        before = (repository.work / ".git" / "index").read_bytes()
        assert _files(fetch(GitSource(git_server.url(repository), ref="v1"))[0]) == OLD
        assert (repository.work / ".git" / "index").read_bytes() == before

    def test_progress_is_reported(self, git_server: GitServer, repository: Repository, fetch: Any) -> None:
        events: list[Event] = []
        fetch(GitSource(git_server.url(repository)), reporter=events.append)
        assert {event.step for event in events} == {"data"}
        assert [event.kind for event in events if event.kind in ("start", "done")] == ["start", "done"]


class TestSubmodules:
    @pytest.fixture
    def parent(self, git_server: GitServer, repository: Repository) -> Repository:
        """Return ``repository`` with a submodule that has a submodule."""
        leaf = Repository(git_server.root / "leaf.git")
        leaf.commit({"leaf.txt": "leaf"})
        library = Repository(git_server.root / "library.git")
        library.commit({"library.txt": "first"})
        library.git("submodule", "--quiet", "add", "../leaf.git", "deep/leaf")
        library.commit()
        repository.git("submodule", "--quiet", "add", "../library.git", "sub")
        repository.commit()
        library.commit({"library.txt": "second"})
        return repository

    def test_they_come_at_the_commits_that_the_parent_names(
        self, git_server: GitServer, parent: Repository, fetch: Any
    ) -> None:
        place, _ = fetch(GitSource(git_server.url(parent), submodules=True, subdirectory="sub/deep"))
        assert _files(place / "sub") == {
            ".gitmodules": '[submodule "deep/leaf"]\n\tpath = deep/leaf\n\turl = ../leaf.git\n',
            "deep/leaf/leaf.txt": "leaf",
            "library.txt": "first",
        }
        assert not list(place.rglob(".git"))

    def test_they_stay_empty_unless_asked_for(self, git_server: GitServer, parent: Repository, fetch: Any) -> None:
        events: list[Event] = []
        place, _ = fetch(GitSource(git_server.url(parent)), reporter=events.append)
        assert list((place / "sub").iterdir()) == []
        assert any(event.kind == "warning" and "has submodules" in event.message for event in events)

    def test_they_are_there_offline(self, git_server: GitServer, parent: Repository, fetch: Any) -> None:
        source = GitSource(git_server.url(parent), submodules=True)
        one, locked = fetch(source)
        two, _ = fetch(locked, offline=True)
        assert _files(one) == _files(two)

    def test_a_login_serves_submodules_on_the_same_host(self, parent: Repository, fetch: Any) -> None:
        with GitServer(parent.path.parent, login=("me", "pw")) as server:
            place, _ = fetch(GitSource(server.url(parent, user="me:pw"), submodules=True))
        assert (place / "sub" / "deep" / "leaf" / "leaf.txt").exists()

    def test_one_without_an_address_is_said_so(self, git_server: GitServer, parent: Repository, fetch: Any) -> None:
        parent.commit({".gitmodules": None})
        with pytest.raises(FetchError, match="where the submodule sub comes from"):
            fetch(GitSource(git_server.url(parent), submodules=True))


class TestLogin:
    @pytest.fixture
    def private(self, repository: Repository) -> Any:
        """Yield a server that asks who comes."""
        with GitServer(repository.path.parent, login=("me", "c@nary")) as server:
            yield server

    def test_without_a_login_it_fails_at_once_and_says_what_to_do(
        self, private: GitServer, repository: Repository, fetch: Any
    ) -> None:
        for user in (None, "me:wrong"):
            with pytest.raises(FetchError) as caught:
                fetch(GitSource(private.url(repository, user=user)))
            assert "credential helper" in (caught.value.hint or "")

    def test_the_address_netrc_and_credential_helpers_all_serve(
        self, private: GitServer, repository: Repository, fetch: Any, tmp_path: Path
    ) -> None:
        source = GitSource(private.url(repository))
        assert _files(fetch(GitSource(private.url(repository, user="me:c%40nary")))[0]) == NEW
        home = Path(os.environ["HOME"])
        (home / ".netrc").write_text("machine 127.0.0.1 login me password c@nary\n")
        assert _files(fetch(source, cache=BuilderCache(tmp_path / "two"))[0]) == NEW
        (home / ".netrc").unlink()
        (home / "store").write_text(f"http://me:c%40nary@127.0.0.1:{private.port}\n")
        (home / ".gitconfig").write_text(f"[credential]\n\thelper = store --file {home / 'store'}\n")
        assert _files(fetch(source, cache=BuilderCache(tmp_path / "three"))[0]) == NEW

    def test_a_user_name_in_the_address_and_the_password_in_a_helper_serve(
        self, private: GitServer, repository: Repository, fetch: Any
    ) -> None:
        home = Path(os.environ["HOME"])
        (home / "store").write_text(f"http://me:c%40nary@127.0.0.1:{private.port}\n")
        (home / ".gitconfig").write_text(f"[credential]\n\thelper = store --file {home / 'store'}\n")
        assert _files(fetch(GitSource(private.url(repository, user="me")))[0]) == NEW

    def test_nothing_of_it_is_left_anywhere(
        self, private: GitServer, repository: Repository, fetch: Any, cache: BuilderCache
    ) -> None:
        home = Path(os.environ["HOME"])
        (home / ".gitconfig").write_text(f"[credential]\n\thelper = store --file {home / 'store'}\n")
        events: list[Event] = []
        place, locked = fetch(GitSource(private.url(repository, user="me:c%40nary")), reporter=events.append)
        assert _files(place) == NEW
        for root in (place, cache.root, home):
            for path in root.rglob("*"):
                assert not path.is_file() or not {b"c@nary", b"c%40nary"} & set(path.read_bytes().split(b":"))
                assert b"nary" not in (path.read_bytes() if path.is_file() and path.suffix != ".pack" else b"")
        assert "nary" not in str(events)
        assert locked.remote == private.url(repository, user="me:c%40nary"), "the codec takes it out"

    def test_nothing_of_it_is_in_an_argument_list(
        self, private: GitServer, repository: Repository, fetch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, spy = shutil.which("git"), tmp_path / "bin" / "git"
        spy.parent.mkdir()
        spy.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/seen\nexec {real} "$@"\n')
        spy.chmod(0o755)
        monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
        fetch(GitSource(private.url(repository, user="me:c%40nary")))
        seen = (tmp_path / "seen").read_text()
        assert "fetch" in seen
        assert "nary" not in seen


class TestLfs:
    @pytest.fixture
    def large(self, repository: Repository) -> Repository:
        """Return ``repository`` with a file in Git LFS."""
        if shutil.which("git-lfs") is None:
            pytest.skip("needs git-lfs")
        repository.git("lfs", "install", "--local")
        repository.git("lfs", "track", "*.root")
        repository.commit({"big.root": b"large content"})
        return repository

    def test_large_files_come_when_asked_for(self, large: Repository, fetch: Any) -> None:
        place, locked = fetch(GitSource(f"file://{large.path}", lfs=True))
        assert (place / "big.root").read_bytes() == b"large content"
        assert _files(fetch(locked, offline=True)[0]) == _files(place)

    def test_pointers_are_warned_about(self, large: Repository, fetch: Any) -> None:
        events: list[Event] = []
        place, _ = fetch(GitSource(f"file://{large.path}"), reporter=events.append)
        assert (place / "big.root").read_text().startswith("version https://git-lfs")
        assert any(event.kind == "warning" and "Git LFS" in event.message for event in events)

    def test_without_git_lfs_it_says_what_to_install(
        self, git_server: GitServer, repository: Repository, fetch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "bin").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        with pytest.raises(FetchError, match="git-lfs is not installed"):
            fetch(GitSource(git_server.url(repository), lfs=True))


def test_without_git_it_says_what_to_install(
    git_server: GitServer, repository: Repository, fetch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(FetchError) as caught:
        fetch(GitSource(git_server.url(repository)))
    assert "install git" in (caught.value.hint or "")


def test_a_failed_fetch_leaves_no_directory_and_no_scratch(
    git_server: GitServer, repository: Repository, fetch: Any, cache: BuilderCache, tmp_path: Path
) -> None:
    with pytest.raises(FetchError):
        fetch(GitSource(git_server.url(repository), subdirectory="missing"))
    assert not list(tmp_path.glob("*data*"))
    assert list((cache.root / "tmp").iterdir()) == []
    assert all(stat.S_ISDIR(path.lstat().st_mode) or path.suffix == ".lock" for path in (cache.root / "git").iterdir())
