"""Hazard 9 at the runner: archives that want to write elsewhere, in our framing and in none."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.support.archives import entry
from tests.support.handmade import SAY
from tests.support.realpackage import chunk_of, take_apart
from tests.support.runner import Runner

Entry = tuple[tarfile.TarInfo, bytes]
OUTSIDE = "poncho-hostile-outside"


def link(name: str, to: str) -> Entry:
    """Return a symbolic link."""
    return entry(name, kind="symlink", to=to)


HOSTILE: dict[str, list[Entry]] = {
    "parent": [entry(f"../../../{OUTSIDE}")],
    "parent in the middle": [entry(f"lib/../../../../{OUTSIDE}")],
    "absolute": [entry(f"/tmp/{OUTSIDE}")],
    "through a link out": [link("out", "../../.."), entry(f"out/{OUTSIDE}")],
    "through an absolute link": [link("out", "/tmp"), entry(f"out/{OUTSIDE}")],
    "through a chain of links": [link("d/here", ".."), link("a", "d/here/../.."), entry(f"a/{OUTSIDE}")],
    "through a link over a directory": [entry("d/x"), link("d", "/tmp"), entry(f"d/{OUTSIDE}")],
    "over a link": [link("a", f"/tmp/{OUTSIDE}"), entry("a")],
    "hard link out, then over it": [entry("a", kind="hardlink", to="/etc/hostname"), entry("a")],
    "hard link to a link out": [link("a", f"/tmp/{OUTSIDE}"), entry("b", kind="hardlink", to="a"), entry("b")],
    "the runner's state as a link": [link("poncho/state", "/tmp"), entry(f"poncho/state/{OUTSIDE}")],
    "the state": [entry("poncho/state/digest", b"0" * 64), entry("poncho/state/prefix", b"/tmp")],
    "bin as a link": [link("bin", "/tmp")],
    "its own work in progress": [entry(f".poncho/{OUTSIDE}"), entry(".poncho/publishing", b"..\n")],
}


@pytest.fixture
def watched(run: Runner) -> set[str]:
    """Return what lies around the store before the archive is unpacked."""
    run.store.mkdir(parents=True)
    return around(run)


def around(run: Runner) -> set[str]:
    """Return the paths around the store, the store's own left out."""
    return {str(path) for path in run.directory.parent.rglob("*") if run.store not in path.parents}


def nothing_outside(run: Runner, before: set[str]) -> None:
    """Assert that nothing was written but into the store, and nothing there but an environment."""
    new = around(run) - before
    assert not {path for path in new if not path.endswith("hostile.tar.gz")}
    assert not os.path.lexists(f"/tmp/{OUTSIDE}")
    assert run.leftovers() == []
    assert not [name for name in run.unpacked() if len(name) not in (12, 64)]


def tar_of(entries: list[Entry]) -> bytes:
    """Return tar members without the end of an archive."""
    return b"".join(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512) for info, data in entries)


@pytest.mark.parametrize("name", HOSTILE)
def test_in_our_framing_it_is_refused(run: Runner, real: Path, tmp_path: Path, watched: set[str], name: str) -> None:
    pieces = take_apart(real)
    pieces.chunks.insert(pieces.boot, chunk_of(tar_of(HOSTILE[name])))
    pieces.meta += 1
    path = pieces.write(tmp_path / "hostile.tar.gz")
    run("-e", path, "true").refused()
    assert run.unpacked() == []
    nothing_outside(run, watched)


@pytest.mark.parametrize("name", HOSTILE)
def test_among_the_first_members_it_does_not_get_out_either(
    run: Runner, real: Path, tmp_path: Path, watched: set[str], name: str
) -> None:
    """These the node's own tar unpacks, before anything of ours is there to look at them."""
    pieces = take_apart(real)
    chunk = chunk_of(tar_of(HOSTILE[name]))
    pieces.chunks.insert(0, chunk)
    pieces.boot += 1
    pieces.meta += 1
    old = int(pieces.header.split(b"boot=")[1].split()[0])
    new = f"boot={old + len(chunk[1])}".encode()
    size = len(f"boot={old}")
    at = pieces.header.index(b"boot=")
    pieces.header = (pieces.header[:at] + new + pieces.header[at + size :]).replace(
        b" " * (len(new) - size) + b"\n\0", b"\n\0", 1
    )
    path = pieces.write(tmp_path / "hostile.tar.gz")
    run("-e", path, "true").refused()
    assert run.unpacked() == []
    nothing_outside(run, watched)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("first", [True, False])
def test_in_a_tarball_of_others_it_writes_nothing_outside(
    run: Runner, tmp_path: Path, watched: set[str], name: str, first: bool
) -> None:
    """tar itself knows how to leave out what leads outside; the runner refuses what tar complains of."""
    usual = [entry("bin/say", SAY.encode(), mode=0o755), entry("conda-meta/history")]
    members = [*HOSTILE[name], *usual] if first else [*usual, *HOSTILE[name]]
    path = tmp_path / "hostile.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    for options in ([], ["-u", str(run.store / "env")]):
        done = run("-e", path, *options, "true")
        assert done.status in (0, 125)
        assert done.status == 0 or len(done.err.splitlines()) <= 2, done.err
        nothing_outside(run, watched | {str(run.store / "env")}) if not options else None
    assert not os.path.lexists(f"/tmp/{OUTSIDE}")
    assert not {path for path in around(run) - watched if not path.endswith("hostile.tar.gz")}
