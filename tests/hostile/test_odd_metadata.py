"""Whatever lies where an environment's metadata belongs: it is packed without that, or refused in one line; nothing hangs."""

from __future__ import annotations

import json
import os
import py_compile
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poncho.install import describe_prefix
from poncho.package import open_package
from poncho.preview import preview
from poncho.store import BuilderCache, remove_tree
from tests.support.cli import Finished, run_cli
from tests.support.interpreters import make_base_prefix
from tests.support.odd import deep
from tests.support.packages import members, read_member
from tests.support.prefixes import small_prefix

SITE = "lib/python3.11/site-packages"
INFO = f"{SITE}/thing-1.0.dist-info"
RECORD = "conda-meta/thing-tools-2-h1_0.json"
PLACES = (
    "conda-meta/zz.json",
    "conda-meta/state",
    "etc/conda/env_vars.d/z.json",
    "pyvenv.cfg",
    f"{SITE}/z.pth",
    f"{SITE}/z.egg-link",
    f"{SITE}/old.egg-info",
    f"{SITE}/older-1.0-py3.11.egg-info/PKG-INFO",
    f"{SITE}/oldest-1.0-py3.11.egg-info/installed-files.txt",
    f"{INFO}/RECORD",
    f"{INFO}/METADATA",
    f"{INFO}/INSTALLER",
    f"{INFO}/direct_url.json",
    f"{SITE}/thing/m.py",
    f"{SITE}/thing/__pycache__/__init__.cpython-311.pyc",
    "poncho/contents",
    "poncho/manifest.json",
    "poncho/relocation",
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return small_prefix(tmp_path / "env")


def create(prefix: Path, *options: str) -> Finished:
    return run_cli("poncho", "create", prefix, prefix.with_name("env.tar.gz"), *options, timeout=60)


def warnings(done: Finished) -> list[str]:
    return [line.partition(": warning: ")[2] for line in done.stderr.splitlines() if ": warning: " in line]


def with_record(**changes: Any) -> Callable[[Path], object]:
    def change(prefix: Path) -> None:
        record = json.loads((prefix / RECORD).read_text())
        (prefix / RECORD).write_text(json.dumps(record | changes))

    return change


def direct_url(url: str, *, editable: bool = False) -> Callable[[Path], object]:
    value = {"url": url, **({"dir_info": {"editable": True}} if editable else {})}
    return lambda prefix: (prefix / INFO / "direct_url.json").write_text(json.dumps(value))


@pytest.mark.parametrize("kind", ["a pipe", "a link to a pipe"])
def test_pipes_in_the_place_of_metadata_are_left_out_and_nobody_waits_for_them(
    prefix: Path, tmp_path: Path, kind: str
) -> None:
    (prefix / SITE / "thing/m.py").write_text("x = 1\n")
    py_compile.compile(str(prefix / SITE / "thing/m.py"))
    (prefix / SITE / "oldest-1.0-py3.11.egg-info").mkdir()
    (prefix / SITE / "oldest-1.0-py3.11.egg-info/PKG-INFO").write_text("Name: oldest\nVersion: 1.0\n")
    os.mkfifo(tmp_path / "pipe")
    for place in PLACES:
        path = prefix / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if kind == "a pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(tmp_path / "pipe")
    said = warnings(create(prefix).ok())
    expected = "a socket, pipe or device" if kind == "a pipe" else "a link to"
    for place in PLACES:
        if not place.startswith("poncho/"):
            assert any(line.startswith(f"{place}: left out, ") and expected in line for line in said), (place, said)
    assert members(tmp_path / "env.tar.gz").keys().isdisjoint(place for place in PLACES if place[:7] != "poncho/")
    run_cli("poncho", "inspect", prefix, timeout=60).ok()
    run_cli("poncho", "sbom", prefix, timeout=60).ok()
    run_cli("poncho", "verify", prefix, timeout=60).failed()
    create(prefix, "--dry-run").ok()


@pytest.mark.parametrize(
    "record", [[], {"name": "zz", "version": "1", "paths_data": {"paths": [5, {"_path": "a", "size_in_bytes": "5"}]}}]
)
def test_a_record_of_another_form_costs_nothing_before_a_build(prefix: Path, tmp_path: Path, record: object) -> None:
    (prefix / "conda-meta/zz.json").write_text(json.dumps(record))
    lock = describe_prefix(prefix)[1]
    found = preview(lock, cache=BuilderCache(tmp_path / "cache"), prefix=prefix)
    assert [part.name for part in found.parts if part.kind == "conda"] == [one.name for one in lock.conda]


def test_pipes_among_the_modules_of_an_environment_that_is_compiled_keep_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    make_base_prefix(tmp_path / "env", BuilderCache(tmp_path / "cache"))
    site = next((tmp_path / "env").glob("lib/python3.*/site-packages"))
    (site / "odd/__pycache__").mkdir(parents=True)
    (site / "odd/__init__.py").touch()
    os.mkfifo(site / "odd/pipe.py")
    tag = subprocess.run(
        [tmp_path / "env/bin/python", "-c", "import sys; print(sys.implementation.cache_tag)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    os.mkfifo(site / f"odd/__pycache__/__init__.{tag}.pyc")
    deep(site / "odd/deep", 1000)
    create(tmp_path / "env").ok()
    inside = members(tmp_path / "env.tar.gz")
    odd = f"{site.relative_to(tmp_path / 'env')}/odd"
    assert f"{odd}/__init__.py" in inside
    assert f"{odd}/pipe.py" not in inside
    assert f"{odd}/deep{'/d' * 1000}/__pycache__/f.{tag}.pyc" in inside
    remove_tree(tmp_path / "env")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda prefix: (prefix / RECORD).write_text("{"), "no JSON"),
        (with_record(files=5), "its list of files is none"),
        (with_record(files=[5, None]), "a path in it is no text"),
        (with_record(files=["a\0b"]), "a path in it has characters that no path has"),
        (with_record(paths_data={"paths": 5}), "its list of files is none"),
        (with_record(paths_data={"paths": [{"_path": "a\0b"}]}), "a path in it has characters that no path has"),
        (with_record(paths_data={"paths": [{"_path": "a\ud800b"}]}), "a path in it has characters that no path has"),
        (with_record(name="\ud800"), "its name has characters that no text has"),
        (with_record(name=5), "its name is no text"),
        (with_record(version="\ud800"), "its version has characters that no text has"),
    ],
)
def test_a_record_that_nobody_can_use_is_passed_over_with_a_word_about_it(
    prefix: Path, change: Callable[[Path], object], why: str
) -> None:
    change(prefix)
    said = warnings(create(prefix).ok())
    assert [line for line in said if line.startswith(RECORD)] == [
        f"{RECORD}: is no record of a conda package, and is left out ({why}): install that one again"
    ]
    assert read_member(prefix.with_name("env.tar.gz"), RECORD) == b"{}\n"
    assert describe_prefix(prefix)[1].conda == ()
    run_cli("poncho", "inspect", prefix).ok()


def test_an_environment_made_of_such_a_package_has_no_package_without_a_name(prefix: Path) -> None:
    (prefix / RECORD).write_text("{}")
    assert warnings(create(prefix).ok()) == warnings(create(prefix).ok())
    assert describe_prefix(prefix)[0].conda == ()


@pytest.mark.parametrize("key", ["license", "summary", "url", "channel", "subdir", "sha256"])
def test_half_a_character_in_what_a_record_says_costs_no_more_than_that(prefix: Path, key: str) -> None:
    with_record(**{key: "https://host.test/\ud83d"})(prefix)
    create(prefix).ok()
    packed = json.loads(read_member(prefix.with_name("env.tar.gz"), RECORD))
    assert packed["name"] == "thing-tools"
    assert packed[key].endswith("\ufffd")
    run_cli("poncho", "inspect", prefix.with_name("env.tar.gz")).ok()


@pytest.mark.parametrize("key", ["sha256", "md5", "size", "timestamp", "depends", "url", "channel", "license", "link"])
def test_a_record_with_facts_of_other_types_is_packed(prefix: Path, key: str) -> None:
    for odd in (5, ["x"], {"x": 1}, "x"):
        with_record(**{key: odd})(prefix)
        create(prefix).ok()


def test_a_file_of_a_name_that_is_no_text_stays_the_package_s(prefix: Path) -> None:
    with open(os.fsencode(prefix) + b"/bin/caf\xe9", "w") as stream:
        stream.write("x")
    with_record(files=["bin/caf\udce9"], paths_data={"paths": [{"_path": "bin/caf\udce9"}]})(prefix)
    create(prefix).ok()
    package = open_package(prefix.with_name("env.tar.gz"))
    assert json.loads(read_member(package.path, RECORD))["files"] == ["bin/caf\udce9"]


@pytest.mark.parametrize("url", ["https://host.test/\ud800", "https://[host/x"])
def test_an_origin_that_is_no_url_is_no_origin(prefix: Path, url: str) -> None:
    direct_url(url)(prefix)
    create(prefix).ok()
    assert [item.requirement for item in describe_prefix(prefix)[1].pip] == ["thing==1.0"]


@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        (direct_url("file:///x%00y", editable=True), f"{INFO}/direct_url.json"),
        (direct_url("file:///x\ud800y", editable=True), f"{INFO}/direct_url.json"),
        (direct_url("file://[x/y", editable=True), f"{INFO}/direct_url.json"),
        (lambda prefix: (prefix / SITE / "z.egg-link").write_text("/x\0y\n."), f"{SITE}/z.egg-link"),
    ],
)
def test_local_code_at_a_place_that_cannot_be_is_refused_by_the_file_that_says_so(
    prefix: Path, change: Callable[[Path], object], evidence: str
) -> None:
    change(prefix)
    done = create(prefix).failed()
    assert done.returncode == 1
    assert (
        f"cannot be packed, it is no project that can be built: {'z' if 'egg' in evidence else 'thing'}" in done.stderr
    )
    assert f"{prefix}/{evidence}" in done.stderr
    create(prefix, "--ignore-editable-packages").ok()


def test_links_that_lead_in_a_circle_are_no_place_of_code(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    direct_url(f"file://{tmp_path}/round/x", editable=True)(prefix)
    (prefix / SITE / "z.pth").write_text(f"{tmp_path}/round\n")
    (prefix / SITE / "z.egg-link").write_text(f"{tmp_path}/round\n")
    assert create(prefix).failed().returncode == 1


def test_a_value_that_no_variable_can_have_is_left_out_by_name(prefix: Path) -> None:
    (prefix / "etc/conda/env_vars.d").mkdir(parents=True)
    (prefix / "etc/conda/env_vars.d/z.json").write_text(json.dumps({"A": "\ud800", "B": "x\0", "C": "", "D": "right"}))
    said = warnings(create(prefix).ok())
    for name in "AB":
        where = "etc/conda/env_vars.d/z.json"
        assert f"{where}: the value of {name} has characters that no variable can have; left out" in said
    env = read_member(prefix.with_name("env.tar.gz"), "poncho/env.sh").decode()
    assert "export C=\n" in env
    assert "export D='right'\n" in env


def test_a_line_of_a_record_that_is_too_long_for_a_name_stays_as_it_is(prefix: Path) -> None:
    line = f'"{"a" * 200_000}",,\n'
    with (prefix / INFO / "RECORD").open("a") as stream:
        stream.write(line)
    create(prefix).ok()
    assert line in read_member(prefix.with_name("env.tar.gz"), f"{INFO}/RECORD").decode()
