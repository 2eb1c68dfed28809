"""The prefix is found where it is meant, and nowhere else; ELF files and compiled files are read right."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poncho.pack import elf, pyc, relocation, search
from poncho.pack.layout import PLACEHOLDER_BYTES, Chunk, Facts, Footer, decode_table, encode_table
from tests.support.packages import read_member
from tests.support.prefixes import packed

ENV = [b"/opt/env"]


@pytest.mark.parametrize(
    "text",
    [
        "/opt/env",
        "x=/opt/env/lib",
        "-L/opt/env/lib -I/opt/env/include",
        "file:///opt/env/x",
        '"/opt/env"',
        "a:/opt/env:b",
        "in /opt/env.",
    ],
)
def test_the_prefix_is_found_where_it_is_meant(text: str) -> None:
    assert b"/opt/env" not in search.replace(text.encode(), ENV, b"@")


@pytest.mark.parametrize("text", ["/opt/env2/x", "/opt/env.bak", "/opt/env-1", "/srv/opt/env", "/opt/environment"])
def test_another_directory_is_not_taken_for_the_prefix(text: str) -> None:
    assert search.replace(text.encode(), ENV, b"@") == text.encode()


def test_a_prefix_called_env_is_not_found_in_usr_bin_env() -> None:
    assert search.replace(b"#!/usr/bin/env python\n/env/lib", [b"/env"], b"@") == b"#!/usr/bin/env python\n@/lib"


def test_of_two_spellings_the_longer_wins() -> None:
    assert search.replace(b"/a/b/c /a/b", [b"/a/b", b"/a/b/c"], b"@") == b"@ @"


@given(st.binary(max_size=300), st.integers(0, 60))
def test_replacing_never_loses_a_byte_around_the_prefix(data: bytes, at: int) -> None:
    text = data[:at] + b" /opt/env " + data[at:]
    made = search.replace(text, ENV, b"/opt/env")
    assert made == text
    assert search.holds(text, ENV)


@given(st.binary(max_size=200))
def test_escaping_is_undone_exactly(text: bytes) -> None:
    escaped = relocation.escape(text)
    assert b"\n" not in escaped
    assert b"\t" not in escaped
    assert relocation.unescape(escaped) == text


def test_condas_slots_are_found_with_their_whole_length() -> None:
    prefix, placeholder = b"/opt/env", 200
    one = prefix + b"/lib" + bytes(placeholder - len(prefix) + 1)
    two = prefix + b":" + prefix + b"/x" + bytes(2 * (placeholder - len(prefix)) + 1)
    data = b"\x01" + one + b"mid\0" + two + b"end"
    slots = relocation.binary_slots(data, ENV, placeholder)
    assert slots is not None
    assert [(slot.offset, slot.size) for slot in slots] == [(1, len(one)), (data.index(two), len(two))]
    assert slots[1].template == PLACEHOLDER_BYTES + b":" + PLACEHOLDER_BYTES + b"/x"
    canonical = relocation.with_placeholders(data, slots, placeholder)
    assert len(canonical) == len(data)
    assert prefix + b"/" not in canonical
    assert canonical.endswith(b"end")


def test_what_does_not_look_like_condas_work_is_not_patched() -> None:
    assert relocation.binary_slots(b"\0/opt/env/lib\0next string", ENV, 200) is None
    assert relocation.binary_slots(b"\0/opt/env/lib", ENV, 200) is None


def test_the_glibc_that_this_interpreter_needs_is_read_from_its_file() -> None:
    data = Path(os.path.realpath(sys.executable)).read_bytes()
    found = elf.of_bytes(data)
    assert found is not None
    assert found.platform.startswith("linux-")
    if shutil.which("objdump"):
        text = subprocess.run(["objdump", "-p", sys.executable], capture_output=True, text=True, check=True).stdout
        versions = [line.split("GLIBC_")[1].split()[0] for line in text.splitlines() if " GLIBC_2" in line]
        assert found.glibc == max(tuple(map(int, version.split("."))) for version in versions)


@given(st.binary(max_size=400))
def test_a_damaged_elf_file_is_no_error(data: bytes) -> None:
    elf.of_bytes(b"\x7fELF\x02\x01" + data)
    elf.of_bytes(Path(os.path.realpath(sys.executable)).read_bytes()[:64] + data)


def test_an_absolute_run_path_inside_becomes_relative(prefix: Path, tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    (tmp_path / "x.c").write_text("int f(void) { return 1; }\n")
    target = prefix / "lib/deep/libx.so"
    target.parent.mkdir()
    flags = f"-Wl,-rpath,{prefix}/lib:/usr/local/lib"
    subprocess.run(["gcc", "-shared", "-o", target, tmp_path / "x.c", flags], check=True)
    package = packed(prefix, tmp_path / "env.tar.gz")
    found = elf.of_bytes(read_member(package.path, "lib/deep/libx.so"))
    assert found is not None
    assert found.runpath == b"$ORIGIN/..:/usr/local/lib"


def compiled(source: bytes, filename: str, *, mtime: int | None) -> bytes:
    """Return what Python itself writes: by time, or with an unchecked hash."""
    head = importlib.util.MAGIC_NUMBER
    if mtime is None:
        head += (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    else:
        head += bytes(4) + mtime.to_bytes(4, "little") + len(source).to_bytes(4, "little")
    return head + marshal.dumps(compile(source, filename, "exec"))


@pytest.mark.parametrize("path", ["lib/m.py", "lib/" + "long" * 80 + "/m.py", "lib/mö.py"])
def test_a_compiled_file_forgets_where_it_was_made(path: str) -> None:
    source = b"def f():\n    def g(): return 1\n    return g\n"
    data = compiled(source, f"/opt/env/{path}", mtime=1_700_000_000)
    made = pyc.portable(data, path, source, 1_700_000_000, ENV)
    assert made is not None
    code = marshal.loads(made[16:])
    assert code.co_filename == path
    assert made[:16] == compiled(source, path, mtime=None)[:16]
    scope: dict[str, object] = {}
    exec(code, scope)
    assert scope["f"]()() == 1  # type: ignore[operator]


def test_a_compiled_file_with_the_prefix_among_its_constants_is_left_out() -> None:
    source = b"HOME = '/opt/env/share'\n"
    assert pyc.portable(compiled(source, "/opt/env/lib/m.py", mtime=5), "lib/m.py", source, 5, ENV) is None


def test_a_compiled_file_of_another_source_is_left_out() -> None:
    data = compiled(b"x = 1\n", "lib/m.py", mtime=5)
    assert pyc.portable(data, "lib/m.py", b"x = 1\n", 6, ENV) is None
    assert pyc.portable(data, "lib/m.py", b"x = 12\n", 5, ENV) is None
    assert pyc.portable(data, "lib/m.py", None, 5, ENV) is None


@given(st.binary(max_size=120))
def test_a_damaged_compiled_file_is_no_error(data: bytes) -> None:
    pyc.portable(importlib.util.MAGIC_NUMBER + data, "lib/m.py", b"", 0, ENV)


@given(
    st.lists(
        st.tuples(st.integers(1, 1 << 31), st.integers(1, 4 << 20), st.integers(0, (1 << 32) - 1), st.booleans()),
        max_size=50,
    )
)
def test_the_chunk_table_is_read_back_as_it_was_written(rows: list[tuple[int, int, int, bool]]) -> None:
    chunks = [Chunk(*row) for row in rows]
    assert decode_table(b"".join(encode_table(chunks))) == chunks


def test_footer_and_facts_are_read_back_as_they_were_written() -> None:
    footer = Footer(1 << 40, 2, 3, 4, 5, 6, 7, 8, 9)
    assert Footer.decode(footer.encode()) == footer
    facts = Facts("linux-64", "2.36", 936, 123456789012, 0)
    assert Facts.parse(facts.line()) == facts
    assert len(facts.line()) == len(Facts("", "", 0, 0, 0).line())
