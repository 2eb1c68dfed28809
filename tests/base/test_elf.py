"""What is taken out of binaries, and what must stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from poncho.base.elf import read_elf, without_debug_sections, without_path
from poncho.base.libraries import is_glibc


def test_a_program_without_its_debug_sections_still_runs(tmp_path: Path) -> None:
    source = Path("/bin/ls").resolve() if not _own().is_file() else _own()
    stripped = tmp_path / "program"
    stripped.write_bytes(without_debug_sections(source.read_bytes()))
    stripped.chmod(0o755)
    assert subprocess.run([str(stripped), "--help"], capture_output=True, check=False).returncode == 0
    assert read_elf(stripped) == read_elf(source)


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 200])
def test_what_is_no_whole_elf_file_is_left_alone(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert without_debug_sections(data) == data
    assert read_elf(path) is None


def test_a_path_is_replaced_but_what_shares_its_end_stays() -> None:
    # Linkers store "3.11.7" inside "/home/me/versions/3.11.7": scrubbing all of it once took away Python's own version.
    data = b"\0/home/me/versions/3.11.7\0/home/me/versions/3.11.7/lib\0"
    scrubbed = without_path(data, Path("/home/me/versions/3.11.7"))
    assert len(scrubbed) == len(data)
    assert b"home/me" not in scrubbed
    assert scrubbed.count(b"/3.11.7") == 2


@pytest.mark.parametrize("name", ["libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2", "libnsl.so.1"])
def test_glibc_is_never_taken_along(name: str) -> None:
    assert is_glibc(name)


@pytest.mark.parametrize("name", ["libcrypt.so.1", "libcrypto.so.3", "libnsl.so.2", "libz.so.1", "libmagic.so.1"])
def test_other_libraries_are_not_mistaken_for_glibc(name: str) -> None:
    assert not is_glibc(name)


def _own() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()
