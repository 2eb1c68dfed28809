"""The test channel is a real conda channel: py-rattler alone solves from it and installs environments that work."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.channel import Channel
from tests.support.conda_package import PLACEHOLDER
from tests.support.interpreter import is_glibc, shared_libraries
from tests.support.reference_engine import UnsatisfiableError, make_environment
from tests.support.server import FileServer


@pytest.fixture(scope="module")
def prefix(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with Python and what lies around it, installed over HTTP."""
    path = tmp_path_factory.mktemp("ground") / "env"
    others = ["numpy", "pip", "pyyaml", "greet", "text-prefix", "post-link-ok", "activation", "oddities"]
    make_environment(path, [channel.url], [f"python={channel.python}", *others])
    return path


def run(*argv: str | Path, cwd: Path | str = "/", **env: str) -> str:
    """Run with an empty PATH and no home."""
    done = subprocess.run(
        list(map(str, argv)), env={"PATH": "", **env}, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_interpreter_runs_with_an_empty_path(prefix: Path, channel: Channel) -> None:
    code = "import sys, ssl, sqlite3, bz2, lzma, ctypes, zlib; print(sys.prefix, sys.version.split()[0])"
    assert run(prefix / "bin/python", "-c", code) == f"{prefix} {channel.python_version}"


def test_no_library_of_the_machine_but_glibc_is_needed(prefix: Path) -> None:
    files = [prefix / "bin/python", *prefix.glob("lib/python3*/lib-dynload/*.so"), *prefix.glob("lib/*.so*")]
    for path, needs in shared_libraries(files).items():
        own = {name: where for name, where in needs.items() if not is_glibc(name)}
        assert all(where and prefix in where.parents for where in own.values()), (path, own)


def test_numpy_computes_and_finds_its_libraries_in_the_environment(prefix: Path) -> None:
    code = "import numpy; print(numpy.linalg.norm([3, 4])); print(open('/proc/self/maps').read())"
    norm, _, maps = run(prefix / "bin/python", "-c", code).partition("\n")
    assert norm == "5.0"
    assert f"{prefix}/lib/libstdc++.so.6" in maps


def test_pip_installs_into_site_packages_of_the_environment(prefix: Path) -> None:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    assert Path(run(prefix / "bin/python", "-c", code)).name == "site-packages"
    assert str(prefix) in run(prefix / "bin/pip", "--version")


def test_entry_points_of_a_noarch_package_run(prefix: Path) -> None:
    assert run(prefix / "bin/greet").splitlines() == [f"hello from {prefix}", "grüß dich"]


def test_text_placeholders_become_the_prefix(prefix: Path) -> None:
    assert (prefix / "etc/text-prefix.conf").read_text() == f"root={prefix}\npath={prefix}/bin:{prefix}/sbin\n"
    assert run("/bin/sh", prefix / "bin/where-am-i") == str(prefix)
    assert run(prefix / "bin/where-is-python") == str(prefix)


def test_conda_meta_records_the_placeholders(prefix: Path) -> None:
    (meta,) = prefix.glob("conda-meta/text-prefix-*.json")
    modes = {item["_path"]: item.get("file_mode") for item in json.loads(meta.read_text())["paths_data"]["paths"]}
    assert modes["etc/text-prefix.conf"] == "text"
    assert modes["etc/plain.conf"] is None


def test_a_post_link_script_ran(prefix: Path) -> None:
    assert (prefix / "share/post-link-ran.txt").read_text().split() == [str(prefix), "post-link-ok", "1.0"]


def test_activation_scripts_are_there(prefix: Path) -> None:
    assert f"{prefix}/share" in (prefix / "etc/conda/activate.d/activation.sh").read_text()


def test_odd_file_names_and_links_survive(prefix: Path) -> None:
    folder = prefix / "share/oddities"
    assert (folder / "link to space").read_text() == "space\n"
    assert os.readlink(folder / "dangling") == "not-there"
    assert (folder / "ünïcödé ✓.txt").is_file()


def test_import_yaml_is_pyyaml_and_yaml_is_the_c_library(prefix: Path, channel: Channel) -> None:
    channel.require("yaml")
    assert run(prefix / "bin/python", "-c", "import yaml; print(yaml.safe_load('a: [1]'))") == "{'a': [1]}"
    assert list(prefix.glob("conda-meta/pyyaml-*.json"))
    assert (prefix / "lib/libyaml.so").resolve().name == "libyaml-0.so.2"


def test_binary_placeholders_in_an_environment_without_python(channel: Channel, tmp_path: Path) -> None:
    channel.require("prefix-tool")
    packages = make_environment(tmp_path / "env", [channel.file_url], ["prefix-tool"])
    assert packages == ["prefix-tool-1.0-h0_0"]
    tool = tmp_path / "env/bin/prefix-tool"
    assert PLACEHOLDER.encode() not in tool.read_bytes()
    assert [run(tool), run(tool, "--library"), run(tool, "--data")] == [
        str(tmp_path / "env"),
        f"{tmp_path}/env/lib",
        "data of prefix-tool",
    ]


def test_two_packages_hold_the_same_file(channel: Channel, tmp_path: Path) -> None:
    make_environment(tmp_path / "env", [channel.file_url], ["clobber-one", "clobber-two"])
    assert (tmp_path / "env/share/clobbered.txt").read_text() in ("one\n", "two\n")


@pytest.mark.parametrize(
    ("specs", "package"),
    [
        (["ladder"], "ladder-2.0-h0_0"),
        (["ladder <2"], "ladder-1.2-h0_1"),
        (["ladder=1.2=h0_0"], "ladder-1.2-h0_0"),
        (["ladder", "constrains-ladder"], "ladder-1.1-h0_0"),
        (["ladder", "wants-old-ladder"], "ladder-1.2-h0_1"),
    ],
)
def test_the_newest_version_that_fits_is_chosen(
    channel: Channel, tmp_path: Path, specs: list[str], package: str
) -> None:
    assert package in make_environment(tmp_path / "env", [channel.file_url], specs)


@pytest.mark.parametrize(
    "specs", [["wants-old-ladder", "wants-new-ladder"], ["future"], ["missing-dependency"], ["no-such-package"]]
)
def test_what_cannot_be_satisfied_is_refused(channel: Channel, tmp_path: Path, specs: list[str]) -> None:
    with pytest.raises(UnsatisfiableError, match=specs[0].split("-")[0]):
        make_environment(tmp_path / "env", [channel.file_url], specs)


@pytest.mark.parametrize(("order", "version"), [((0, 1), "1.0"), ((1, 0), "2.0")])
def test_the_first_channel_wins(channel: Channel, tmp_path: Path, order: tuple[int, int], version: str) -> None:
    assert channel.second
    urls = (channel.file_url, channel.second.file_url)
    assert make_environment(tmp_path / "env", [urls[i] for i in order], ["shadowed"]) == [f"shadowed-{version}-h0_0"]


def test_both_archive_formats_are_in_the_index(channel: Channel) -> None:
    repodata = json.loads((channel.path / "noarch/repodata.json").read_text())
    assert any(name.endswith(".tar.bz2") for name in repodata["packages"])
    assert any(name.endswith(".conda") for name in repodata["packages.conda"])


def test_the_server_answers_304_to_the_etag_it_gave(channel: Channel) -> None:
    url = f"{channel.url}/noarch/repodata.json.zst"
    with urllib.request.urlopen(url) as answer:
        etag = answer.headers["ETag"]
    with pytest.raises(urllib.error.HTTPError) as again:
        urllib.request.urlopen(urllib.request.Request(url, headers={"If-None-Match": etag}))
    assert again.value.code == 304
    assert again.value.headers["ETag"] == etag


def test_the_server_sends_the_rest_of_a_file(channel: Channel) -> None:
    url = f"{channel.url}/noarch/repodata.json"
    whole = (channel.path / "noarch/repodata.json").read_bytes()
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=100-"})) as answer:
        assert (answer.status, answer.read()) == (206, whole[100:])


@pytest.mark.parametrize("options", [{"basic": ("me", "hunter2")}, {"token": "tk-123"}])
def test_a_channel_behind_credentials(
    channel_server: Callable[..., FileServer], tmp_path: Path, options: dict[str, object]
) -> None:
    server = channel_server(**options)
    with pytest.raises(RuntimeError):
        make_environment(tmp_path / "refused", [server.url], ["ladder"], cache=tmp_path / "cache-1")
    assert make_environment(tmp_path / "env", [server.url_with_credentials], ["ladder"], cache=tmp_path / "cache-2")


def test_rattler_reads_the_compressed_index(channel_server: Callable[..., FileServer], tmp_path: Path) -> None:
    server = channel_server(faults={"repodata_shards.msgpack.zst": 404})
    make_environment(tmp_path / "env", [server.url], ["ladder"], cache=tmp_path / "cache")
    assert "/noarch/repodata.json.zst" in server.paths
    assert "/noarch/repodata.json" not in server.paths
