"""Hazard 8: a package that was cut off or whose bits have changed is refused before anything is published."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.support.faults import count
from tests.support.handmade import tree
from tests.support.runner import Runner


def content(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return what is in an environment, its state left out."""
    return {name: found for name, found in tree(root).items() if not name.startswith("poncho/state")}


@pytest.fixture
def scratch(run: Runner, real: Path) -> tuple[Path, dict[str, tuple[int, bytes]]]:
    """Return a place for the damaged package, and what the sound one holds at the store's place."""
    run("-e", real).ok()
    root = run.store / run.unpacked()[0]
    whole = content(root)
    shutil.rmtree(run.store)
    run.store.mkdir()
    return run.directory / "damaged.tar.gz", whole


def test_a_truncated_package_is_refused(run: Runner, real: Path, scratch: tuple[Path, object]) -> None:
    path, _ = scratch
    data = real.read_bytes()
    dice = random.Random(8)
    cuts = [0, 1, 17, 60, 95, 250, len(data) - 1, len(data) - 100, len(data) - 1000]
    cuts += [dice.randrange(len(data)) for _ in range(500)]
    for size in cuts[: count(20, 500)]:
        path.write_bytes(data[:size])
        run("-e", path, "true").refused()
        assert run.unpacked() == run.leftovers() == [], size


def test_a_flipped_bit_is_refused_or_means_nothing(
    run: Runner, real: Path, scratch: tuple[Path, dict[str, tuple[int, bytes]]]
) -> None:
    """What gzip and tar do not care about (a time, the operating system's number) may go unseen; then all is as it was."""
    path, whole = scratch
    data = real.read_bytes()
    dice = random.Random(9)
    accepted = []
    places = [*range(0, 300, 12), *(dice.randrange(len(data)) for _ in range(500))]
    for place in places[:: count(22, 1)][:500]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        outcome = run("-e", path, "true")
        if outcome.status == 0:
            (name,) = run.unpacked()
            # The digest itself may have changed where nobody can compare it; the files must be the right ones.
            found = content(run.store / name)
            same = {key for key in whole if found.get(key) == whole[key]}
            assert whole.keys() == found.keys(), place
            assert {key for key in whole if key not in same} <= {"bin/where", "etc/settings"}, place
            accepted.append(place)
            shutil.rmtree(run.store / name)
        else:
            outcome.refused()
        assert "Traceback" not in outcome.err
        assert run.unpacked() == run.leftovers() == [], place
    assert len(accepted) <= len(places) // 20, accepted


def test_bytes_after_the_end_or_before_the_beginning_are_refused(
    run: Runner, real: Path, scratch: tuple[Path, object]
) -> None:
    path, _ = scratch
    data = real.read_bytes()
    for damaged in (b"\0" + data, b"\x1f\x8b" + data, data + os.urandom(100), data[:5000] + data[5001:], data + data):
        path.write_bytes(damaged)
        run("-e", path, "true").refused()
        assert run.unpacked() == run.leftovers() == []
