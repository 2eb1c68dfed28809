"""Hazard 17: relocation, to prefixes of every length and kind, once or many times, by Python and by the shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.faults import count
from tests.support.handmade import PLACEHOLDER, plain, tree
from tests.support.prefixes import RELOCATER
from tests.support.runner import Runner, without

KINDS = {
    "nested in itself": "/home/u/env2/home/u/env2",
    "beginning like another": "/home/u/env22",
    "a part of the placeholder": PLACEHOLDER[:60],
    "spaces": "/home/my user/an env",
    "unicode": "/home/ünïcödé/環境",
    "for sed": "/a|b&c\\1/[x]*.$^",
    "for a shell": "/home/$(id)/`id`/${x}/'q'/\"q\"",
    "one letter": "/a",
    "root": "/",
}


def relocated(directory: Path, prefix: str) -> subprocess.CompletedProcess[str]:
    """Relocate an environment towards a prefix where it does not lie."""
    argv = [sys.executable, "-I", "-S", str(RELOCATER), str(directory), prefix]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def assert_relocated(directory: Path, prefix: str) -> None:
    """Assert that every file says what it must for ``prefix``, as if written by hand."""
    text = (directory / "etc/settings").read_bytes()
    assert text == f"root = {prefix}\nno newline at the end".encode()
    tool = (directory / "bin/tool").read_bytes().split(b"\n")
    raw = os.fsencode(prefix)
    assert tool[1:] == [b"prefix=" + raw, b"again " + raw + raw + b"/x", b""]
    first = b"#!" + raw + b"/bin/say --from " + raw + b"/bin"
    assert tool[0] in (first, b"#!/usr/bin/env say")
    assert len(tool[0]) <= 127
    blob = (directory / "lib/blob").read_bytes()
    assert blob[20:320] == (b"lib=" + raw + b"/lib").ljust(300, b"\0")
    assert blob[400:670] == (raw + b"\\n\tb").ljust(270, b"\0")
    assert (blob[:20], blob[-3:]) == (b"\x7fELF" + bytes(16), b"end")


def outside_records(directory: Path) -> list[str]:
    """Return the files that hold the placeholder, those left out whose purpose it is."""
    found = [path for path in directory.rglob("*") if path.is_file() and PLACEHOLDER.encode() in path.read_bytes()]
    names = [str(path.relative_to(directory)) for path in found]
    return [name for name in names if not re.match(r"poncho/(relocation|templates/\d+)$", name)]


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return plain().unpack(tmp_path / "env")


def test_prefixes_of_every_length_up_to_that_of_the_placeholder_are_right(env: Path) -> None:
    for length in [*range(1, 256, count(23, 1)), 255]:
        prefix = ("/" + "d/e_f" * 60)[: length - 1] + "x" if length > 1 else "/"
        assert relocated(env, prefix).returncode == 0
        assert_relocated(env, prefix)
        assert outside_records(env) == []


@pytest.mark.parametrize("kind", KINDS)
def test_applied_many_times_it_is_as_applied_once(env: Path, kind: str) -> None:
    """conda-pack's own makes /home/u/env22 of /home/u/env2 when it runs twice."""
    assert relocated(env, KINDS[kind]).returncode == 0
    assert_relocated(env, KINDS[kind])
    once = tree(env)
    for other in ("/somewhere/else", KINDS[kind], KINDS[kind], "/home/u/env2", KINDS[kind]):
        assert relocated(env, other).returncode == 0
        assert_relocated(env, other)
    assert tree(env) == once


@pytest.mark.parametrize("length", [262, 266, 300, 4000])
def test_a_prefix_that_is_too_long_is_refused_before_anything_is_written(env: Path, length: int) -> None:
    before = tree(env)
    times = {path: path.lstat().st_mtime_ns for path in env.rglob("*")}
    done = relocated(env, "/" + "x" * (length - 1))
    if length == 262:  # the smallest slot has room for 270 - 1 - len("\\n\tb")
        assert done.returncode == 0
        return
    assert done.returncode == 1
    assert f"{length} bytes, {265 if length == 266 else 291} fit" in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(env) == before
    assert {path: path.lstat().st_mtime_ns for path in env.rglob("*")} == times


@pytest.mark.parametrize("with_python", [True, False])
def test_where_it_really_lies_python_and_shell_do_the_same(run: Runner, tmp_path: Path, with_python: bool) -> None:
    """Unpacked, moved, moved again, deep and deeper, up to the limit and beyond it."""
    env = plain(python=with_python).unpack(tmp_path / "env")
    hidden = () if with_python else ("python3", "python")
    path = {"PATH": without(tmp_path / "bin", *hidden)}
    base = len(os.fsencode(run.directory)) + 1
    for length in sorted({base + 1, *range(base + 2, 253, count(40, 7)), 253, 255}):
        if length <= base:
            continue
        name = "d" * (length - base)
        place = run.directory / name if len(name) < 250 else run.directory / name[:100] / name[101:]
        place.parent.mkdir(exist_ok=True)
        shutil.move(env, place)
        env = place
        assert run("-e", env, "say", "x", env=path).ok().out == "x\n"
        assert_relocated(env, str(env))
        assert outside_records(env) == []
    long = run.directory / ("e" * 120) / ("f" * 140)
    long.parent.mkdir()
    shutil.move(env, long)
    before = {name: found for name, found in tree(long).items() if "state" not in name}
    run("-e", long, "say", env=path).refused("too long", "shorter path")
    assert {name: found for name, found in tree(long).items() if "state" not in name} == before


def test_no_byte_of_the_build_prefix_is_in_a_real_package(run: Runner, real: Path) -> None:
    run("-e", real).ok()
    root = run.store / run.unpacked()[0]
    build = os.fsencode(real.parent / "prefix")
    found = [path for path in root.rglob("*") if path.is_file() and build in path.read_bytes()]
    assert found == []
    assert outside_records(root) == []
    assert (root / "etc/settings").read_text() == f"root = {root}\nagain = {root}:{root}/lib\n"
