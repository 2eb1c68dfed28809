"""Files that are larger than memory should be: packed piece by piece."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from poncho.errors import BuildError
from poncho.pack.buffers import Buffers
from poncho.pack.large import PIECE, LargeFile
from poncho.pack.layout import CHUNK_LIMIT
from poncho.pack.model import Entry, Member
from poncho.pack.reading import Source
from poncho.pack.transform import Streamed
from poncho.package.archive import open_file, read_index
from tests.support.packages import read_member, unpack
from tests.support.prefixes import CONDA_PLACEHOLDER, conda_binary, conda_record, packed, relocate, small_prefix

FULL = bool(os.environ.get("PONCHO_TEST_FULL"))
LIMIT = 300 << 20

PACK = """
import sys
from pathlib import Path
from poncho.pack import pack
from poncho.store import BuilderCache
cache = BuilderCache(Path(sys.argv[3])) if len(sys.argv) > 3 else None
pack(Path(sys.argv[1]), Path(sys.argv[2]), spec_text="{}", lock_text="{}", cache=cache)
# Not getrusage: what that says is inherited from the process that forks.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


@pytest.mark.parametrize("cached", [False, True])
def test_memory_does_not_grow_with_the_size_of_files(tmp_path: Path, cached: bool) -> None:
    prefix = small_prefix(tmp_path / "env")
    # Mostly holes: what counts is that none of these is ever in memory as a whole.
    with (prefix / "lib/data.bin").open("wb") as stream:
        for _ in range(64 if FULL else 8):
            stream.write(os.urandom(1 << 20))
        stream.truncate(400 << 20)
    with (prefix / "bin/large-program").open("wb") as stream:
        stream.write(b"\x7fELF")
        stream.truncate(350 << 20)
    (prefix / "lib/patched.so").write_bytes(conda_binary(prefix, b"x" * 100, b"/share", b""))
    with (prefix / "lib/patched.so").open("r+b") as stream:
        stream.truncate(350 << 20)
    conda_record(prefix, "patched", ["lib/patched.so"], {"lib/patched.so": "binary"})
    more = [str(tmp_path / "cache")] if cached else []
    argv = [sys.executable, "-c", PACK, str(prefix), str(tmp_path / "env.tar.gz"), *more]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=True)
    assert 10 << 20 < int(done.stdout) < LIMIT


def test_no_chunk_is_larger_than_the_format_allows(prefix: Path, tmp_path: Path) -> None:
    for size in (PIECE - 512, PIECE, PIECE + 1, 3 * PIECE - 511):
        (prefix / f"lib/{size}.bin").write_bytes(b"\0" + os.urandom(size - 1))
    package = packed(prefix, tmp_path / "env.tar.gz")
    with open_file(package.path) as stream:
        index = read_index(package.path, stream)
    assert index is not None
    assert max(chunk.size for chunk in index.chunks) <= CHUNK_LIMIT
    for size in (PIECE - 512, PIECE, PIECE + 1, 3 * PIECE - 511):
        assert read_member(package.path, f"lib/{size}.bin") == (prefix / f"lib/{size}.bin").read_bytes()


def test_conda_s_placeholders_are_found_across_pieces(prefix: Path, tmp_path: Path) -> None:
    spare = len(CONDA_PLACEHOLDER) - len(os.fsencode(prefix))
    slot = os.fsencode(prefix) + b"/lib" + bytes(spare + 1)
    where = [10, PIECE - 520, 2 * PIECE - 700, (4 << 20) - 3, (4 << 20) + 4000, 9_000_000]
    data = bytearray(b"\x01" * 10_000_000)
    for at in where:
        data[at - 1] = 0
        data[at : at + len(slot)] = slot
    (prefix / "lib/many.so").write_bytes(data)
    conda_record(prefix, "many", ["lib/many.so"], {"lib/many.so": "binary"})
    package = packed(prefix, tmp_path / "env.tar.gz")
    inside = read_member(package.path, "lib/many.so")
    assert os.fsencode(prefix) not in inside
    assert len(inside) == len(data)
    there = unpack(package.path, tmp_path / "there")
    relocate(there, prefix)
    assert (there / "lib/many.so").read_bytes() == data


def test_the_build_prefix_across_pieces_of_a_foreign_binary_is_named(prefix: Path, tmp_path: Path) -> None:
    needle = os.fsencode(prefix) + b"/x"
    data = bytearray(b"\0" * (2 * PIECE))
    at = PIECE - 512 - len(needle) // 2
    data[at : at + len(needle)] = needle
    (prefix / "lib/foreign.so").write_bytes(data)
    package = packed(prefix, tmp_path / "env.tar.gz")
    assert any("lib/foreign.so" in warning for warning in package.warnings)


def test_a_large_file_that_changes_between_its_two_readings_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(PIECE * 2))
    entry = Entry("large", str(path), PIECE * 2)
    file = LargeFile(entry, bytes(512), Streamed(None), Source(entry))
    buffers = Buffers()
    member = Member("large", 0o644, PIECE * 2, file.hash(buffers, ()).sha256)
    with path.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"other")
    lease = buffers.take(PIECE)
    view = lease.view[:PIECE]
    file.fill(view, 0)
    with pytest.raises(BuildError, match="changed while it was packed"):
        file.check(0, view, member, buffers)
