"""Hazard 7: no room, or no room for one file more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.faults import count, mounted
from tests.support.handmade import plain
from tests.support.runner import Runner

PAGE = os.sysconf("SC_PAGE_SIZE")


def sizes(need: int) -> list[int]:
    """Return sizes from 1 % to 99 % of the need."""
    number = count(5, 50)
    return [need * (1 + 98 * step // (number - 1)) // 100 // PAGE * PAGE for step in range(number)]


def used(place: Path) -> int:
    """Return how many bytes of a file system are in use."""
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def what_is_left(place: Path) -> list[str]:
    """Return what is in the store, its locks left out."""
    return [name for name in os.listdir(place) if not name.startswith(".lock")]


@pytest.mark.parametrize("honest", [True, False])
def test_a_disk_that_is_too_small_is_one_line_with_the_bytes_needed(
    run: Runner, real: Path, tmp_path: Path, honest: bool
) -> None:
    """Whether it is seen before or, because others fill the disk or the package says too little, on the way."""
    package, needed = real, ""
    if not honest:
        made = plain(facts={"bytes": 1000})
        made.files |= {f"lib/many/{number}": os.urandom(9000) for number in range(60)}
        package = tmp_path / "env.tar.gz"
        made.write(package)
        needed = "1000 bytes"
    else:
        needed = package.read_bytes()[:400].split(b"bytes=")[1].split()[0].decode() + " bytes"
    store = tmp_path / "store"
    env = {"PONCHO_STORE": str(store)}
    with mounted(store, "size=1g"):
        run("-e", package, env=env).ok()
        need = used(store)
    for size in sizes(need):
        with mounted(store, f"size={size}"):
            run("-e", package, "true", env=env).refused(needed, "PONCHO_STORE")
            assert what_is_left(store) == []
    with mounted(store, f"size={need * 2}"):
        assert run("-e", package, "true", env=env).ok().err == ""


def test_a_full_disk_leaves_the_other_environments_as_they_are(run: Runner, real: Path, tmp_path: Path) -> None:
    small, store = tmp_path / "small.tar.gz", tmp_path / "store"
    plain().write(small)
    env = {"PONCHO_STORE": str(store)}
    with mounted(store, "size=1g"):
        run("-e", small, env=env).ok()
        little = used(store)
        run("-e", real, env=env).ok()
        need = used(store)
    for size in sizes(need - little)[:: count(2, 1)]:
        with mounted(store, f"size={size + little}"):
            run("-e", small, env=env).ok()
            before = what_is_left(store)
            run("-e", real, env=env).refused("bytes")
            assert what_is_left(store) == before
            assert run("-e", small, "say", "x", env=env).ok().out == "x\n"


def test_a_file_system_without_room_for_another_file_is_one_line(run: Runner, real: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for inodes in (5, 30, 100, 250):
        with mounted(store, f"size=1g,nr_inodes={inodes}"):
            run("-e", real, "true", env={"PONCHO_STORE": str(store)}).refused()
            assert what_is_left(store) == []


def test_a_limit_on_the_size_of_files_is_one_line(run: Runner, tmp_path: Path) -> None:
    made = plain()
    made.files["lib/large"] = os.urandom(3 << 20)
    made.write(tmp_path / "env.tar.gz")
    argv = ["sh", "-c", 'ulimit -f 2000; trap "" XFSZ; exec "$@"', "sh", *run.command("-e", tmp_path / "env.tar.gz")]
    done = subprocess.run(argv, env=run.environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125, done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert run.unpacked() == run.leftovers() == []
