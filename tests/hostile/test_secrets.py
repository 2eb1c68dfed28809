"""Secrets planted wherever people keep them: none comes out in a package, a log, a lock or the arguments of a process."""

from __future__ import annotations

import glob
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.test_existing import site_of, wheel
from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import run_cli
from tests.support.gitserver import GitServer, Repository
from tests.support.httpserver import HttpServer
from tests.support.reference_engine import make_environment
from tests.support.server import FileServer, serve

PLACES = (
    *("channel-userinfo", "channel-token", "rattler-auth-file", "condarc", "netrc", "pip-conf", "index-variable"),
    *("requirement-url", "requirement-git", "git-remote", "http-url", "http-header"),
)


def canary(place: str) -> str:
    """Return the secret that is planted in one place: letters only, so that no encoding hides it."""
    return f"CANARYx{place.replace('-', 'x')}xYRANAC"


# It has its build back end beside it, so that building needs no index.
PROJECT = Path(__file__).parents[1] / "install/data/project"
SECRETS = {place: canary(place).encode() for place in PLACES}


@contextmanager
def watched_arguments() -> Iterator[set[str]]:
    """Yield the secrets that were seen in any process's arguments while the block ran, as far as looking often tells."""
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.01):
            for name in glob.glob("/proc/[0-9]*/cmdline"):
                with suppress(OSError), open(name, "rb") as stream:
                    data = stream.read()
                    seen.update(f"{place}: {data!r}" for place, secret in SECRETS.items() if secret in data)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def leaks(archive: Path, *texts: str) -> list[str]:
    """Return where secrets are: in the members of a package, or in what was printed."""
    found = [f"printed: {place}" for text in texts for place, secret in SECRETS.items() if secret.decode() in text]
    with tarfile.open(archive) as package:
        for member in package:
            stream = package.extractfile(member) if member.isfile() else None
            data = member.name.encode() + (stream.read() if stream else member.linkname.encode())
            found += [f"{member.name}: {place}" for place, secret in SECRETS.items() if secret in data]
    return found


@pytest.fixture
def ground(
    channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], dict[str, object]]]:
    """Plant all secrets; yield a function that returns the spec which needs most of them."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    (home / ".config/pip").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path / "cache"))
    index = tmp_path / "index"
    for name in ("from-conf", "from-variable", "by-url"):
        (index / name).mkdir(parents=True)
        made = wheel(index / name, name.replace("-", "_"), "1.0", {f"{name.replace('-', '_')}.py": "x = 1\n"})
        (index / name / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    repositories = tmp_path / "repositories"
    repositories.mkdir()
    code = Repository(repositories / "code.git")
    code.commit({path.name: path.read_text() for path in PROJECT.iterdir() if path.is_file()})
    with ExitStack() as stack:
        user = "user"
        first = stack.enter_context(serve(FileServer(channel.path, basic=(user, canary("channel-userinfo")))))
        assert channel.second is not None
        second = stack.enter_context(serve(FileServer(channel.second.path, token=canary("channel-token"))))
        by_conf = stack.enter_context(serve(FileServer(index, basic=(user, canary("pip-conf")))))
        by_variable = stack.enter_context(serve(FileServer(index, basic=(user, canary("index-variable")))))
        by_url = stack.enter_context(serve(FileServer(index, basic=(user, canary("requirement-url")))))
        git = stack.enter_context(GitServer(repositories, login=(user, canary("git-remote"))))
        git_for_pip = stack.enter_context(GitServer(repositories, login=(user, canary("requirement-git"))))
        web = stack.enter_context(HttpServer())
        web.put("/a.txt", b"a", basic=(user, canary("http-url")))
        web.put("/b.txt", b"b", require_header=("X-Key", canary("http-header")))
        (home / ".config/pip/pip.conf").write_text(f"[global]\nindex-url = {by_conf.url_with_credentials}\n")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", by_variable.url_with_credentials)
        (home / ".condarc").write_text(f"channels: [http://h.invalid/t/{canary('condarc')}/x]\n")
        (home / ".netrc").write_text(f"machine h.invalid login u password {canary('netrc')}\n")
        (home / ".netrc").chmod(0o600)
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"h.invalid": {"BearerToken": canary("rattler-auth-file")}}))
        monkeypatch.setenv("RATTLER_AUTH_FILE", str(auth))
        monkeypatch.setenv("KEY_HEADER", canary("http-header"))
        pip = [
            *("from-conf", "from-variable"),
            f"by-url @ {by_url.url_with_credentials}/by-url/by_url-1.0-py3-none-any.whl",
        ]

        def spec(*, git_requirement: bool = False) -> dict[str, object]:
            conda = [f"python={channel.python}", "pip", "setuptools", "only-second"]
            url = git_for_pip.url(code, user=f"{user}:{canary('requirement-git')}")
            return {
                "conda": {"channels": [first.url_with_credentials, second.url_with_credentials], "dependencies": conda},
                "pip": [*pip, f"local-code @ git+{url}"] if git_requirement else pip,
                "git": {"CODE": {"remote": git.url(code, user=f"{user}:{canary('git-remote')}")}},
                "http": {
                    "A": {"type": "file", "url": web.url("/a.txt", user=f"{user}:{canary('http-url')}")},
                    "B": {"type": "file", "url": web.url("/b.txt"), "headers": {"X-Key": "KEY_HEADER"}},
                },
            }

        yield spec


def test_a_build_that_needs_them_gives_none_away(ground: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    output = tmp_path / "env.tar.gz"
    with watched_arguments() as seen:
        said = packages.create(ground(git_requirement=True), output, "-v").ok()
    assert leaks(output, said.stdout, said.stderr) == []
    assert seen == set()
    assert {"from-conf==1.0", "from-variable==1.0", "by-url==1.0"} <= packages.installed(output)


FAILING = ["channels", "pip", *(["dependencies", "git", "http"] if os.environ.get("PONCHO_TEST_FULL") else [])]


@pytest.mark.parametrize("place", FAILING)
def test_a_build_that_fails_gives_none_away(
    place: str, ground: Callable[..., dict[str, object]], tmp_path: Path
) -> None:
    spec = json.loads(json.dumps(ground()))
    if place == "channels":
        spec["conda"]["channels"] = [
            f"http://user:{canary('channel-userinfo')}@127.0.0.1:9/t/{canary('channel-token')}"
        ]
    elif place == "dependencies":
        spec["conda"]["dependencies"].append("no-such-package")
    elif place == "pip":
        spec["pip"] = ["no-such-distribution", *spec["pip"]]
    elif place == "git":
        spec["git"]["CODE"]["remote"] += "-that-is-not-there"
    else:
        spec["http"]["A"]["url"] += "-that-is-not-there"
    for options in (["-v", "--debug"], ["--json"] if place == "channels" else []):
        if options:
            said = packages.create(spec, tmp_path / "env.tar.gz", *options)
            assert said.returncode != 0
            assert not [where for where, secret in SECRETS.items() if secret.decode() in said.stdout + said.stderr]


def test_an_environment_that_is_full_of_them_gives_none_away(channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.file_url], ["greet", "pip"])
    site = site_of(prefix)
    made = wheel(tmp_path, "vcs", "1.0", {"vcs.py": "x = 1\n"})
    argv = [prefix / "bin/python", "-m", "pip", "install", "--no-index", "--no-deps", made]
    subprocess.run(argv, check=True, capture_output=True)
    secret = f"https://user:{canary('channel-userinfo')}@host.example/t/{canary('channel-token')}/channel"
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        record["url"] = f"{secret}/noarch/{record['fn']}?token={canary('http-url')}"
        record["channel"] = record["schannel"] = secret
        record["requested_spec"] = record["name"] = record["name"]
        record["requested_specs"] = [f"{secret}::{record['name']}"]
        path.unlink()
        path.write_text(json.dumps(record))
    (prefix / "conda-meta/history").write_text(f"==> 2024 <==\n# cmd: conda install -c {secret}\n")
    private = {".condarc": "condarc", "pip.conf": "pip-conf", ".netrc": "netrc", "etc/.pypirc": "index-variable"}
    for name, place in private.items():
        (prefix / name).parent.mkdir(exist_ok=True)
        (prefix / name).write_text(f"password: {canary(place)}\n")
    url = f"https://user:{canary('requirement-url')}@host.example/code.git"
    info = {"url": url, "vcs_info": {"vcs": "git", "commit_id": "a" * 40}}
    (site / "vcs-1.0.dist-info/direct_url.json").write_text(json.dumps(info))
    git = prefix / "src/code"
    git.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", git], check=True)
    for key, value in {
        "remote.origin.url": f"https://user:{canary('git-remote')}@host.example/x.git",
        "http.extraheader": f"Authorization: Bearer {canary('http-header')}",
    }.items():
        subprocess.run(["git", "-C", git, "config", key, value], check=True)
    output = tmp_path / "env.tar.gz"
    before = packages.tree_state(prefix)
    said = run_cli("poncho_package_create", prefix, output, "-v").ok()
    assert packages.tree_state(prefix) == before
    assert leaks(output, said.stdout, said.stderr) == []
    spec = packages.read_member(output, "conda_spec.yml").decode()
    assert f"vcs @ git+https://host.example/code.git@{'a' * 40}" in spec
    assert '"https://host.example/channel"' in spec
