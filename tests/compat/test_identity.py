"""One package is another one than the next when anything is different that it would hold."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from poncho.base import base_channel
from poncho.builder import CreateOptions
from poncho.compat.cache import cached_package, package_name, place_package
from poncho.compat.identity import today
from poncho.engine import native_platform
from poncho.errors import FetchError
from poncho.pack import PackOptions
from poncho.spec import Spec, parse
from poncho.spec.model import GitSource, HttpSource
from poncho.store import BuilderCache
from tests.support import packages, servers
from tests.support.channel import Channel
from tests.support.cli import run_cli
from tests.support.gitserver import Repository


@pytest.fixture
def options(tmp_path: Path) -> CreateOptions:
    return CreateOptions(cache=BuilderCache(tmp_path / "cache"))


def spec_of(channel: Channel, *dependencies: str, **more: object) -> Spec:
    return Spec(channels=(channel.file_url,), conda=dependencies or ("ladder=1.2",), **more)  # type: ignore[arg-type]


def test_a_branch_that_moved_is_another_package_and_one_that_did_not_is_the_same(
    channel: Channel, options: CreateOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.quiet_network(monkeypatch, tmp_path / "home")
    with servers.git_ground(tmp_path / "srv") as server:
        repository = Repository(server.root / "code.git")
        first = repository.commit({"data.txt": "one\n"}, "first")
        spec = spec_of(channel, git={"CODE": GitSource(server.url(repository))})
        made = cached_package(spec, tmp_path / "here", options=options)
        assert made.built
        assert not cached_package(spec, tmp_path / "here", options=options).built
        repository.commit({"data.txt": "two\n"}, "second")
        moved = cached_package(spec, tmp_path / "here", options=options)
        assert moved.built
        assert moved.path != made.path
        assert packages.read_member(moved.path, "poncho/data/CODE/data.txt") == b"two\n"
        pinned = replace(spec, git={"CODE": GitSource(server.url(repository), ref=first)})
        name = package_name(pinned, native_platform(), options=options)
    # A commit is what it is: nobody has to be asked.
    assert package_name(pinned, native_platform(), options=options) == name
    with pytest.raises(FetchError):
        package_name(spec, native_platform(), options=options)
    offline = package_name(spec, native_platform(), options=replace(options, offline=True))
    assert offline == moved.path.name


def test_a_download_that_changed_is_another_package_and_a_pinned_one_is_not_asked_for(
    channel: Channel, options: CreateOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.quiet_network(monkeypatch, tmp_path / "home")
    with servers.http_server() as web:
        web.put("/table.csv", b"1\n")
        floating = spec_of(channel, http={"TABLE": HttpSource(web.url("/table.csv"))})
        pinned = spec_of(channel, http={"TABLE": HttpSource(web.url("/table.csv"), sha256="ab" * 32)})
        first = package_name(floating, native_platform(), options=options)
        assert package_name(floating, native_platform(), options=options) == first
        name = package_name(pinned, native_platform(), options=options)
        web.put("/table.csv", b"2\n")
        assert package_name(floating, native_platform(), options=options) != first
        assert package_name(pinned, native_platform(), options=options) == name


def test_the_base_interpreter_counts_for_a_spec_without_a_channel(options: CreateOptions, channel: Channel) -> None:
    assert options.cache is not None
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    now = today(Spec(python=python), native_platform(), cache=options.cache)
    assert now.base == base_channel(python, cache=options.cache).sha256
    assert today(spec_of(channel), native_platform(), cache=options.cache).base is None


def test_leaving_editable_packages_out_is_another_package(channel: Channel, options: CreateOptions) -> None:
    without = replace(options, pack=PackOptions(ignore_editable=True))
    names = {package_name(spec_of(channel), native_platform(), options=one) for one in (options, without)}
    assert len(names) == 2


def test_two_directories_get_copies_of_one_build(channel: Channel, options: CreateOptions, tmp_path: Path) -> None:
    first = cached_package(spec_of(channel), tmp_path / "one", options=options)
    second = cached_package(spec_of(channel), tmp_path / "two", options=options)
    assert (first.built, second.built) == (True, False)
    assert first.path.read_bytes() == second.path.read_bytes()
    # Who writes into his copy changes nobody else's.
    first.path.write_bytes(b"mine")
    assert packages.installed(second.path) == {"ladder-1.2"}
    assert packages.installed(cached_package(spec_of(channel), options=options).path) == {"ladder-1.2"}


def test_a_superset_is_served_and_said_and_else_it_is_built(channel: Channel, options: CreateOptions) -> None:
    big = cached_package(spec_of(channel, "ladder=1.2", "greet", "yaml"), options=options)
    for wanted in (("ladder>=1.1,<2",), ("greet", "ladder"), ("yaml", "python")):
        near = cached_package(spec_of(channel, *wanted), options=options, approx=True)
        assert near.path == big.path
        assert not near.built
        assert near.approximation is not None
        names = {match.partition(">")[0] for match in wanted}
        assert set(near.approximation.extra) == {"ladder", "greet", "yaml"} - names
        assert "it also has" in near.approximation.words()
    for wanted in (("ladder=2.0",), ("ladder", "oddities"), ("greet", "second::ladder")):
        spec = spec_of(channel, *wanted)
        if wanted[1:] == ("second::ladder",):
            spec = replace(spec, conda=("greet", f"{channel.second.file_url}::ladder"))
        other = cached_package(spec, options=options, approx=True)
        assert other.built, wanted
    assert cached_package(spec_of(channel, "ladder>=1.1,<2"), options=options).built


def test_data_must_be_the_same_for_a_superset(
    channel: Channel, options: CreateOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.quiet_network(monkeypatch, tmp_path / "home")
    with servers.http_server() as web:
        web.put("/table.csv", b"1\n")
        web.put("/other.csv", b"2\n")
        table, other = HttpSource(web.url("/table.csv")), HttpSource(web.url("/other.csv"))
        cached_package(spec_of(channel, "ladder=1.2", "yaml", http={"TABLE": table, "OTHER": other}), options=options)
        near = cached_package(spec_of(channel, http={"TABLE": table}), options=options, approx=True)
        assert near.approximation is not None
        assert near.approximation.extra == ("yaml", "OTHER")
        web.put("/table.csv", b"3\n")
        assert cached_package(spec_of(channel, http={"TABLE": table}), options=options, approx=True).built


def test_approx_as_a_user_types_it(channel: Channel, tmp_path: Path) -> None:
    env = {"PONCHO_CACHE_DIR": tmp_path / "cache"}

    def write(name: str, *dependencies: str) -> Path:
        document = {"conda": {"channels": [channel.file_url], "dependencies": list(dependencies)}}
        (tmp_path / name).write_text(json.dumps(document))
        return tmp_path / name

    big, small = write("big.json", "ladder=1.2", "greet"), write("small.json", "ladder")
    built = run_cli("poncho_package_create", "--approx", big, tmp_path / "big.tar.gz", env=env).ok()
    assert "built" in built.stderr
    served = run_cli("poncho_package_create", "--approx", small, tmp_path / "small.tar.gz", env=env).ok()
    assert "satisfies the spec and is taken instead of a build: it also has greet" in served.stderr
    assert (tmp_path / "small.tar.gz").read_bytes() == (tmp_path / "big.tar.gz").read_bytes()
    answer = json.loads(run_cli("poncho_package_cache", "--approx", "--json", small, env=env).ok().stdout)
    assert answer["approximation"]["extra"] == ["greet"]
    again = run_cli("poncho_package_create", "--approx", big, tmp_path / "big.tar.gz", env=env).ok()
    assert "the same spec, built before" in again.stderr
    refused = run_cli("poncho_package_create", "--approx", small, tmp_path / "small.tar", env=env).failed()
    assert "--approx" in refused.stderr


@pytest.mark.parametrize(
    "option",
    [["--lock", "lock.json"], ["--locked"], ["--trim"], ["--level", "6"], ["--no-cache"]],
    ids=lambda one: one[0],
)
def test_approx_refuses_what_a_package_built_before_does_not_follow(tmp_path: Path, option: list[str]) -> None:
    (tmp_path / "spec.json").write_text('{"pip": ["six"]}')
    done = run_cli(
        "poncho_package_create", "--approx", *option, tmp_path / "spec.json", tmp_path / "env.tar.gz"
    ).failed()
    assert (done.returncode, option[0] in done.stderr, "hint:" in done.stderr) == (2, True, True)


def test_a_package_is_placed_once_and_left_alone_while_it_is_the_same(
    channel: Channel, options: CreateOptions, tmp_path: Path
) -> None:
    target = tmp_path / "env.tar.gz"
    assert place_package(spec_of(channel), target, options=options).built
    made = target.stat().st_mtime_ns
    assert not place_package(spec_of(channel), target, options=options).built
    assert target.stat().st_mtime_ns == made
    assert parse(json.loads(packages.read_member(target, "conda_spec.yml"))).conda == ("ladder=1.2",)
