"""Hazards 9 and 10: hostile archives are refused by name, write nothing outside and leave nothing behind."""

from __future__ import annotations

import gzip
import io
import os
import resource
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho.errors import FetchError
from poncho.fetch import Limits, extract
from tests.support.archives import entry, tar, zipped

LINK = stat.S_IFLNK | 0o777
DEEP = "/".join(["d" * 200] * 4)

TARS = {
    "parent": [entry("../out")],
    "parent in the middle": [entry("a/../../out")],
    "parent at the end": [entry("a/..", kind="directory")],
    "absolute": [entry("/tmp/poncho-out")],
    "absolute with two slashes": [entry("//tmp/poncho-out")],
    "newline in a name": [entry("a\nb")],
    "escape sequence in a name": [entry("a\x1b[2Jb")],
    "name of 300 characters": [entry("n" * 300)],
    "name of 8,000 characters": [entry("d/" * 4000 + "x")],
    "link to an absolute path": [entry("l", kind="symlink", to="/etc/passwd")],
    "link outside": [entry("l", kind="symlink", to="../out")],
    "link outside from below": [entry("a/b/l", kind="symlink", to="../../../out")],
    "link to nothing": [entry("l", kind="symlink", to="")],
    "link with .. behind a name": [entry("l", kind="symlink", to="a/../../out")],
    "write through a link (CVE-2007-4559)": [entry("l", kind="symlink", to="."), entry("l/out")],
    "write through a link to a directory": [
        entry("d", kind="directory"),
        entry("l", kind="symlink", to="d"),
        entry("l/x"),
    ],
    "link chain (CVE-2025-4517)": [
        entry(DEEP, kind="directory"),
        entry("a", kind="symlink", to=DEEP),
        entry("a/b", kind="symlink", to="../.."),
    ],
    "link and .. chain (CVE-2025-4138)": [
        entry("x/y", kind="directory"),
        entry("l", kind="symlink", to="x/y"),
        entry("m", kind="symlink", to="l/../../.."),
    ],
    "link replaced by a file": [entry("l", kind="symlink", to="x"), entry("l")],
    "file replaced by a link": [entry("l"), entry("l", kind="symlink", to="x")],
    "directory replaced by a link": [entry("d", kind="directory"), entry("d", kind="symlink", to="x")],
    "below a file": [entry("f"), entry("f/x")],
    "name twice": [entry("f", b"one"), entry("f", b"two")],
    "name twice, spelt in another way": [entry("d/f", b"one"), entry("d/./f", b"two")],
    "hard link outside": [entry("h", kind="hardlink", to="../out")],
    "hard link to an absolute path": [entry("h", kind="hardlink", to="/etc/passwd")],
    "hard link to a link (CVE-2024-12718)": [entry("l", kind="symlink", to="x"), entry("h", kind="hardlink", to="l")],
    "hard link through a link": [
        entry("d/f"),
        entry("l", kind="symlink", to="d"),
        entry("h", kind="hardlink", to="l/f"),
    ],
    "hard link to nothing": [entry("h", kind="hardlink", to="missing")],
    "hard link to the root": [entry("h", kind="hardlink", to=".")],
    "hard link over a file": [entry("f"), entry("g"), entry("g", kind="hardlink", to="f")],
    "fifo": [entry("p", kind="fifo")],
    "character device": [entry("n", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "block device": [entry("n", kind=tarfile.BLKTYPE, devmajor=8, devminor=0)],
    "unknown type": [entry("u", kind=b"Z")],
    "file for the root": [entry(".")],
    "link for the root": [entry("./", kind="symlink", to="x")],
    "outside by a pax header": [entry("f", pax_headers={"path": "../out"})],
    "NUL in a pax name": [entry("f", pax_headers={"path": "a\0b"})],
    "outside by a pax link": [entry("l", kind="symlink", to="x", pax_headers={"linkpath": "/etc"})],
    "pax header of 4 MB": [entry("f", pax_headers={"comment": "x" * (4 << 20)})],
}

ZIPS = {
    "zip: parent": [("../out", b"x", 0)],
    "zip: absolute": [("/tmp/poncho-out", b"x", 0)],
    "zip: backslash": [("..\\out", b"x", 0)],
    "zip: link to an absolute path": [("l", b"/etc/passwd", LINK)],
    "zip: link outside": [("d/l", b"../../out", LINK)],
    "zip: write through a link": [("l", b".", LINK), ("l/out", b"x", 0)],
    "zip: fifo": [("p", b"", stat.S_IFIFO | 0o644)],
    "zip: device": [("n", b"", stat.S_IFCHR | 0o644)],
    "zip: name twice": [("f", b"one", 0), ("f", b"two", 0)],
    "zip: newline in a name": [("a\nb", b"x", 0)],
    "zip: link target of 10,000 characters": [("l", b"a" * 10_000, LINK)],
}


def _refused(archive: Path, kind: str, room: Path, limits: Limits | None = None) -> FetchError:
    """Extract into a directory of a room that is watched; return the refusal."""
    (room / "in").mkdir(parents=True)
    with pytest.raises(FetchError) as caught:
        extract(archive, room / "in" / "new", kind, limits=limits)
    assert [path.name for path in room.rglob("*")] == ["in"], "something was left behind or written outside"
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("what", TARS)
def test_a_hostile_tar_is_refused_and_nothing_is_written(what: str, tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar", entry("good/first"), *TARS[what])
    error = _refused(archive, "tar", tmp_path / "room")
    assert "member" in error.message
    assert not os.path.lexists("/tmp/poncho-out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", ZIPS)
def test_a_hostile_zip_is_refused_and_nothing_is_written(what: str, tmp_path: Path) -> None:
    error = _refused(zipped(tmp_path / "a.zip", ("good/first", b"x", 0), *ZIPS[what]), "zip", tmp_path / "room")
    assert "member" in error.message


def test_the_refusal_names_the_member_and_the_reason(tmp_path: Path) -> None:
    error = _refused(tar(tmp_path / "data.tar", entry("../evil")), "tar", tmp_path / "room")
    assert error.message == "data.tar: member '../evil' leads outside with '..'"


def test_a_nul_in_a_zip_name_is_seen_though_zipfile_cuts_it_off(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("goodXevil", b"x", 0))
    archive.write_bytes(archive.read_bytes().replace(b"goodXevil", b"good\0evil"))
    assert "control character" in _refused(archive, "zip", tmp_path / "room").message


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("secret", b"x" * 100, 0), flag=1)
    assert "encrypted" in _refused(archive, "zip", tmp_path / "room").message


def test_setuid_and_world_writable_bits_do_not_survive(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", entry("s", mode=0o6777), entry("d", kind="directory", mode=0o7777), entry("f", mode=0o000))
    extract(tmp_path / "a.tar", tmp_path / "new", "tar")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert modes == {"s": 0o755, "d": 0o755, "f": 0o644}


def test_a_negative_size_does_not_loop_for_ever(tmp_path: Path) -> None:
    # CVE-2025-8194: a negative size makes tarfile seek backwards without end.
    info, _ = entry("f", b"")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 8 + struct.pack(">i", -1024)[:4]
    header[148:156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:512]))
    archive = tmp_path / "a.tar"
    archive.write_bytes(bytes(header) + bytes(10240))
    _refused(archive, "tar", tmp_path / "room")


def test_a_thousand_pax_headers_in_a_row_are_refused(tmp_path: Path) -> None:
    body = b"11 a=bbbbb\n"
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(body)
    archive = tmp_path / "a.tar"
    archive.write_bytes((info.tobuf(tarfile.USTAR_FORMAT) + body.ljust(512, b"\0")) * 3000 + bytes(1024))
    _refused(archive, "tar", tmp_path / "room")


def test_a_header_that_claims_to_be_huge_is_not_read_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 << 30
    archive = tmp_path / "a.tar"
    archive.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    assert "header" in _refused(archive, "tar", tmp_path / "room").message


class TestBombs:
    def test_zeros_that_unpack_to_gigabytes_are_stopped_by_the_limit(self, tmp_path: Path) -> None:
        archive = tmp_path / "bomb.tar.gz"
        info = tarfile.TarInfo("zeros")
        info.size = 10 << 30
        packer = zlib.compressobj(1, wbits=31)
        with archive.open("wb") as stream:
            stream.write(packer.compress(info.tobuf(tarfile.GNU_FORMAT)))
            stream.write(packer.compress(bytes(64 << 20)) + packer.flush())
        error = _refused(archive, "tar", tmp_path / "room", Limits(total_bytes=100 << 20))
        assert "104,857,600 bytes" in error.message
        assert "PONCHO_MAX_EXTRACT_BYTES" in (error.hint or "")

    def test_a_ratio_that_no_data_has_is_stopped_before_it_is_written(self, tmp_path: Path) -> None:
        info = tarfile.TarInfo("zeros")
        info.size = 10 << 30
        archive = tmp_path / "bomb.tar.gz"
        archive.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
        assert "bomb" in _refused(archive, "tar", tmp_path / "room").message

    def test_a_sparse_member_counts_with_its_holes(self, tmp_path: Path) -> None:
        info = tarfile.TarInfo("holes")
        pax = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.map": "0,1",
            "GNU.sparse.size": str(1 << 40),
        }
        info.pax_headers, info.size = pax, 1
        assert "bomb" in _refused(tar(tmp_path / "a.tar", (info, b"x")), "tar", tmp_path / "room").message

    def test_too_many_members_are_stopped(self, tmp_path: Path) -> None:
        archive = tar(tmp_path / "a.tar", *(entry(f"f{number}", b"") for number in range(200)))
        assert "100 members" in _refused(archive, "tar", tmp_path / "room", Limits(members=100)).message

    def test_a_zip_directory_with_too_many_members_is_not_even_read(self, tmp_path: Path) -> None:
        archive = zipped(tmp_path / "a.zip", *((f"f{number}", b"", 0) for number in range(200)))
        assert "100 members" in _refused(archive, "zip", tmp_path / "room", Limits(members=100)).message

    def test_a_zip_bomb_is_stopped_by_what_it_declares(self, tmp_path: Path) -> None:
        archive = zipped(tmp_path / "a.zip", ("zeros", bytes(20 << 20), 0))
        error = _refused(archive, "zip", tmp_path / "room", Limits(ratio_floor=10 << 20))
        assert "bomb" in error.message

    def test_a_zip_that_declares_less_than_it_holds_is_refused(self, tmp_path: Path) -> None:
        archive = zipped(tmp_path / "a.zip", ("zeros", bytes(1 << 20), 0))
        archive.write_bytes(archive.read_bytes().replace(struct.pack("<L", 1 << 20), struct.pack("<L", 10)))
        _refused(archive, "zip", tmp_path / "room")

    def test_many_members_take_little_memory(self, tmp_path: Path) -> None:
        header = tarfile.TarInfo("d/")
        header.type = tarfile.DIRTYPE
        block = header.tobuf(tarfile.USTAR_FORMAT) * 10_000
        packer, archive = zlib.compressobj(1, wbits=31), tmp_path / "a.tar.gz"
        with archive.open("wb") as stream:
            for _ in range(3):
                stream.write(packer.compress(block))
            stream.write(packer.flush())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _refused(archive, "tar", tmp_path / "room", Limits(members=25_000))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def _gzip_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for number in range(5):
            info, content = entry(f"d/f{number}", os.urandom(3000))
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _plain_tar() -> bytes:
    return gzip.decompress(_gzip_tar())


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"d/f{number}", os.urandom(3000))
    return buffer.getvalue()


@pytest.mark.parametrize(("make", "kind"), [(_gzip_tar, "tar"), (_plain_tar, "tar"), (_zip, "zip")])
def test_every_truncation_is_refused(make: Callable[[], bytes], kind: str, tmp_path: Path) -> None:
    content = make()
    # A plain tar whose two end blocks are there is whole; the padding behind them is not content.
    end = len(content.rstrip(b"\0")) if make is _plain_tar else len(content)
    for number, size in enumerate(range(0, end, max(1, end // 60))):
        archive = tmp_path / f"a{number}"
        archive.write_bytes(content[:size])
        _refused(archive, kind, tmp_path / f"room{number}")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_flipped_bits_give_an_error_or_the_same_files_and_never_another_exception(kind: str, tmp_path: Path) -> None:
    content = _gzip_tar() if kind == "tar" else _zip()
    (tmp_path / "whole").write_bytes(content)
    extract(tmp_path / "whole", tmp_path / "right", kind)
    right = {path.name: path.read_bytes() for path in (tmp_path / "right").rglob("f*")}
    for number, at in enumerate(range(0, len(content), max(1, len(content) // 60))):
        archive = tmp_path / f"a{number}"
        archive.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        place = tmp_path / f"new{number}"
        try:
            extract(archive, place, kind)
        except FetchError:
            assert not place.exists()
        else:
            assert sorted(right.values()) == sorted(path.read_bytes() for path in place.rglob("*") if path.is_file())
