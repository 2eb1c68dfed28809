"""What is in a package, how big it is and where it comes from, is told without unpacking it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from poncho.errors import PackageError
from poncho.look import look
from poncho.look.tree import size_tree
from poncho.look.words import shown, size
from poncho.pack import PackedPackage
from poncho.package import open_package
from poncho.package import reading as package_reading
from poncho.package.owners import OTHER, PONCHO, Owner
from poncho.package.unpack import unpack
from tests.look.conftest import COMMIT, ODD, full_package, full_prefix
from tests.support.handmade import foreign


def test_every_package_is_named_with_its_size_and_origin(full: PackedPackage) -> None:
    found = look(full.path)
    parts = {(part.owner.kind, part.name): part for part in found.parts}
    tools = parts["conda", "thing-tools"]
    assert (tools.version, tools.build, tools.origin.where) == ("2", "h1_0", "mine")
    assert tools.origin.url.endswith("/thing-tools-2-h1_0.conda")
    assert tools.files == 4  # three files and its conda-meta record
    assert parts["pip", "mine"].origin.where == "local code"
    assert parts["pip", "thing"].origin.where == "package index"
    assert parts["pip", "mine"].bytes > 256 * 4000
    assert parts["data", "CALIBRATION"].origin.where == f"git https://git.example/calibration.git at {COMMIT[:12]} (v1)"
    assert parts["data", "EVENTS"].origin.sha256 == "4" * 64
    assert [part.bytes for part in found.parts] == sorted((part.bytes for part in found.parts), reverse=True)


def test_the_sums_are_the_whole(full: PackedPackage) -> None:
    found = look(full.path)
    assert (found.files, found.bytes, found.packed) == (full.files, full.unpacked_bytes, full.packed_bytes)
    assert found.bytes == sum(part.bytes for part in found.parts) + found.own[1] + found.other[1]
    assert found.files == sum(part.files for part in found.parts) + found.own[0] + found.other[0]
    assert found.variables == {"CALIBRATION": "poncho/data/CALIBRATION", "EVENTS": "poncho/data/EVENTS/events.csv"}
    assert found.links == sum(item.kind == "link" for item in found.items)


def test_each_member_has_one_owner(full: PackedPackage) -> None:
    owners = look(full.path).owners
    assert owners["bin/tool"] == Owner("conda", "thing-tools")
    assert owners["bin/hello"] == Owner("pip", "thing")
    assert owners["lib/python3.11/site-packages/other_one/__init__.py"] == Owner("pip", "other-one")
    assert owners["bin/poncho_package_run"] == PONCHO
    assert owners["poncho/data/EVENTS/events.csv"] == Owner("data", "EVENTS")
    assert owners[ODD[0]] == OTHER


@pytest.mark.parametrize("form", ["tar.gz", "tar.zst", "tar"])
def test_every_format_says_the_same(full: PackedPackage, form: str) -> None:
    one, two = look(full.path), look(full_package(full.path.parent, f"again.{form}", format=form).path)
    assert two.form == form
    assert (one.digest, one.parts, one.own) == (two.digest, two.parts, two.own)


def test_a_package_of_ours_is_not_read_through(full: PackedPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> object:
        raise AssertionError("the whole package is read")

    monkeypatch.setattr(package_reading, "read_members", refuse)
    monkeypatch.setattr("poncho.package.read_members", refuse)
    monkeypatch.setattr("poncho.look.source.read_members", refuse)
    assert look(full.path).parts


def test_an_unpacked_package_says_the_same_of_its_parts(full: PackedPackage, tmp_path: Path) -> None:
    unpack(full.path, tmp_path / "there")
    one, two = look(full.path), look(tmp_path / "there")
    assert two.form == "directory"
    assert two.digest == one.digest
    assert {part.owner: part.files for part in two.parts} == {part.owner: part.files for part in one.parts}
    assert [part.origin for part in two.parts] == [part.origin for part in one.parts]


def test_an_environment_that_was_never_packed_is_looked_into(tmp_path: Path) -> None:
    found = look(full_prefix(tmp_path / "env"))
    assert not found.is_poncho
    assert found.python == "3.11"
    assert {part.name for part in found.parts} == {"thing-tools", "thing", "mine", "Other.One"}


def test_a_tarball_of_conda_pack_is_looked_into(tmp_path: Path) -> None:
    record = {"name": "say", "version": "1", "build": "0", "files": ["bin/say"]}
    info = "lib/python3.11/site-packages/thing-1.dist-info"
    files = {
        "conda-meta/say-1-0.json": json.dumps(record),
        f"{info}/METADATA": "Name: thing\nVersion: 1\n\n",
        f"{info}/RECORD": f"thing.py,,\n{info.rpartition('/')[2]}/METADATA,,\n",
        "lib/python3.11/site-packages/thing.py": "x = 1\n",
    }
    for compression in ("gz", "xz"):
        path = tmp_path / f"env.{compression}"
        foreign(path, files=files, compression=compression)
        found = look(path)
        assert not found.is_poncho
        assert {(part.owner.kind, part.name, part.files) for part in found.parts} == {
            ("conda", "say", 2),
            ("pip", "thing", 3),
        }


def test_what_is_no_environment_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "text", tmp_path / "empty", tmp_path / "nothing"):
        with pytest.raises(PackageError) as caught:
            look(path)
        assert "\n" not in caught.value.message


def test_owners_that_do_not_fit_the_contents_are_refused(full: PackedPackage) -> None:
    from poncho.package.owners import read_owners

    package = open_package(full.path)
    paths = [item.path for item in package.contents()]
    text = package.owners_text or b""
    assert len(read_owners(text, paths)) == len(paths)
    for broken in (
        b"",
        text[:-2],
        text + b"1\t-\t\n",
        text.replace(b"conda", b"konda"),
        b"x" + text,
        text.replace(b"\t", b" "),
    ):
        with pytest.raises(PackageError, match="owners is damaged"):
            read_owners(broken, paths)


def test_the_tree_adds_up_and_small_files_are_gathered_when_there_are_too_many(full: PackedPackage) -> None:
    found = look(full.path)

    def leaves(children: list) -> list:
        return [leaf for child in children for leaf in (leaves(child[1]) if isinstance(child[1], list) else [child])]

    whole = [leaf for part in size_tree(found) for leaf in leaves(part["c"])]
    assert len(whole) == found.files
    assert sum(leaf[1] for leaf in whole) == found.bytes
    few = [leaf for part in size_tree(found, limit=10) for leaf in leaves(part["c"])]
    assert sum(leaf[1] for leaf in few) == found.bytes
    assert len([leaf for leaf in few if len(leaf) == 2]) <= 10
    assert sum(leaf[2] if len(leaf) == 3 else 1 for leaf in few) == found.files


def test_names_are_made_fit_for_showing() -> None:
    assert shown("lib/plain ünï.txt") == "lib/plain ünï.txt"
    assert shown("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\\n"
    assert shown("a\udcffb") == "a\\xffb"
    for name in ODD:
        assert shown(name).isprintable()


def test_sizes_are_said_in_three_digits() -> None:
    numbers = {0: "0 B", 999: "999 B", 1000: "1.00 kB", 12_345: "12.3 kB", 999_600: "1.00 MB", 1_337_000_000: "1.34 GB"}
    assert {number: size(number) for number in numbers} == numbers


def test_looking_leaves_a_directory_as_it_is(tmp_path: Path) -> None:
    prefix = full_prefix(tmp_path / "env")
    subprocess.run(["chmod", "-R", "a-w", str(prefix)], check=True)
    before = {path: path.lstat().st_mtime_ns for path in prefix.rglob("*")}
    look(prefix)
    assert {path: path.lstat().st_mtime_ns for path in prefix.rglob("*")} == before
    subprocess.run(["chmod", "-R", "u+w", str(prefix)], check=True)
