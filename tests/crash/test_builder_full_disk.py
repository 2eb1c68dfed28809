"""Hazard 7 for the builder: a cache or an output directory without enough room is one line with the bytes needed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.test_builder_signals import BACKEND, leftovers
from tests.crash.test_full_disk import PAGE, used
from tests.support.channel import Channel
from tests.support.cli import Finished, run_cli
from tests.support.faults import count, mounted
from tests.support.gitserver import GitServer, Repository
from tests.support.httpserver import HttpServer

BYTES = re.compile(r"needs (about|up to|more than) [^(]*\((\d+) bytes\) there, and [^(]*\((\d+) bytes\) were free")


@pytest.fixture(scope="module")
def spec(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a spec with something of every kind but a channel: this machine's Python is repackaged as well."""
    root = tmp_path_factory.mktemp("full")
    project = root / "project"
    project.mkdir()
    (project / "backend.py").write_text(BACKEND.replace("sleep 0.4", "true"))
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "slow-project"\nversion = "1.0"\n'
    )
    repository = Repository(root / "srv" / "data.git")
    repository.commit({f"file{number}": os.urandom(20_000) for number in range(50)})
    with ExitStack() as stack:
        web = stack.enter_context(HttpServer())
        git = stack.enter_context(GitServer(root / "srv"))
        web.put("/large.bin", os.urandom(20_000_000))
        made = {
            "pip": [str(project)],
            "http": {"LARGE": {"url": web.url("/large.bin")}},
            "git": {"DATA": {"remote": git.url(repository)}},
        }
        (root / "spec.json").write_text(json.dumps(made))
        yield root / "spec.json"


@pytest.fixture(scope="module")
def warm(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that holds all that ``spec`` needs."""
    root = tmp_path_factory.mktemp("warm")
    build(spec, root / "env.tar.gz", root / "cache").ok()
    return root / "cache"


def sizes(need: int) -> list[int]:
    """Return sizes from 1 % to 99 % of the need."""
    number = count(3, 50)
    return [need * (1 + 98 * step // (number - 1)) // 100 // PAGE * PAGE for step in range(number)]


def build(spec: Path, output: Path, cache: Path, **env: str) -> Finished:
    return run_cli("poncho_package_create", spec, output, env={"PONCHO_CACHE_DIR": cache, **env})


def refused(done: Finished, place: Path) -> tuple[str, int, int]:
    """Check that it is one line and a hint; return how sure it is of the need, the need, and what was free."""
    lines = [line for line in done.failed().stderr.splitlines() if "warning:" not in line and "so far)" not in line]
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith(f"poncho_package_create: error: {place}"), done.stderr
    assert "no space left" in lines[0]
    assert lines[1].startswith("hint: free space"), done.stderr
    found = BYTES.search(lines[0])
    assert found, done.stderr
    return found[1], int(found[2]), int(found[3])


def test_a_cache_on_a_disk_that_is_too_small_is_one_line_with_the_bytes_needed(spec: Path, tmp_path: Path) -> None:
    mount, out = tmp_path / "mount", tmp_path / "out"
    out.mkdir()
    with mounted(mount, "size=2g"):
        build(spec, out / "env.tar.gz", mount / "cache").ok()
        kept = used(mount)
    (out / "env.tar.gz").unlink()
    needs = []
    for size in sizes(kept):
        with mounted(mount, f"size={size}"):
            done = build(spec, out / "env.tar.gz", mount / "cache")
            if done.returncode == 0:
                # Only what would make the next build quicker had no room.
                assert size > kept // 2
                (out / "env.tar.gz").unlink()
                continue
            sure, need, free = refused(done, mount)
            assert need >= free
            assert leftovers(mount) == []
            assert list(out.iterdir()) == []
            needs += [need] if sure == "about" else []
    for need in needs[-1:]:
        # What it says is enough, and not far from it.
        assert need <= 2.5 * kept
        with mounted(mount, f"size={need}"):
            build(spec, out / "env.tar.gz", mount / "cache").ok()


def test_an_output_on_a_disk_that_is_too_small_is_one_line_with_the_bytes_needed(
    spec: Path, warm: Path, tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    with mounted(mount, "size=2g"):
        build(spec, mount / "env.tar.gz", warm).ok()
        packed = (mount / "env.tar.gz").stat().st_size
    for size in sizes(packed)[:: count(2, 1)]:
        with mounted(mount, f"size={size}"):
            sure, need, _ = refused(build(spec, mount / "env.tar.gz", warm), mount)
            assert sure == "up to"
            assert packed <= need <= 4 * packed
            assert list(mount.iterdir()) == []
            assert leftovers(warm.parent) == []
    with mounted(mount, f"size={packed + 4 * PAGE}"):
        build(spec, mount / "env.tar.gz", warm).ok()


def test_a_package_that_is_there_survives_a_full_disk(spec: Path, warm: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    with mounted(mount, "size=8m"):
        (mount / "env.tar.gz").write_bytes(b"the old one")
        refused(build(spec, mount / "env.tar.gz", warm), mount)
        assert [path.name for path in mount.iterdir()] == ["env.tar.gz"]
        assert (mount / "env.tar.gz").read_bytes() == b"the old one"


def test_a_cache_without_room_for_another_file_is_one_line(spec: Path, tmp_path: Path) -> None:
    mount, out = tmp_path / "mount", tmp_path / "out"
    out.mkdir()
    for inodes in (3, 20, 200, 1500)[:: count(2, 1)]:
        with mounted(mount, f"size=2g,nr_inodes={inodes}"):
            refused(build(spec, out / "env.tar.gz", mount / "cache"), mount)
            assert leftovers(mount) == []
            assert list(out.iterdir()) == []
