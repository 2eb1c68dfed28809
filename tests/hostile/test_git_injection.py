"""Hazard 13: addresses, refs, repositories and submodules that try to run something. None does."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from poncho.errors import FetchError
from poncho.fetch import fetch_git
from poncho.lock.model import LockedGit
from poncho.spec.model import GitSource
from poncho.store import BuilderCache
from tests.support import servers
from tests.support.cli import run_cli
from tests.support.faults import count
from tests.support.gitserver import GitServer, Repository, git, git_daemon

CANARY = "{canary}"
REMOTES = [
    f"ext::sh -c touch% {CANARY}",
    f"ext::touch {CANARY}",
    f"ext://touch {CANARY}",
    f"EXT::touch {CANARY}",
    "fd::17",
    f"file::{CANARY}",
    "http::http://127.0.0.1/x",
    f"ssh::ext::touch {CANARY}",
    f"--upload-pack=touch {CANARY}",
    f"-u touch {CANARY}",
    f"-oProxyCommand=touch {CANARY}",
    f"ssh://-oProxyCommand=touch {CANARY}/x",
    f"ssh://-oProxyCommand=touch%20{CANARY}/x",
    f"ssh://user@-oProxyCommand=touch%20{CANARY}/x",
    f"ssh://-oProxyCommand=touch@host/{CANARY}",
    f"git@-oProxyCommand=touch {CANARY}:x",
    f"-oProxyCommand=touch {CANARY}@host:x",
    f"host:-oProxyCommand=touch {CANARY}",
    f"host:--upload-pack=touch {CANARY}",
    "ssh://host/-oProxyCommand=x",
    f"git://-x/{CANARY}",
    f"http://127.0.0.1/\ntouch {CANARY}",
    "https://example.org%0ahost=evil.example/x",
    "https://user%0ahost%3dexample.org@127.0.0.1/x",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"; touch {CANARY}",
    f"| touch {CANARY} #:x",
    "ftp://127.0.0.1/x",
    "rsync://127.0.0.1/x",
    "../relative/path",
    "",
    "C:\\path",
    "file://host/share",
    "file:relative",
]
REFS = [
    f"--upload-pack=touch {CANARY}",
    f"-c core.sshCommand=touch {CANARY}",
    "--all",
    "-h",
    "main:refs/heads/evil",
    "+main",
    "^main",
    "main~1",
    "HEAD@{1}",
    "..",
    "a..b",
    "refs/heads/*",
    f"main;touch {CANARY}",
    f"$(touch {CANARY})",
    "main\n--upload-pack=x",
    "",
    "main lock",
    "x.lock",
]


@pytest.fixture(autouse=True)
def _quiet_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    servers.quiet_network(monkeypatch, tmp_path / "home")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Return the file that must not come into being."""
    return tmp_path / "canary"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository with one commit."""
    made = Repository(tmp_path / "srv" / "plain.git")
    made.commit({"file": "content"})
    return made


@pytest.mark.parametrize("remote", REMOTES)
def test_a_hostile_address_is_refused_and_runs_nothing(remote: str, canary: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        fetch_git(
            GitSource(remote.replace(CANARY, str(canary))), tmp_path / "data", cache=BuilderCache(tmp_path / "cache")
        )
    assert not canary.exists()
    assert not (tmp_path / "data").exists()
    assert "\n" not in caught.value.message
    assert not list((tmp_path / "cache").glob("git/*.git/FETCH_HEAD"))


@pytest.mark.parametrize("ref", REFS)
def test_a_hostile_ref_is_refused_and_runs_nothing(
    ref: str, canary: Path, repository: Repository, tmp_path: Path
) -> None:
    source = GitSource(str(repository.path), ref=ref.replace(CANARY, str(canary)))
    with pytest.raises(FetchError):
        fetch_git(source, tmp_path / "data", cache=BuilderCache(tmp_path / "cache"))
    assert not canary.exists()
    assert not (tmp_path / "data").exists()


def test_hooks_filters_and_monitors_of_the_source_do_not_run(
    canary: Path, repository: Repository, tmp_path: Path
) -> None:
    repository.commit({".gitattributes": "* filter=evil diff=evil\n"})
    hook = f"#!/bin/sh\ntouch {canary}\n"
    for name in ("post-checkout", "post-merge", "reference-transaction", "pre-auto-gc", "post-upload-pack"):
        place = repository.path / "hooks" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(hook)
        place.chmod(0o755)
    (tmp_path / "script").write_text(hook)
    (tmp_path / "script").chmod(0o755)
    with (repository.path / "config").open("a") as config:
        script = tmp_path / "script"
        config.write(
            f"[core]\n\tfsmonitor = {script}\n\tsshCommand = {script}\n\tgitProxy = {script}\n\tpager = {script}\n"
        )
        config.write(f'[filter "evil"]\n\tsmudge = {script}\n[uploadpack]\n\tpackObjectsHook = {script}\n')
        config.write(
            f"[diff]\n\texternal = {script}\n[credential]\n\thelper = !{script}\n[alias]\n\tls-tree = !{script}\n"
        )
    fetch_git(GitSource(str(repository.path)), tmp_path / "data", cache=BuilderCache(tmp_path / "cache"))
    assert (tmp_path / "data" / "file").read_text() == "content"
    assert not canary.exists()


def test_templates_and_filters_of_the_user_do_not_reach_the_data(
    canary: Path, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    (template / "post-checkout").write_text(f"#!/bin/sh\ntouch {canary}\n")
    (template / "post-checkout").chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(template.parent))
    config = Path(os.environ["HOME"]) / ".gitconfig"
    config.write_text(f'[init]\n\ttemplateDir = {template.parent}\n[filter "x"]\n\tsmudge = touch {canary}; cat\n')
    repository.commit({".gitattributes": "* filter=x\n"})
    fetch_git(GitSource(str(repository.path)), tmp_path / "data", cache=BuilderCache(tmp_path / "cache"))
    assert not canary.exists()


class TestTrees:
    """Trees that git would never write, and that a server can serve all the same."""

    @pytest.mark.parametrize("name", [".git", ".GIT", "git~1", "..", ".", ".git.", "a/b", "x\ny"])
    def test_a_name_that_is_no_name_is_refused(self, name: str, repository: Repository, tmp_path: Path) -> None:
        inner = repository.hash_tree(("100755", "post-checkout", "#!/bin/sh\n"))
        repository.commit_tree(("40000", name, inner))
        with pytest.raises(FetchError):
            fetch_git(
                GitSource(str(repository.path), ref="crafted"),
                tmp_path / "data",
                cache=BuilderCache(tmp_path / "cache"),
            )
        assert not (tmp_path / "data").exists()

    def test_a_link_and_a_directory_of_one_name_are_refused(self, repository: Repository, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        inner = repository.hash_tree(("100644", "evil", "x"))
        repository.commit_tree(("120000", "a", str(outside)), ("40000", "a", inner))
        with pytest.raises(FetchError):
            fetch_git(
                GitSource(str(repository.path), ref="crafted"),
                tmp_path / "data",
                cache=BuilderCache(tmp_path / "cache"),
            )
        assert list(outside.iterdir()) == []


class TestSubmodules:
    @pytest.mark.parametrize(
        "url",
        [
            "ext::sh -c touch% {canary}",
            "-u./payload",
            "--upload-pack=touch {canary}",
            "ssh://-oProxyCommand=touch%20{canary}/x",
            "file://{local}",
            "{local}",
            "../../../../../../{canary}",
            "",
        ],
    )
    def test_a_hostile_address_of_a_submodule_is_refused(
        self, url: str, canary: Path, repository: Repository, tmp_path: Path
    ) -> None:
        secret = Repository(tmp_path / "private" / "secret.git")
        commit = secret.commit({"secret": "of this machine"})
        address = url.format(canary=canary, local=secret.path)
        modules = f'[submodule "sub"]\n\tpath = sub\n\turl = "{address}"\n\tupdate = !touch {canary}\n'
        repository.commit_tree(("100644", ".gitmodules", modules), ("160000", "sub", commit))
        with GitServer(repository.path.parent) as server, pytest.raises(FetchError):
            fetch_git(
                GitSource(server.url(repository), ref="crafted", submodules=True),
                tmp_path / "data",
                cache=BuilderCache(tmp_path / "cache"),
            )
        assert not canary.exists()
        assert not (tmp_path / "data").exists()

    @pytest.mark.parametrize("name", ["../../hooks", "..", "sub/../../x", '"; touch x'])
    def test_the_name_of_a_submodule_leads_nowhere(self, name: str, repository: Repository, tmp_path: Path) -> None:
        # CVE-2018-11235: the name was a path below .git/modules. Here it is a key and nothing else.
        library = Repository(tmp_path / "srv" / "library.git")
        commit = library.commit({"library": "content"})
        quoted = name.replace('"', '\\"')
        modules = f'[submodule "{quoted}"]\n\tpath = sub\n\turl = ../library.git\n\tupdate = !touch {tmp_path}/canary\n'
        repository.commit_tree(("100644", ".gitmodules", modules), ("160000", "sub", commit))
        before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
        try:
            fetch_git(
                GitSource(str(repository.path), ref="crafted", submodules=True),
                tmp_path / "data",
                cache=BuilderCache(tmp_path / "cache"),
            )
        except FetchError:
            assert not (tmp_path / "data").exists()
        else:
            assert (tmp_path / "data" / "sub" / "library").exists()
        after = {path for path in tmp_path.rglob("*") if not {"cache", "data"} & set(path.parts)}
        assert after == before

    def test_a_submodule_below_a_link_is_refused(self, repository: Repository, tmp_path: Path) -> None:
        # CVE-2024-32002: the submodule goes through a link into .git.
        library = Repository(tmp_path / "srv" / "library.git")
        commit = library.commit({"hooks/post-checkout": "#!/bin/sh\n"})
        modules = '[submodule "x"]\n\tpath = a/sub\n\turl = ../library.git\n'
        inner = repository._hash("tree", b"160000 sub\0" + bytes.fromhex(commit))
        repository.commit_tree(("100644", ".gitmodules", modules), ("120000", "a", ".git"), ("40000", "a", inner))
        with pytest.raises(FetchError):
            fetch_git(
                GitSource(str(repository.path), ref="crafted", submodules=True),
                tmp_path / "data",
                cache=BuilderCache(tmp_path / "cache"),
            )
        assert not (tmp_path / "data").exists()


def test_the_commit_that_is_checked_out_is_the_one_that_was_asked_for(repository: Repository, tmp_path: Path) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.commit({"file": "changed"})
    # A branch whose name is a commit is no way to have another commit taken for it.
    repository.git("update-ref", f"refs/heads/{first}", "HEAD")
    repository.git("push", "--quiet", "origin", f"refs/heads/{first}")
    locked = fetch_git(
        GitSource(str(repository.path), ref=first), tmp_path / "data", cache=BuilderCache(tmp_path / "cache")
    )
    assert locked.commit == first
    assert (tmp_path / "data" / "file").read_text() == "content"


@pytest.mark.parametrize("way", ["file", "http", "daemon"])
def test_a_pinned_commit_is_what_is_packed_whatever_the_remote_says_now(
    way: str, repository: Repository, tmp_path: Path
) -> None:
    """Branches that move, tags that are made anew, replaced objects, forced pushes: the commit decides."""
    with ExitStack() as stack:
        remote = str(repository.path)
        if way == "http":
            remote = stack.enter_context(GitServer(repository.path.parent)).url(repository)
        elif way == "daemon":
            remote = f"{stack.enter_context(git_daemon(repository.path.parent))}/{repository.path.name}"
        repository.git("tag", "v1")
        repository.push()
        pinned = fetch_git(GitSource(remote, ref="v1"), tmp_path / "first", cache=BuilderCache(tmp_path / "one"))
        evil = repository.commit({"file": "evil"})
        repository.git("tag", "--force", "v1")
        repository.git("branch", pinned.commit[:10], evil)
        # A replacement is taken for the object by every git that is not told otherwise.
        repository.git("replace", pinned.commit, evil)
        repository.git("push", "--quiet", "origin", f"+refs/replace/{pinned.commit}")
        repository.git("replace", "--delete", pinned.commit)
        repository.push()
        for number, cache in enumerate((tmp_path / "one", tmp_path / "two")):
            place = tmp_path / f"again{number}"
            locked = fetch_git(LockedGit(remote, pinned.commit, ref="v1"), place, cache=BuilderCache(cache))
            assert locked.commit == pinned.commit
            assert (place / "file").read_text() == "content"
            mirror = next((cache / "git").glob("*.git"))
            assert git(mirror, "rev-parse", f"refs/poncho/commit/{pinned.commit}") == pinned.commit
        moved = fetch_git(GitSource(remote, ref="v1"), tmp_path / "moved", cache=BuilderCache(tmp_path / "two"))
        assert moved.commit == evil


@pytest.mark.parametrize("number", range(3))
def test_through_the_command_a_hostile_spec_is_one_line_and_runs_nothing(
    number: int, canary: Path, repository: Repository, tmp_path: Path
) -> None:
    tried = [{"remote": remote} for remote in REMOTES]
    tried += [{"remote": str(repository.path), "ref": ref} for ref in REFS]
    for source in tried[number :: count(15, 3)]:
        (tmp_path / "spec.json").write_text(json.dumps({"git": {"DATA": source}}).replace(CANARY, str(canary)))
        changes = {"PONCHO_CACHE_DIR": tmp_path / "cache"}
        done = run_cli("poncho_package_create", tmp_path / "spec.json", tmp_path / "env.tar.gz", env=changes).failed()
        assert [line for line in done.stderr.splitlines() if ": error: " in line] == done.stderr.splitlines()[:1]
        assert not canary.exists()
        assert not (tmp_path / "env.tar.gz").exists()
