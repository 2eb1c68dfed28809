"""Hazards 9 and 10 for packages: hostile members are refused by name, bombs at their limit, and nothing is written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest

from poncho.errors import PackageError
from poncho.pack import layout, manifest
from poncho.pack.compress import compressor
from poncho.pack.members import Members
from poncho.pack.model import Member
from poncho.pack.relocation import member_line
from poncho.package import open_package, verify
from tests.support.archives import entry, tar
from tests.support.prefixes import UNPACKER, unpack_in_parallel

Entry = tuple[tarfile.TarInfo, bytes]


def package(path: Path, raw: bytes, *, files: int, size: int, digest: str = "0" * 64) -> Path:
    """Write one of our archives around tar bytes (without end-of-archive blocks): all framing right, whatever is inside."""
    compress = compressor("tar.gz", None)
    pieces = [raw[at : at + layout.CHUNK_LIMIT] for at in range(0, len(raw), layout.CHUNK_LIMIT)]
    packed = [compress(piece) for piece in pieces]
    chunks = [
        layout.Chunk(len(blob), len(piece), zlib.crc32(blob), number > 0)
        for number, (blob, piece) in enumerate(zip(packed, pieces, strict=True))
    ]
    facts = layout.Facts("linux-64", "", files, size, 0)
    header = layout.header("tar.gz", digest, facts)
    end = compress(layout.END_OF_ARCHIVE)
    body = header + b"".join(packed) + end
    table = layout.encode_table(chunks)
    footer = layout.Footer(
        len(body), len(raw), files, len(table), len(chunks), 0, 0, zlib.crc32(b"".join(table)), zlib.crc32(header + end)
    )
    ends = [layout.gzip_extra(b"PI", part) for part in table]
    path.write_bytes(body + b"".join(ends) + layout.gzip_extra(b"PF", footer.encode()))
    return path


def around(path: Path, *entries: Entry, form: int = tarfile.GNU_FORMAT) -> Path:
    """Write one of our archives with these members, and with a manifest and contents that say nothing of them."""
    plain = tar(path.with_suffix(".plain"), *entries, format=form)
    raw = plain.read_bytes()
    plain.unlink()
    end = raw.rstrip(b"\0")
    raw = end + bytes(-len(end) % 512)
    listed = manifest.encode(
        manifest.manifest(
            python=None, packages=[], variables={}, members=Members(), findings=manifest.Findings(), epoch=0
        )
    )
    for name, data in (("poncho/manifest.json", listed), ("poncho/contents", b"")):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        raw += info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
    return package(path, raw, files=1000, size=1 << 30, digest=manifest.digest(b"", listed))


def link(name: str, to: str) -> Entry:
    """Return a symbolic link."""
    return entry(name, kind="symlink", to=to)


HOSTILE: dict[str, list[Entry]] = {
    "parent": [entry("../outside")],
    "parent in the middle": [entry("lib/../../outside")],
    "parent at the end": [entry("lib/..")],
    "absolute": [entry("/tmp/outside")],
    "double slash": [entry("lib//file")],
    "dot in the middle": [entry("lib/./file")],
    "empty name": [entry("")],
    "name too long": [entry("x" * 300)],
    "path below a file": [entry("a"), entry("a/b")],
    "below a link": [link("a", "lib"), entry("a/b")],
    "below a link that comes later": [entry("a/b"), link("a", "lib")],
    "below a link to itself": [link("a", "a"), entry("a/b")],
    "twice": [entry("a"), entry("a")],
    "link then file": [link("a", "b"), entry("a")],
    "file then link": [entry("a"), link("a", "b")],
    "directory over a file": [entry("a"), entry("a", kind="directory")],
    "absolute link": [link("a", "/etc/passwd")],
    "link out": [link("a", "../x")],
    "link out from below": [link("lib/a", "../../x")],
    "link in and out": [link("a", "lib/../../x")],
    "chain of links (CVE-2025-4517)": [link("d/here", ".."), link("a", "d/here/..")],
    "empty link": [link("a", "")],
    "hard link": [entry("a"), entry("b", kind="hardlink", to="a")],
    "hard link out": [entry("b", kind="hardlink", to="/etc/passwd")],
    "hard link to a link": [link("a", "b"), entry("c", kind="hardlink", to="a")],
    "pipe": [entry("a", kind="fifo")],
    "character device": [entry("a", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "block device": [entry("a", kind=tarfile.BLKTYPE)],
    "contiguous": [entry("a", kind=tarfile.CONTTYPE)],
    "sparse": [entry("a", kind=tarfile.GNUTYPE_SPARSE)],
    "unknown kind": [entry("a", kind=b"Z")],
    "setuid": [entry("a", mode=0o4755)],
    "setgid": [entry("a", mode=0o2755)],
    "sticky": [entry("a", mode=0o1755)],
    "setuid directory": [entry("a", kind="directory", mode=0o4755)],
    "the node's own state": [entry("poncho/state/prefix")],
    "unlisted": [entry("bin/extra")],
    "newline in a name": [entry("a\nb")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = around(tmp_path / "hostile.tar.gz", *HOSTILE[name])
    with pytest.raises(PackageError) as caught:
        verify(path)
    assert "\n" not in caught.value.message
    culprits = [info.name.rstrip("/") for info, _ in HOSTILE[name]]
    shown = caught.value.message.encode().decode("unicode_escape")
    assert any(culprit in shown for culprit in culprits), caught.value.message
    assert os.listdir(tmp_path) == ["hostile.tar.gz"]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_parallel_reader_writes_nothing_outside_and_refuses(tmp_path: Path, name: str) -> None:
    path = around(tmp_path / "hostile.tar.gz", *HOSTILE[name])
    inside = tmp_path / "deep/er/inside"
    inside.mkdir(parents=True)
    done = unpack_in_parallel(path, inside, jobs=2)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["deep", "hostile.tar.gz"]
    assert (os.listdir(tmp_path / "deep"), os.listdir(tmp_path / "deep/er")) == (["er"], ["inside"])
    modes = [path.lstat().st_mode for path in inside.rglob("*")]
    assert not [mode for mode in modes if mode & 0o6000]


@pytest.mark.parametrize(
    "name", [name for name, entries in HOSTILE.items() if name not in ("unlisted", "newline in a name")]
)
def test_other_peoples_archives_are_listed_by_the_same_rules(tmp_path: Path, name: str) -> None:
    allowed = {"hard link", "contiguous", "the node's own state"}
    path = tar(tmp_path / "x.tar.gz", *HOSTILE[name], mode="w:gz")
    if name in allowed - {"the node's own state"}:
        assert list(open_package(path).contents())
    else:
        with pytest.raises(PackageError):
            list(open_package(path).contents())


def test_pax_headers_are_not_part_of_our_packages(tmp_path: Path) -> None:
    path = around(tmp_path / "x.tar.gz", entry("a", pax_headers={"path": "../../b"}), form=tarfile.PAX_FORMAT)
    with pytest.raises(PackageError):
        verify(path)


@pytest.mark.parametrize("size", [-1, 0, 1, 1 << 62])
def test_sizes_that_lie_are_refused(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("a")
    info.size = 100
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = b"-0000000001\0" if size < 0 else (size | 1 << 95).to_bytes(12, "big")
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + sum(raw[156:]) + 256)
    with pytest.raises(PackageError):
        verify(package(tmp_path / "x.tar.gz", bytes(raw) + bytes(1024), files=9, size=1 << 60))


def test_a_long_name_or_pax_header_of_many_megabytes_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 4 << 20
    raw = info.tobuf(tarfile.GNU_FORMAT) + bytes(4 << 20)
    with pytest.raises(PackageError, match="4194304 bytes is refused"):
        verify(package(tmp_path / "x.tar.gz", raw, files=9, size=1 << 30))
    path = tmp_path / "pax.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        big = tarfile.TarInfo("a")
        big.pax_headers = {"comment": "x" * (4 << 20)}
        archive.addfile(big)
    with pytest.raises(PackageError, match="is refused"):
        list(open_package(path).contents())


def test_more_files_or_bytes_than_announced_are_stopped(tmp_path: Path) -> None:
    raw = b"".join(tarfile.TarInfo(f"f{number}").tobuf() for number in range(2000))
    with pytest.raises(PackageError, match="more files"):
        verify(package(tmp_path / "x.tar.gz", raw, files=10, size=1 << 30))
    info = tarfile.TarInfo("zeros")
    info.size = 64 << 20
    with pytest.raises(PackageError, match="more bytes"):
        verify(package(tmp_path / "y.tar.gz", info.tobuf() + bytes(info.size), files=10, size=1 << 20))


def test_a_chunk_that_unpacks_to_more_than_it_says_is_stopped_in_little_memory(tmp_path: Path) -> None:
    """A gigabyte of zeros in a mebibyte: neither the library nor the parallel reader lets it grow."""
    worker = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(worker.compress(bytes(1 << 24)) for _ in range(64)), worker.flush()])
    bomb = layout.GZIP_HEAD + bomb[10:]
    path = tmp_path / "bomb.tar.gz"
    facts = layout.Facts("linux-64", "", 1, 1000, 0)
    header = layout.header("tar.gz", "0" * 64, facts)
    end = compressor("tar.gz", None)(layout.END_OF_ARCHIVE)
    body = header + bomb + end
    table = layout.encode_table([layout.Chunk(len(bomb), 1 << 20, zlib.crc32(bomb))])
    crcs = (zlib.crc32(b"".join(table)), zlib.crc32(header + end))
    footer = layout.Footer(len(body), 1 << 20, 1, len(table), 1, 0, 0, *crcs)
    path.write_bytes(body + layout.gzip_extra(b"PI", table[0]) + layout.gzip_extra(b"PF", footer.encode()))
    (tmp_path / "d").mkdir()
    by_library = (
        "from pathlib import Path; from poncho.package import verify; from poncho.errors import PackageError\n"
        "try: verify(Path(sys.argv[1])); status = 0\n"
        "except PackageError: status = 3\n"
    )
    by_reader = (
        "import runpy; status = runpy.run_path(sys.argv[2])['main']([sys.argv[1], sys.argv[3], '--jobs', '1'])\n"
    )
    for code in (by_library, by_reader):
        # The most memory that the process itself ever had; ru_maxrss begins with its parent's.
        peak = "print(status, [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
        done = subprocess.run(
            [sys.executable, "-c", "import sys\n" + code + peak, path, UNPACKER, tmp_path / "d"],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            check=True,
            timeout=60,
        )
        status, kilobytes = map(int, done.stdout.split())
        assert status == 3
        assert kilobytes < 150 * 1024


def test_a_manifest_that_is_something_else_is_refused(tmp_path: Path) -> None:
    for text in (b"[]", b"{}", b"not json", json.dumps({"format": 2}).encode(), b'{"totals": 3}'):
        listed = _contents(("poncho/manifest.json", text))
        raw = b""
        for name, data in (("poncho/manifest.json", text), ("poncho/contents", listed)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            raw += info.tobuf() + data + bytes(-len(data) % 512)
        digest = manifest.digest(listed, text)
        path = package(tmp_path / "x.tar.gz", raw, files=2, size=len(text) + len(listed), digest=digest)
        with pytest.raises(PackageError):
            verify(path)
        with pytest.raises(PackageError):
            open_package(path)


def _contents(*files: tuple[str, bytes]) -> bytes:
    import hashlib

    members = (Member(name, 0o644, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in files)
    return manifest.contents(member_line(member)[:-1] for member in members)


def test_something_after_the_end_of_a_tar_is_refused(tmp_path: Path) -> None:
    plain = tar(tmp_path / "a.tar", entry("a")).read_bytes()
    (tmp_path / "b.tar").write_bytes(plain + tar(tmp_path / "c.tar", entry("../evil")).read_bytes())
    with pytest.raises(PackageError, match="after the end"):
        list(open_package(tmp_path / "b.tar").contents())
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        assert archive.getnames() == ["a"]
