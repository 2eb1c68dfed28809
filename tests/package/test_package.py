"""A package can be looked into and verified, without unpacking it and without running anything."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poncho.errors import PackageError, PonchoError
from poncho.pack import PackedPackage
from poncho.package import open_package, verify
from poncho.package.archive import ChunkStream
from poncho.package.contents import parse
from poncho.package.tarstream import TarReader
from tests.support.packages import members
from tests.support.prefixes import packed, small_prefix


def test_opening_tells_what_it_is(small: PackedPackage) -> None:
    package = open_package(small.path)
    assert package.is_poncho
    assert package.digest == small.digest
    assert package.facts is not None
    assert package.facts.files == small.files
    assert package.manifest["totals"]["files"] == small.files - 2
    assert json.loads(package.spec_text or "") == {}
    assert json.loads(package.lock_text or "") == {}


def test_contents_lists_every_member_but_itself(small: PackedPackage) -> None:
    items = {item.path: item for item in open_package(small.path).contents()}
    assert items.keys() == members(small.path).keys() - {"poncho/contents"}
    assert items["share/large"].size == 256 * (5 << 12) + 3
    assert items["bin/tool"].mode == 0o755
    assert items["lib/relative"].target == "../share"
    assert items["empty directory"].kind == "directory"


@pytest.mark.parametrize("form", ["tar.gz", "tar.zst", "tar"])
def test_a_good_package_is_verified_in_every_format(tmp_path: Path, form: str) -> None:
    package = packed(small_prefix(tmp_path / "env"), tmp_path / f"env.{form}", format=form)
    found = verify(package.path)
    assert (found.digest, found.files, found.bytes) == (package.digest, package.files, package.unpacked_bytes)
    assert open_package(package.path).digest == package.digest


def test_the_command_runs_in_the_package_by_the_runner(small: PackedPackage) -> None:
    argv = open_package(small.path).command(["python", "task.py", "--x"])
    assert argv[1:] == ["-e", str(small.path), "--", "python", "task.py", "--x"]
    assert os.access(argv[0], os.X_OK)
    assert small.command(["python", "task.py", "--x"]) == argv


def test_a_plain_tarball_is_opened_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("./bin/python")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    package = open_package(path)
    assert not package.is_poncho
    assert [(item.path, item.size) for item in package.contents()] == [("bin/python", 3)]
    with pytest.raises(PackageError, match="not made by PONCHO"):
        verify(path)


@pytest.mark.parametrize("tool", [["bzip2"], ["xz"], ["zstd", "-q"]])
def test_other_compressions_of_other_tools_are_read(tmp_path: Path, tool: list[str]) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("lib/file"))
    try:
        subprocess.run([*tool, str(path)], check=True)
    except FileNotFoundError:
        pytest.skip(f"no {tool[0]} here")
    compressed = next(other for other in tmp_path.iterdir() if other.suffix != ".tar")
    assert [item.path for item in open_package(compressed).contents()] == ["lib/file"]


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b\x08", bytes(511), b"#!/bin/sh\n" * 200, b"PK\x03\x04" * 300])
def test_what_is_no_archive_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for look in (open_package, verify):
        with pytest.raises(PackageError) as caught:
            look(path)
        assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "content", [b"{}\n", b"import numpy\n" * 100, gzip.compress(b"mass\n91.2\n" * 100, mtime=0), b""]
)
def test_a_file_of_another_kind_is_named_as_no_package(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(content)
    for look in (open_package, verify):
        with pytest.raises(PackageError, match=r"events\.csv\.gz: is not a package"):
            look(path)


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"nothing\.tar\.gz: cannot be read"):
        open_package(tmp_path / "nothing.tar.gz")
    with pytest.raises(PackageError, match="is a directory"):
        open_package(tmp_path)
    with pytest.raises(PackageError, match=r"cannot be read \(embedded null byte\)"):
        open_package("env\0.tar.gz")
    with pytest.raises(PackageError) as caught:
        open_package("https://example.org/env.tar.gz")
    assert caught.value.hint == "download it, and name the file"


def test_what_cannot_be_read_from_its_end_is_refused_at_once(small: PackedPackage, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        for look in (open_package, verify):
            with pytest.raises(PackageError, match="is a pipe or a device"):
                look(path)
    with small.path.open("rb") as stream:
        assert open_package(f"/dev/fd/{stream.fileno()}").digest == small.digest


@pytest.mark.parametrize("form", ["tar.gz", "tar.zst"])
def test_every_changed_byte_and_every_truncation_is_found(tmp_path: Path, form: str) -> None:
    whole = packed(small_prefix(tmp_path / "env"), tmp_path / f"env.{form}", format=form).path.read_bytes()
    broken = tmp_path / f"broken.{form}"
    random.seed(7)
    places = [*range(12), 30, 100, 180, *range(len(whole) - 24, len(whole)), *random.sample(range(len(whole)), 60)]
    for number, place in enumerate(places):
        data = bytearray(whole)
        data[place] ^= 1 << (number % 8)
        broken.write_bytes(data)
        with pytest.raises(PackageError):
            verify(broken)
    for size in [0, 1, 50, *random.sample(range(len(whole)), 30), len(whole) - 1]:
        broken.write_bytes(whole[:size])
        with pytest.raises(PackageError):
            verify(broken)
    broken.write_bytes(whole + b"x")
    with pytest.raises(PackageError):
        verify(broken)


def test_opening_and_verifying_run_nothing_and_write_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    prefix = small_prefix(tmp_path / "env")
    (prefix / "bin/python3.11").write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    package = packed(prefix, tmp_path / "env.tar.gz")
    canary.unlink(missing_ok=True)
    before = sorted(os.listdir(tmp_path))
    open_package(package.path)
    verify(package.path)
    assert sorted(os.listdir(tmp_path)) == before


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=1600), st.booleans())
def test_bytes_of_any_kind_raise_only_our_errors(data: bytes, strict: bool) -> None:
    header = bytearray(data.ljust(512, b"\0")[:512])
    header[257:263] = b"ustar\0"
    header[124:136] = b"00000000010\0"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 256)
    for stream in (data, bytes(header) + data):
        try:
            list(TarReader(ChunkStream(iter([stream])), strict=strict))
            list(parse(stream))
        except PonchoError:
            pass
