"""What an output's name asks for, and the formats that are no plain archive."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from poncho.errors import BuildError, StoreError, UsageError
from poncho.pack import PackOptions
from poncho.pack.layout import SUFFIXES, format_of, formats
from poncho.package import open_package, verify
from poncho.package.unpacked import verify_unpacked
from tests.support.packages import unpack
from tests.support.prefixes import packed, relocate


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("env.tar.gz", "tar.gz"),
        ("env.tgz", "tar.gz"),
        ("env", "tar.gz"),
        ("env.v2", "tar.gz"),
        ("9f86d081884c7d65", "tar.gz"),
        ("env.tar.zst", "tar.zst"),
        ("env.tar", "tar"),
        ("env.sh", "sh"),
        ("env/", "dir"),
    ],
)
def test_the_suffix_chooses_the_format(name: str, form: str) -> None:
    assert format_of(name) == form


@pytest.mark.parametrize("name", ["env.zip", "env.tar.xz", "env.tar.bz2", "ENV.ZIP", "env.conda", "env.sif"])
def test_a_suffix_of_something_else_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        format_of(name)
    assert name in str(caught.value)
    assert ".tar.gz" in (caught.value.hint or "")
    assert PackOptions(format="tar.gz").for_output(name).format == "tar.gz"


def test_every_format_has_a_suffix() -> None:
    assert set(SUFFIXES) == set(formats())


@pytest.mark.parametrize(("form", "level"), [("tar", 1), ("dir", 1), ("tar.gz", 13), ("sh", -1), ("tar.zst", 20)])
def test_a_level_that_a_format_has_not_is_refused(form: str, level: int) -> None:
    with pytest.raises(UsageError):
        PackOptions(format=form, level=level)  # type: ignore[arg-type]


def test_a_directory_is_the_package_unpacked_and_relocated(prefix: Path, tmp_path: Path) -> None:
    (prefix / "bin/hello").unlink()
    (prefix / "bin/python3.11").rename(prefix / "bin/say")  # no Python: the shell relocates
    (prefix / "lib/large.bin").write_bytes(b"\0" + os.urandom(5_000_001))
    archive = packed(prefix, tmp_path / "env.tar.gz")
    directory = packed(prefix, tmp_path / "there", format="dir")
    by_tar = unpack(archive.path, tmp_path / "by-tar")
    relocate(by_tar, directory.path)
    assert directory.digest == archive.digest
    assert verify_unpacked(directory.path) == []
    found = {path.relative_to(directory.path): path for path in directory.path.rglob("*")}
    expected = {path.relative_to(by_tar): path for path in by_tar.rglob("*")}
    assert {path for path in found if "state" not in path.parts} == {
        path for path in expected if "state" not in path.parts
    }
    for name, path in expected.items():
        if "state" in name.parts:
            continue
        other = found[name]
        assert path.is_symlink() == other.is_symlink()
        if path.is_symlink():
            assert path.readlink() == other.readlink()
        elif path.is_file():
            assert path.read_bytes() == other.read_bytes(), name
            assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode), name
    assert int((directory.path / "share/empty").stat().st_mtime) == int((by_tar / "share/empty").stat().st_mtime)
    runner = directory.path / "bin/poncho_package_run"
    done = subprocess.run(
        [str(runner), "-e", str(directory.path), "say", "x"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("python ")


def test_a_directory_must_be_new_or_empty(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    packed(prefix, tmp_path / "empty", format="dir")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("precious")
    with pytest.raises(StoreError, match="not empty"):
        packed(prefix, tmp_path / "full", format="dir")
    assert os.listdir(tmp_path / "full") == ["mine"]


def test_nothing_appears_when_a_directory_cannot_be_made(prefix: Path, tmp_path: Path) -> None:
    (prefix / "lib/large.bin").write_bytes(b"\0" + bytes(5_000_000))
    os.chmod(prefix / "lib/plain.txt", 0)
    if os.geteuid() == 0:
        (prefix / "lib/tab\tname").write_text(f"holds {prefix}/x\n")
    before = set(os.listdir(tmp_path))
    with pytest.raises(BuildError):
        packed(prefix, tmp_path / "there", format="dir")
    assert set(os.listdir(tmp_path)) == before


def test_a_script_is_executable_and_holds_the_ordinary_package(prefix: Path, tmp_path: Path) -> None:
    archive = packed(prefix, tmp_path / "env.tar.gz")
    script = packed(prefix, tmp_path / "env.sh")
    assert os.access(script.path, os.X_OK)
    assert script.path.read_bytes().endswith(archive.path.read_bytes())
    assert script.digest == archive.digest
    assert open_package(script.path).digest == archive.digest
    assert verify(script.path) == verify(archive.path)
    assert [item.path for item in open_package(script.path).contents()] == [
        item.path for item in open_package(archive.path).contents()
    ]


def test_a_script_before_the_package_that_is_not_ours_is_refused(prefix: Path, tmp_path: Path) -> None:
    from poncho.errors import PackageError

    script = packed(prefix, tmp_path / "env.sh").path
    data = script.read_bytes()
    at = data.index(b'exec "$@"')
    script.write_bytes(data[:at] + b"eval" + data[at + 4 :])
    with pytest.raises(PackageError, match="script before the package"):
        verify(script)
