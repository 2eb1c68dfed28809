"""Ordinary archives unpack as tar and unzip would do it."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from poncho.errors import FetchError
from poncho.fetch import extract
from poncho.fetch.compression import zstd
from tests.support.archives import entry, tar, zipped

MODES = {"gzip": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}


def _content(root: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(root).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("told", [True, False], ids=["compression told", "compression found"])
@pytest.mark.parametrize("compression", [None, "gzip", "bz2", "xz", "zst"])
def test_a_tar_unpacks_whatever_its_compression(compression: str | None, told: bool, tmp_path: Path) -> None:
    archive = tar(tmp_path / "a", entry("d/f", b"content"), mode=MODES.get(compression or "", "w"))
    if compression == "zst":
        archive.write_bytes(zstd.compress(archive.read_bytes()))
    extract(archive, tmp_path / "new", "tar", compression if told else None)
    assert _content(tmp_path / "new") == {"d/f": b"content"}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_links_modes_and_times_are_kept(format: int, tmp_path: Path) -> None:
    tar(
        tmp_path / "a.tar",
        entry("./", kind="directory"),
        entry("./bin/run", b"#!/bin/sh\n", mode=0o700),
        entry("./bin/again", kind="hardlink", to="./bin/run"),
        entry("./lib/link", kind="symlink", to="../bin/run"),
        entry("./dangling", kind="symlink", to="not/there"),
        format=format,
    )
    extract(tmp_path / "a.tar", tmp_path / "new", "tar")
    run = tmp_path / "new" / "bin" / "run"
    assert stat.S_IMODE(run.stat().st_mode) == 0o755
    assert run.stat().st_mtime == 1_600_000_000
    assert run.samefile(tmp_path / "new" / "bin" / "again")
    assert os.readlink(tmp_path / "new" / "lib" / "link") == "../bin/run"
    assert (tmp_path / "new" / "dangling").is_symlink()


def test_long_and_odd_names_are_kept(tmp_path: Path) -> None:
    names = ["d" * 150 + "/" + "f" * 150, "ünï cödé.txt", "-rf", "$(touch pwned)", "back\\slash", "caf\udce9"]
    extract(tar(tmp_path / "a.tar", *map(entry, names)), tmp_path / "new", "tar")
    assert sorted(_content(tmp_path / "new")) == sorted(names)


@pytest.mark.parametrize("format", ["gnu", "posix", "ustar", "v7"])
def test_what_gnu_tar_makes_with_sparse_files_comes_out_the_same(format: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as stream:
        for place in range(0, 20 << 20, 4 << 20):
            stream.seek(place)
            stream.write(b"data%d" % place)
        stream.truncate(24 << 20)
    (source / "plain").write_bytes(bytes(range(256)) * 7)
    sparse = ["--sparse"] if format in ("gnu", "posix") else []
    command = ["tar", *sparse, f"--format={format}", "-cf", str(tmp_path / "a.tar"), "-C", str(source), "."]
    subprocess.run(command, check=True)
    extract(tmp_path / "a.tar", tmp_path / "new", "tar")
    assert _content(tmp_path / "new") == _content(source)


def test_a_zip_keeps_modes_links_and_times(tmp_path: Path) -> None:
    archive = zipped(
        tmp_path / "a.zip",
        ("d/", b"", stat.S_IFDIR | 0o755),
        ("d/run", b"#!/bin/sh\n", stat.S_IFREG | 0o755),
        ("d/ünï", b"text", 0),
        ("link", b"d/run", stat.S_IFLNK | 0o777),
    )
    extract(archive, tmp_path / "new", "zip")
    assert _content(tmp_path / "new") == {"d/run": b"#!/bin/sh\n", "d/ünï": b"text", "link": "d/run"}
    assert os.access(tmp_path / "new" / "d" / "run", os.X_OK)
    assert (tmp_path / "new" / "d" / "run").stat().st_mtime == 1577934246


def test_a_web_page_where_an_archive_should_be_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"<!DOCTYPE html><html>Please log in</html>" + b" " * 600)
    with pytest.raises(FetchError) as caught:
        extract(tmp_path / "a", tmp_path / "new", "tar", "gzip", label="https://host/a.tar.gz")
    assert caught.value.message.startswith("https://host/a.tar.gz: is no whole tar file")
    assert "a web page (HTML)" in (caught.value.hint or "")


def test_bytes_that_follow_the_end_of_a_tar_are_still_checked_by_the_decompressor(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    info, content = entry("f")
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(info, io.BytesIO(content))
    (tmp_path / "a").write_bytes(buffer.getvalue()[:-5])
    with pytest.raises(FetchError, match="no whole tar file"):
        extract(tmp_path / "a", tmp_path / "new", "tar")


def test_a_destination_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(FetchError, match="exists already"):
        extract(tar(tmp_path / "a.tar", entry("f")), tmp_path / "new", "tar")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_strict_umask_does_not_change_the_modes(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        extract(tar(tmp_path / "a.tar", entry("d/f", mode=0o755)), tmp_path / "new", "tar")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new" / "d").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "new" / "d" / "f").stat().st_mode) == 0o755
