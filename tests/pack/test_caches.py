"""What packing before left to be used again never shows in the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poncho.pack import known
from poncho.pack.blocks import Blocks, check
from poncho.pack.buffers import Buffers
from poncho.store import BuilderCache
from tests.support.packages import read_member
from tests.support.prefixes import CONDA_PLACEHOLDER, conda_binary, conda_record, packed, small_prefix


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Return a prefix with several chunks: packages of small files, a large file, a large conda binary."""
    prefix = small_prefix(tmp_path / "env")
    for package in range(4):
        files = []
        for number in range(30):
            path = prefix / f"lib/pack{package}/file{number}.dat"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(os.urandom(10_000) * 2)
            files.append(str(path.relative_to(prefix)))
        conda_record(prefix, f"pack{package}", files, {})
    (prefix / "lib/large.bin").write_bytes(b"\0" + os.urandom(7_000_000))
    data = conda_binary(prefix, os.urandom(3_500_000).replace(b"/", b"."), b"/share", bytes(2_000_000) + b"end")
    (prefix / "lib/large.so").write_bytes(data)
    conda_record(prefix, "large", ["lib/large.so"], {"lib/large.so": "binary"})
    time.sleep(0.02)  # more than a tick of the file system's clock
    return prefix


def entries(cache: BuilderCache, bucket: str) -> dict[Path, int]:
    """Return the files of a bucket, with what a publication would change."""
    return {path: path.stat().st_ino for path in (cache.root / bucket).rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.zst", ".sh"])
def test_a_package_from_the_cache_has_the_same_bytes_as_one_without(
    big: Path, cache: BuilderCache, tmp_path: Path, suffix: str
) -> None:
    plain = packed(big, tmp_path / f"plain{suffix}")
    first = packed(big, tmp_path / f"first{suffix}", cache=cache, threads=1)
    before = entries(cache, "blocks"), entries(cache, "looks")
    again = packed(big, tmp_path / f"again{suffix}", cache=cache, threads=3)
    assert plain.path.read_bytes() == first.path.read_bytes() == again.path.read_bytes()
    assert (entries(cache, "blocks"), entries(cache, "looks")) == before
    assert before[0]
    assert before[1]
    assert plain.digest == again.digest
    assert plain.warnings == again.warnings


def test_only_what_changed_is_compressed_again(big: Path, cache: BuilderCache, tmp_path: Path) -> None:
    packed(big, tmp_path / "first.tar.gz", cache=cache)
    before = entries(cache, "blocks")
    (big / "lib/pack2/file7.dat").write_bytes(b"other")
    after = packed(big, tmp_path / "second.tar.gz", cache=cache)
    # The chunk that it lies in, its package's record, and PONCHO's manifest and list of contents.
    assert len(entries(cache, "blocks").keys() - before.keys()) <= 4
    assert after.path.read_bytes() == packed(big, tmp_path / "plain.tar.gz").path.read_bytes()


@pytest.mark.parametrize("name", ["lib/pack1/file3.dat", "lib/large.bin", "bin/hello"])
def test_a_file_that_was_changed_in_place_is_packed_as_it_is_now(
    big: Path, cache: BuilderCache, tmp_path: Path, name: str
) -> None:
    packed(big, tmp_path / "first.tar.gz", cache=cache)
    time.sleep(0.02)
    path = big / name
    before = path.stat()
    with path.open("r+b") as stream:
        stream.seek(-3, os.SEEK_END)
        stream.write(b"\xffX\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    second = packed(big, tmp_path / "second.tar.gz", cache=cache)
    assert read_member(second.path, name).endswith(b"\xffX\n")
    assert second.path.read_bytes() == packed(big, tmp_path / "plain.tar.gz").path.read_bytes()


def test_what_changed_just_now_is_read_again(
    big: Path, cache: BuilderCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_RACY_NS", 3600 * 1_000_000_000)
    packed(big, tmp_path / "first.tar.gz", cache=cache)
    assert not entries(cache, "looks")
    assert entries(cache, "blocks")


def test_removed_added_and_renamed_files_are_seen(big: Path, cache: BuilderCache, tmp_path: Path) -> None:
    packed(big, tmp_path / "first.tar.gz", cache=cache)
    (big / "lib/pack0/file1.dat").unlink()
    (big / "lib/pack0/new.dat").write_bytes(b"new")
    (big / "lib/pack1/file2.dat").rename(big / "lib/pack1/renamed.dat")
    (big / "lib/pack3/file0.dat").chmod(0o755)
    second = packed(big, tmp_path / "second.tar.gz", cache=cache)
    assert second.path.read_bytes() == packed(big, tmp_path / "plain.tar.gz").path.read_bytes()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "swap"])
def test_a_damaged_block_is_found_and_made_again(big: Path, cache: BuilderCache, tmp_path: Path, damage: str) -> None:
    plain = packed(big, tmp_path / "plain.tar.gz", cache=cache).path.read_bytes()
    blocks = sorted(entries(cache, "blocks"))
    first = blocks[0].read_bytes()
    for path in blocks:
        data = bytearray(path.read_bytes())
        if damage == "flip":
            data[len(data) // 2] ^= 1
        elif damage == "cut":
            del data[-7:]
        elif damage == "empty":
            data.clear()
        else:
            data[:24] = first[:24]
        if path != blocks[0] or damage != "swap":
            path.write_bytes(data)
            assert check(bytes(data)) is None
    assert packed(big, tmp_path / "again.tar.gz", cache=cache).path.read_bytes() == plain
    assert all(check(path.read_bytes()) for path in blocks)


def test_a_damaged_look_is_not_believed(big: Path, cache: BuilderCache, tmp_path: Path) -> None:
    plain = packed(big, tmp_path / "plain.tar.gz", cache=cache).path.read_bytes()
    for path in entries(cache, "looks"):
        data = bytearray(path.read_bytes())
        data[-9] ^= 1
        path.write_bytes(data)
    assert packed(big, tmp_path / "again.tar.gz", cache=cache).path.read_bytes() == plain


def test_blocks_without_looks_and_looks_without_blocks_give_the_same(
    big: Path, cache: BuilderCache, tmp_path: Path
) -> None:
    plain = packed(big, tmp_path / "plain.tar.gz", cache=cache).path.read_bytes()
    shutil.rmtree(cache.root / "looks")
    assert packed(big, tmp_path / "a.tar.gz", cache=cache).path.read_bytes() == plain
    shutil.rmtree(cache.root / "blocks")
    assert packed(big, tmp_path / "b.tar.gz", cache=cache).path.read_bytes() == plain
    for number, path in enumerate(sorted(entries(cache, "blocks"))):
        if number % 2:
            path.unlink()
    assert packed(big, tmp_path / "c.tar.gz", cache=cache).path.read_bytes() == plain


def test_levels_and_times_do_not_share_blocks(big: Path, cache: BuilderCache, tmp_path: Path) -> None:
    for level, epoch in ((2, 0), (6, 0), (2, 7), (1, 0)):
        cached = packed(big, tmp_path / "a.tar.gz", cache=cache, level=level, epoch=epoch)
        plain = packed(big, tmp_path / "b.tar.gz", level=level, epoch=epoch)
        assert cached.path.read_bytes() == plain.path.read_bytes()


def test_a_copy_of_the_prefix_elsewhere_uses_the_blocks(big: Path, cache: BuilderCache, tmp_path: Path) -> None:
    packed(big, tmp_path / "first.tar.gz", cache=cache)
    before = entries(cache, "blocks")
    elsewhere = tmp_path / "another-place"
    shutil.copytree(big, elsewhere, symlinks=True)
    for path in elsewhere.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if os.fsencode(big) in data and path.suffix != ".so":
                path.write_bytes(re.sub(re.escape(os.fsencode(big)) + rb"(?!2)", os.fsencode(elsewhere), data))
    for name, tail in (("lib/binary.so", b"/share:x"), ("lib/large.so", b"/share")):
        data = (big / name).read_bytes()
        old = os.fsencode(big) + tail
        at = data.index(old)
        slot = len(CONDA_PLACEHOLDER) + len(tail) + 1
        new = (os.fsencode(elsewhere) + tail).ljust(slot, b"\0")
        (elsewhere / name).write_bytes(data[:at] + new + data[at + slot :])
    (elsewhere / "lib/absolute").unlink()
    (elsewhere / "lib/absolute").symlink_to(elsewhere / "etc/settings.ini")
    second = packed(elsewhere, tmp_path / "second.tar.gz", cache=cache)
    assert second.path.read_bytes() == (tmp_path / "first.tar.gz").read_bytes()
    assert entries(cache, "blocks") == before


def test_what_changed_in_the_same_tick_of_the_clock_is_not_kept() -> None:
    began = 1_700_000_000_500_000_000
    assert known._is_racy(began, began)
    assert known._is_racy(began - 50_000_000, began)
    assert not known._is_racy(began - 200_000_000, began)
    # Whole seconds: a clock that ticks so seldom.
    assert known._is_racy(1_699_999_999_000_000_000, began)
    assert not known._is_racy(1_699_999_998_000_000_000, began)


def test_a_cache_that_cannot_be_written_does_no_harm(big: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    cache = BuilderCache(tmp_path / "file")
    plain = packed(big, tmp_path / "plain.tar.gz").path.read_bytes()
    assert packed(big, tmp_path / "a.tar.gz", cache=cache).path.read_bytes() == plain
    cache = BuilderCache(tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/blocks").mkdir()
    for number in range(256):
        (tmp_path / f"cache/blocks/{number:02x}").write_text("in the way")
    assert packed(big, tmp_path / "b.tar.gz", cache=cache).path.read_bytes() == plain


def test_builders_that_run_at_once_share_a_cache(big: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from poncho.pack import pack, known; from poncho.store import BuilderCache\n"
        "known._RACY_NS = 0\n"
        "pack(Path(sys.argv[1]), Path(sys.argv[2]), spec_text='{}\\n', lock_text='{}\\n',"
        " cache=BuilderCache(Path(sys.argv[3])))"
    )
    outputs = [tmp_path / f"{number}.tar.gz" for number in range(4)]
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(big), str(output), str(tmp_path / "cache")])
        for output in outputs
    ]
    assert [process.wait(120) for process in running] == [0, 0, 0, 0]
    plain = packed(big, tmp_path / "plain.tar.gz").path.read_bytes()
    assert all(output.read_bytes() == plain for output in outputs)
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_a_block_is_whole_or_none(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path, "test", Buffers())
    key = blocks.key([b"a line\n"])
    assert blocks.get(key) is None
    blocks.put(key, (b"some", b"thing"), 4, 0)  # the checksum is not that of the bytes
    assert blocks.get(key) is None
    assert key != blocks.key([b"a line\n"], 0, 1)
    assert key != Blocks(tmp_path, "other", Buffers()).key([b"a line\n"])
