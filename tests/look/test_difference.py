"""Two packages are compared by packages and by files."""

from __future__ import annotations

import shutil
from pathlib import Path

from poncho.look.difference import compare
from poncho.pack import PackedPackage
from poncho.package.unpack import unpack
from tests.look.conftest import full_package
from tests.support.archives import entry, tar
from tests.support.prefixes import packed, small_prefix, wheel


def changed_package(directory: Path) -> PackedPackage:
    """Pack the same prefix with one distribution newer, one gone, one new, and a link turned."""
    site = directory / "env/lib/python3.11/site-packages"
    shutil.rmtree(site / "other_one")
    shutil.rmtree(site / "other_one-3.1.dist-info")
    shutil.rmtree(site / "mine-0.1.dist-info")
    (site / "mine/__init__.py").write_text("# newer\n")
    wheel(directory / "env", "mine", "0.2", ["mine/__init__.py", "mine/lib.so"])
    (site / "fresh.py").write_text("x = 1\n")
    wheel(directory / "env", "fresh", "1", ["fresh.py"])
    (directory / "env/lib/relative").unlink()
    (directory / "env/lib/relative").symlink_to("../bin")
    (directory / "env/lib/plain.txt").chmod(0o755)
    return full_package(directory, "new.tar.gz")


def test_the_same_package_is_the_same_in_every_format(full: PackedPackage) -> None:
    for form in ("tar.gz", "tar.zst", "tar"):
        found = compare(full.path, full_package(full.path.parent, f"same.{form}", format=form).path)
        assert found.same, found.to_json()


def test_what_changed_is_named(tmp_path: Path) -> None:
    old = full_package(tmp_path)
    found = compare(old.path, changed_package(tmp_path).path)
    assert not found.same
    parts = {change.part.name: change for change in found.parts}
    assert {name: change.what for name, change in parts.items()} == {
        "mine": "changed",
        "Other.One": "removed",
        "fresh": "added",
    }
    mine = parts["mine"]
    assert mine.old is not None
    assert mine.new is not None
    assert (mine.old.version, mine.new.version) == ("0.1", "0.2")
    files = {change.path: change for change in found.files}
    assert files["lib/relative"].to_json()["new"] == {"kind": "link", "target": "../bin"}
    assert files["lib/plain.txt"].to_json()["old"]["mode"] == "0644"
    assert files["lib/python3.11/site-packages/fresh.py"].what == "added"
    assert files["lib/python3.11/site-packages/other_one/__init__.py"].what == "removed"
    assert "lib/python3.11/site-packages/mine/lib.so" not in files


def test_an_unpacked_package_is_the_same_until_it_is_changed(full: PackedPackage, tmp_path: Path) -> None:
    unpack(full.path, tmp_path / "here")
    assert compare(full.path, tmp_path / "here").same
    (tmp_path / "here/share/zeros").write_bytes(bytes(2999) + b"x")
    (tmp_path / "here/share/more").write_bytes(b"")
    found = compare(full.path, tmp_path / "here")
    assert {change.path: change.what for change in found.files} == {"share/zeros": "changed", "share/more": "added"}


def test_archives_of_others_are_compared_by_content(tmp_path: Path) -> None:
    one = tar(
        tmp_path / "one.tar.gz",
        entry("bin/a", b"1"),
        entry("bin/b", b"2"),
        entry("c", kind="hardlink", to="bin/a"),
        mode="w:gz",
    )
    same = tar(tmp_path / "same.tar", entry("./bin/b", b"2"), entry("bin/a", b"1"), entry("c", b"1"))
    two = tar(tmp_path / "two.tar", entry("bin/a", b"X"), entry("c", b"1"))
    assert compare(one, same).same
    assert {change.path: change.what for change in compare(one, two).files} == {"bin/a": "changed", "bin/b": "removed"}


def test_a_variable_that_changed_is_a_difference(tmp_path: Path) -> None:
    prefix = small_prefix(tmp_path / "env")
    one = packed(prefix, tmp_path / "one.tar.gz", variables={"A": "share"})
    two = packed(prefix, tmp_path / "two.tar.gz", variables={"A": "lib"})
    found = compare(one.path, two.path)
    assert found.facts == {"variables": ({"A": "share"}, {"A": "lib"})}
