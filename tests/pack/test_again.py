"""An environment that was packed before and has changed since: the package is the one that is made without a cache."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho.errors import BuildError
from poncho.pack import copying, known
from poncho.pack.blocks import Blocks
from poncho.pack.buffers import Buffers
from poncho.pack.copier import Copier, Copy
from poncho.pack.sink import Packed
from poncho.store import BuilderCache
from tests.support.prefixes import conda_record, packed, small_prefix, wheel


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return a prefix with packages of many files, a large one, links and empty directories in between."""
    prefix = small_prefix(tmp_path / "env")
    for package in range(3):
        files = []
        for number in range(40):
            path = prefix / f"lib/pack{package}/part{number % 3}/file{number}.dat"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(9000) * 2)
            files.append(str(path.relative_to(prefix)))
        (prefix / f"lib/pack{package}/part1/link").symlink_to("file1.dat")
        (prefix / f"lib/pack{package}/part1/nothing").mkdir()
        conda_record(prefix, f"pack{package}", files, {})
    (prefix / "lib/pack1/large.bin").write_bytes(b"\0" + os.urandom(7_000_000))
    names = [f"snake/module{number}.py" for number in range(30)]
    for name in names:
        path = prefix / "lib/python3.11/site-packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"NAME = {name!r}\n")
    wheel(prefix, "snake", "2.0", names)
    time.sleep(0.02)  # more than a tick of the file system's clock
    return prefix


def same_size(prefix: Path) -> None:
    """Write other bytes of the same length, in place."""
    with (prefix / "lib/pack1/part1/file7.dat").open("r+b") as stream:
        stream.write(b"other")


def same_size_and_time(prefix: Path) -> None:
    """Do so, and put the time back."""
    path = prefix / "lib/pack1/part2/file8.dat"
    before = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def mode_only(prefix: Path) -> None:
    """Make a file executable."""
    (prefix / "lib/pack0/part0/file3.dat").chmod(0o755)


def removed(prefix: Path) -> None:
    """Delete a file, and a whole package's directory."""
    (prefix / "lib/pack0/part0/file0.dat").unlink()
    shutil.rmtree(prefix / "lib/pack2/part1")


def added(prefix: Path) -> None:
    """Add files to a package's directory and to the top."""
    (prefix / "lib/pack0/part0/file0b.dat").write_bytes(b"new")
    (prefix / "new").write_bytes(b"new")


def directory_to_link(prefix: Path) -> None:
    """Put a link in the place of a directory."""
    shutil.rmtree(prefix / "lib/pack2/part1")
    (prefix / "lib/pack2/part1").symlink_to("part2")


def file_to_directory(prefix: Path) -> None:
    """Put an empty directory in the place of a file."""
    (prefix / "lib/pack2/part1/file1.dat").unlink()
    (prefix / "lib/pack2/part1/file1.dat").mkdir()


def other_target(prefix: Path) -> None:
    """Let a link lead elsewhere."""
    (prefix / "lib/pack1/part1/link").unlink()
    (prefix / "lib/pack1/part1/link").symlink_to("../part2")


def no_longer_empty(prefix: Path) -> None:
    """Put a file into what was an empty directory."""
    (prefix / "lib/pack1/part1/nothing/something").write_text("x")


def swapped(prefix: Path) -> None:
    """Let two files change their names."""
    one, two = prefix / "lib/pack0/part0/file3.dat", prefix / "lib/pack0/part0/file6.dat"
    one.rename(prefix / "between")
    two.rename(one)
    (prefix / "between").rename(two)


def another_owner(prefix: Path) -> None:
    """Let a wheel's record claim another package's file, which stays as it is."""
    record = next((prefix / "lib/python3.11/site-packages").glob("snake-*.dist-info/RECORD"))
    record.write_text(record.read_text() + "../../../share/zeros,,\n")


def large_in_place(prefix: Path) -> None:
    """Change bytes in the middle of a large file."""
    with (prefix / "lib/pack1/large.bin").open("r+b") as stream:
        stream.seek(4_000_000)
        stream.write(b"other bytes")


CHANGES = (
    *(same_size, same_size_and_time, mode_only, removed, added, directory_to_link, file_to_directory),
    *(other_target, no_longer_empty, swapped, another_owner, large_in_place),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_seen_and_undone(
    prefix: Path, cache: BuilderCache, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    copy = tmp_path / "copy"
    first = packed(prefix, tmp_path / "first.tar.gz", cache=cache).path.read_bytes()
    assert packed(prefix, tmp_path / "again.tar.gz", cache=cache).path.read_bytes() == first
    shutil.copytree(prefix, copy, symlinks=True)
    change(prefix)
    changed = packed(prefix, tmp_path / "changed.tar.gz", cache=cache)
    plain = packed(prefix, tmp_path / "plain.tar.gz")
    assert changed.path.read_bytes() == plain.path.read_bytes() != first
    assert (changed.digest, changed.files, changed.warnings) == (plain.digest, plain.files, plain.warnings)
    # What was is put back: with other inodes and times, under the same names.
    shutil.rmtree(prefix)
    copy.rename(prefix)
    assert packed(prefix, tmp_path / "back.tar.gz", cache=cache).path.read_bytes() == first


def test_what_changes_right_after_it_was_packed_is_seen(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock of this file system stands still for an hour: no time tells a change from the one before.
    cache = BuilderCache(tmp_path / "cache")
    monkeypatch.setattr(known, "_RACY_NS", 3600 * 1_000_000_000)
    packed(prefix, tmp_path / "first.tar.gz", cache=cache)
    path = prefix / "lib/pack1/part1/file7.dat"
    before = path.stat()
    same_size(prefix)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = packed(prefix, tmp_path / "second.tar.gz", cache=cache)
    assert second.path.read_bytes() == packed(prefix, tmp_path / "plain.tar.gz").path.read_bytes()


@pytest.mark.parametrize(
    "helper",
    ["/nowhere/python", "/bin/false", "#!/bin/sh\nread line; echo nonsense; cat >/dev/null\n", "#!/bin/sh\nread l\n"],
)
def test_without_a_process_that_copies_the_package_is_the_same(
    prefix: Path, cache: BuilderCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helper: str
) -> None:
    first = packed(prefix, tmp_path / "first.tar.gz", cache=cache).path.read_bytes()
    if helper.startswith("#!"):
        script = tmp_path / "helper"
        script.write_text(helper)
        script.chmod(0o755)
        helper = str(script)
    monkeypatch.setattr(sys, "executable", helper)
    assert packed(prefix, tmp_path / "again.tar.gz", cache=cache).path.read_bytes() == first
    assert packed(prefix, tmp_path / "again.sh", cache=cache).digest == packed(prefix, tmp_path / "plain.sh").digest


def test_blocks_that_vanish_while_they_are_used_are_made_again(
    prefix: Path, cache: BuilderCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = packed(prefix, tmp_path / "first.tar.gz", cache=cache).path.read_bytes()
    monkeypatch.setattr(Blocks, "has", lambda self, key: True)
    blocks = sorted((cache.root / "blocks").glob("*/*"))
    for gone in (blocks[::2], blocks[1::2]):
        for path in gone:
            path.unlink()
        assert packed(prefix, tmp_path / "again.tar.gz", cache=cache).path.read_bytes() == first
        assert sorted((cache.root / "blocks").glob("*/*")) == blocks


def test_a_full_disk_is_told_from_a_damaged_block(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path, "test", Buffers())
    data = os.urandom(1000)
    key, missing = blocks.key([b"a line\n"]), blocks.key([b"another\n"])
    blocks.put(key, (data,), 4096, copying.isal_zlib.crc32(data))

    def never() -> Packed:
        raise AssertionError

    whole, gone = Copy(key, 4096, False, never), Copy(missing, 4096, False, never)
    with (tmp_path / "out").open("w+b") as output:
        copier = Copier(tmp_path)
        copier.open(tmp_path / "out")
        copier.send([whole, whole, gone, whole], 10)
        chunks, useful = copier.finish([whole, whole, gone, whole])
        copier.close()
        assert useful
        assert [(chunk.packed, chunk.size) for chunk in chunks] == [(1000, 4096)] * 2
        assert output.read() == bytes(10) + data + data
    copier = Copier(tmp_path)
    copier.open(Path("/dev/full"))
    copier.send([whole], 0)
    with pytest.raises(OSError, match="No space") as caught:
        copier.finish([whole])
    assert caught.value.errno == errno.ENOSPC
    copier.close()


def test_a_block_of_another_size_is_not_copied(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path, "test", Buffers())
    key = blocks.key([b"a line\n"])
    blocks.put(key, (b"data",), 4096, copying.isal_zlib.crc32(b"data"))
    answers = io.BytesIO()
    with (tmp_path / "out").open("wb") as output:
        said = f"> {os.fsencode(output.name).hex()}\n@ 0\n{key} 512\n=\n=\n"
        copying.serve(str(tmp_path), io.BytesIO(said.encode()), answers)
    assert answers.getvalue() == b"!0\n\n"
    assert not (tmp_path / "out").read_bytes()


def test_an_unreadable_file_stops_packing_with_a_cache_too(prefix: Path, cache: BuilderCache, tmp_path: Path) -> None:
    packed(prefix, tmp_path / "first.tar.gz", cache=cache)
    path = prefix / "lib/pack1/part1/file7.dat"
    same_size(prefix)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("the superuser reads everything")
    with pytest.raises(BuildError, match="cannot be read"):
        packed(prefix, tmp_path / "second.tar.gz", cache=cache)
    assert not (tmp_path / "second.tar.gz").exists()
