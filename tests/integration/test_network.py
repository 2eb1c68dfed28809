"""The ways to servers: credentials, mirrors, proxies, certificates, private indexes. All servers are on loopback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from poncho.install import install_pip
from poncho.resolution import resolve_pip
from poncho.store import BuilderCache
from tests.integration.test_existing import wheel
from tests.support import keyrings, packages
from tests.support.channel import Channel
from tests.support.gitserver import GitServer, Repository
from tests.support.interpreters import make_base_prefix
from tests.support.network import authority, proxy
from tests.support.server import FileServer, serve

SECRET = "s3cr3t-CANARY"
# Older pips and uv ask "get SERVICE USER", pip 26 and later "--mode=creds --output=json get SERVICE USER".
_KEYRING = f"""#!/bin/sh
case $* in
    get*) echo {SECRET} ;;
    --mode=creds*get*) echo '{{"username": "user", "password": "{SECRET}"}}' ;;
    *) exit 2 ;;
esac
"""
FULL = bool(os.environ.get("PONCHO_TEST_FULL"))

# The way to the package index that this machine has: these tests have servers of their own.
_OF_THIS_MACHINE = [
    *(name for name in os.environ if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy")),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NETRC"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new, empty home; nothing of this machine's settings counts."""
    for name in _OF_THIS_MACHINE:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path / "cache"))
    return home


def ladder(url: str) -> dict[str, object]:
    return {"conda": {"channels": [url], "dependencies": ["ladder=1.2"]}}


def write_netrc(home: Path, password: str) -> None:
    path = home / ".netrc"
    path.write_text(f"machine 127.0.0.1\nlogin user\npassword {password}\n")
    path.chmod(0o600)


def auth_file(directory: Path, host: str, entry: dict[str, object]) -> dict[str, str]:
    path = directory / "auth.json"
    path.write_text(json.dumps({host: entry}))
    return {"RATTLER_AUTH_FILE": str(path)}


@pytest.mark.parametrize("how", ["url", "url-token", "netrc", "file-basic", "file-bearer", "file-token"])
def test_a_channel_that_demands_credentials(
    how: str, home: Path, channel_server: Callable[..., FileServer], tmp_path: Path
) -> None:
    demands = (
        {"bearer": SECRET} if "bearer" in how else {"token": SECRET} if "token" in how else {"basic": ("user", SECRET)}
    )
    server = channel_server(**demands)
    url, env = server.url, {}
    if how.startswith("url"):
        url = server.url_with_credentials
    elif how == "netrc":
        write_netrc(home, SECRET)
    else:
        entry: dict[str, dict[str, object]] = {
            "file-basic": {"BasicHTTP": {"username": "user", "password": SECRET}},
            "file-bearer": {"BearerToken": SECRET},
            "file-token": {"CondaToken": SECRET},
        }
        env = auth_file(tmp_path, "127.0.0.1", entry[how])
    refused = packages.create(ladder(server.url), tmp_path / "no.tar.gz", env={"HOME": tmp_path}).failed().stderr
    assert "the channel wants credentials" in refused
    create_without_a_trace(url, server.address, tmp_path, env)


@pytest.mark.skipif(bool(keyrings.lacking()), reason=f"not here: {keyrings.lacking()}")
def test_a_channel_s_password_lies_in_the_system_s_keyring(
    home: Path, channel_server: Callable[..., FileServer], tmp_path: Path
) -> None:
    server = channel_server(basic=("user", SECRET))
    entry = json.dumps({"BasicHTTP": {"username": "user", "password": SECRET}})
    # As py-rattler looks for it, and as "pixi auth login" and "rattler auth login" store it.
    told = {"service": "rattler", "username": "127.0.0.1", "target": "default", "application": "rust-keyring"}
    with keyrings.keyring(tmp_path, entry, **told) as env:
        create_without_a_trace(server.url, server.address, tmp_path, env)


def create_without_a_trace(url: str, address: str, tmp_path: Path, env: dict[str, str]) -> None:
    output = tmp_path / "env.tar.gz"
    said = packages.create(ladder(url), output, "-v", env=env).ok()
    there = packages.unpack(output, tmp_path / "there")
    texts = [said.stderr, *(path.read_text(errors="replace") for path in there.rglob("*") if path.is_file())]
    assert not [text for text in texts if SECRET in text]
    assert address in (there / "poncho/lock.json").read_text()


def test_a_mirror_serves_what_a_channel_names(
    home: Path, channel_server: Callable[..., FileServer], tmp_path: Path
) -> None:
    mirror = channel_server()
    env = {"PONCHO_CONDA_MIRRORS": f"http://channel.invalid/main={mirror.url} http://other.invalid=http://127.0.0.1:9"}
    packages.create(ladder("http://channel.invalid/main"), tmp_path / "env.tar.gz", env=env).ok()
    assert any(path.endswith("ladder-1.2-h1_1.conda") or "ladder-1.2" in path for path in mirror.paths)
    lock = packages.read_member(tmp_path / "env.tar.gz", "poncho/lock.json").decode()
    assert "http://channel.invalid/main/noarch/ladder-1.2" in lock
    assert mirror.address not in lock
    said = packages.create(
        ladder("http://channel.invalid/main"), tmp_path / "x.tar.gz", env={"PONCHO_CONDA_MIRRORS": "nonsense"}
    )
    assert "PONCHO_CONDA_MIRRORS: nonsense is no mirror" in said.failed().stderr


def test_channels_of_condarc_are_not_asked(
    home: Path, channel: Channel, channel_server: Callable[..., FileServer], tmp_path: Path
) -> None:
    asked = channel_server()
    settings = f"channels:\n  - {asked.url}\nchannel_alias: {asked.url}\ncustom_channels:\n  mine: {asked.url}\n"
    for name in (".condarc", ".mambarc", ".conda/condarc", ".config/conda/condarc"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(settings)
    env = {"CONDARC": home / ".condarc", "CONDA_CHANNELS": asked.url}
    second = channel.second
    assert second is not None
    packages.create(ladder(channel.file_url), tmp_path / "env.tar.gz", env=env).ok()
    packages.create(ladder(second.file_url), tmp_path / "env.tar.gz", env=env).failed()
    assert asked.requests == []


@pytest.fixture
def private_ground(home: Path, channel: Channel, tmp_path: Path) -> Iterator[tuple[Path, dict[str, int], Repository]]:
    """Serve channel, index, data and git over https with a certificate that no machine knows; yield it and the ports."""
    certificate, context = authority(tmp_path / "authority")
    index = tmp_path / "index"
    (index / "simple/private-thing").mkdir(parents=True)
    made = wheel(index / "simple/private-thing", "private_thing", "1.0", {"private_thing.py": "x = 'private'\n"})
    (index / "simple/private-thing/index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    (index / "data.txt").write_text("1 2 3\n")
    repositories = tmp_path / "repositories"
    repositories.mkdir()
    repository = Repository(repositories / "code.git")
    repository.commit({"file.txt": "from git\n"})
    with ExitStack() as stack:
        first = stack.enter_context(serve(FileServer(channel.path, tls=context)))
        files = stack.enter_context(serve(FileServer(index, tls=context)))
        git = GitServer(repositories)
        git.use_tls(context)
        stack.enter_context(git)
        ports = {
            "channel": int(first.address.split(":")[1]),
            "index": int(files.address.split(":")[1]),
            "git": git.port,
        }
        yield certificate, ports, repository


def _spec(place: Callable[[str], str], channel: Channel, *, pip: bool) -> dict[str, object]:
    conda = [f"python={channel.python}", {"pip": ["private-thing"]}] if pip else ["ladder"]
    return {
        "conda": {"channels": [place("channel")], "dependencies": conda},
        "http": {"DATA": {"type": "file", "url": f"{place('index')}/data.txt"}},
        "git": {"CODE": {"remote": f"{place('git')}/code.git"}},
    }


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", *(["CURL_CA_BUNDLE"] if FULL else [])])
def test_one_variable_names_the_certificates_for_all(
    variable: str, private_ground: tuple[Path, dict[str, int], Repository], channel: Channel, tmp_path: Path
) -> None:
    certificate, ports, _ = private_ground
    spec = _spec(lambda name: f"https://127.0.0.1:{ports[name]}", channel, pip=False)
    packages.create(spec, tmp_path / "no.tar.gz").failed()
    packages.create(spec, tmp_path / "env.tar.gz", env={variable: certificate}).ok()
    found = packages.members(tmp_path / "env.tar.gz")
    assert {"poncho/data/DATA/data.txt", "share/ladder.txt"} <= found.keys()
    assert any(name.startswith("poncho/data/CODE/") and name.endswith("file.txt") for name in found)


def test_all_goes_through_the_proxy_with_certificates_of_ones_own(
    private_ground: tuple[Path, dict[str, int], Repository], channel: Channel, tmp_path: Path
) -> None:
    certificate, ports, _ = private_ground
    hosts = {f"{name}.poncho.test": port for name, port in ports.items()}
    spec = _spec(lambda name: f"https://{name}.poncho.test", channel, pip=True)
    with proxy(hosts) as through:
        env = {
            "HTTPS_PROXY": through.url,
            "REQUESTS_CA_BUNDLE": str(certificate),
            "PIP_INDEX_URL": "https://index.poncho.test/simple",
        }
        packages.create(spec, tmp_path / "env.tar.gz", env=env).ok()
        assert set(through.asked) == set(hosts)
    code = "import os, private_thing; print(private_thing.x, open(os.environ['DATA']).read())"
    assert packages.run_in(tmp_path / "env.tar.gz", "python", "-c", code).ok().stdout == "private 1 2 3\n\n"


@pytest.fixture(scope="module")
def base_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with this machine's interpreter, to resolve for. Read only."""
    root = tmp_path_factory.mktemp("base")
    return make_base_prefix(root / "env", BuilderCache(root / "cache"))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[FileServer]:
    """Serve an index of one distribution to those who know the password."""
    root = tmp_path / "private"
    (root / "simple/private-thing").mkdir(parents=True)
    made = wheel(root / "simple/private-thing", "private_thing", "1.0", {"private_thing.py": "x = 1\n"})
    (root / "simple/private-thing/index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    with serve(FileServer(root, basic=("user", SECRET))) as server:
        yield server


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Yield a stack for servers that only one of the cases needs."""
    with ExitStack() as stack:
        yield stack


WAYS = [("uv", how) for how in ("url", "extra", "pip.conf", "netrc", "keyring", "uv-names")]
WAYS += [("pip", how) for how in ("pip.conf", "keyring", *(("url", "extra", "netrc") if FULL else ()))]


@pytest.mark.parametrize(("tool", "how"), WAYS)
def test_a_private_index(
    how: str,
    tool: str,
    home: Path,
    index: FileServer,
    base_prefix: Path,
    tmp_path: Path,
    stack: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PONCHO_NO_UV", "1" if tool == "pip" else "0")
    simple, known = f"{index.url}/simple", f"{index.url_with_credentials}/simple"
    if how == "url":
        monkeypatch.setenv("PIP_INDEX_URL", known)
    elif how == "extra":
        nothing = tmp_path / "nothing"
        nothing.mkdir()
        empty = stack.enter_context(serve(FileServer(nothing)))
        monkeypatch.setenv("PIP_INDEX_URL", empty.url)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", known)
    elif how == "pip.conf":
        (home / ".config/pip").mkdir(parents=True)
        (home / ".config/pip/pip.conf").write_text(f"[global]\nindex-url = {known}\n")
        monkeypatch.delenv("PIP_CONFIG_FILE")
    elif how == "netrc":
        write_netrc(home, SECRET)
        monkeypatch.setenv("PIP_INDEX_URL", simple)
    elif how == "keyring":
        (tmp_path / "bin").mkdir()
        command = tmp_path / "bin/keyring"
        command.write_text(_KEYRING)
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("PIP_INDEX_URL", simple.replace("://", "://user@"))
        monkeypatch.setenv("PIP_KEYRING_PROVIDER", "subprocess")
    else:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"mine={simple}")
        monkeypatch.setenv("UV_INDEX_MINE_USERNAME", "user")
        monkeypatch.setenv("UV_INDEX_MINE_PASSWORD", SECRET)
    cache = BuilderCache(tmp_path / "cache")
    locked = resolve_pip(["private-thing"], python=base_prefix / "bin/python", cache=cache)
    assert [(one.name.replace("_", "-"), one.version) for one in locked] == [("private-thing", "1.0")]
    if tool == "uv" and how == "url":
        prefix = tmp_path / "env"
        shutil.copytree(base_prefix, prefix, symlinks=True)
        install_pip(locked, prefix=prefix, cache=cache)
        written = [path for path in prefix.rglob("*.dist-info/*") if path.is_file() and SECRET in path.read_text()]
        assert written == []
