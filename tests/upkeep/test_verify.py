"""What is damaged in the builder's cache is found, whatever kind of thing it is; what is whole is left alone."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest

from poncho.install.slots import Slot
from poncho.pack import PackOptions, pack
from poncho.store import BuilderCache
from poncho.store.stamps import take_stamps
from poncho.upkeep import inventory, prune, verify
from tests.support.faults import flip
from tests.support.prefixes import small_prefix


@pytest.fixture
def cache(tmp_path: Path) -> BuilderCache:
    return BuilderCache(tmp_path / "cache")


@pytest.fixture
def packed(cache: BuilderCache, tmp_path: Path) -> Path:
    """Return a package in the cache; packing it left blocks and looks there, too."""
    prefix = small_prefix(tmp_path / "prefix")
    target = cache.directory("packages") / "env.tar.gz"
    os.utime(prefix / "lib/plain.txt", (1, 1))
    pack(prefix, target, spec_text="{}\n", lock_text="{}\n", options=PackOptions(), cache=cache)
    return target


def wrong(cache: BuilderCache, *buckets: str, delete: bool = True) -> list[tuple[str, str, bool]]:
    found = verify(cache, buckets=buckets or None, delete=delete).damaged
    return [(one.item.bucket, one.what, one.deleted) for one in found]


def test_a_block_with_one_other_bit_is_found_and_made_again(cache: BuilderCache, packed: Path, tmp_path: Path) -> None:
    assert wrong(cache) == []
    content = packed.read_bytes()
    victim = next((cache.root / "blocks").glob("*/*"))
    flip(victim)
    assert wrong(cache, "blocks", delete=False) == [("blocks", "does not match its checksum", False)]
    assert victim.exists()
    assert wrong(cache) == [("blocks", "does not match its checksum", True)]
    pack(tmp_path / "prefix", packed, spec_text="{}\n", lock_text="{}\n", cache=cache)
    assert packed.read_bytes() == content
    assert wrong(cache) == []


def test_a_package_with_one_other_bit_is_found(cache: BuilderCache, packed: Path) -> None:
    flip(packed)
    ((bucket, _, deleted),) = wrong(cache)
    assert (bucket, deleted) == ("packages", True)
    assert not packed.exists()


def test_an_environment_that_was_touched_is_found_and_one_that_is_not_whole_is_not_judged(cache: BuilderCache) -> None:
    slot = Slot(cache.directory("environments") / "abc-def")
    (slot.prefix / "bin").mkdir(parents=True)
    assert verify(cache).unverifiable["environments"] == 1
    slot.write_state({}, take_stamps(slot.prefix))
    assert verify(cache).right["environments"] == 1
    (slot.prefix / "bin" / "more").write_text("")
    with slot.lock() as lock:
        lock.shared()
        assert wrong(cache) == [("environments", "was changed since it was built", False)]
        assert slot.prefix.exists()
    assert wrong(cache) == [("environments", "was changed since it was built", True)]
    assert not slot.path.exists()


def test_an_environment_that_a_builder_changes_is_not_judged(cache: BuilderCache) -> None:
    slot = Slot(cache.directory("environments") / "abc-def")
    slot.prefix.mkdir(parents=True)
    slot.write_state({}, take_stamps(slot.prefix))
    with slot.lock() as lock:
        lock.exclusive()
        (slot.prefix / "more").write_text("")
        assert verify(cache).unverifiable["environments"] == 1
    assert wrong(cache) == [("environments", "was changed since it was built", True)]


@pytest.mark.parametrize(("at", "bit"), [(6, 0), (8, 6)], ids=["encrypted", "packed in no known way"])
def test_a_wheel_of_own_modules_with_one_other_bit_is_found(cache: BuilderCache, at: int, bit: int) -> None:
    wheel = cache.directory("modules") / "own-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("own.py", "value = 1\n")
    assert wrong(cache) == []
    data = bytearray(wheel.read_bytes())
    data[data.index(b"PK\1\2") + at + 2] ^= 1 << bit
    wheel.write_bytes(data)
    assert wrong(cache, delete=False) == [("modules", "is no wheel", False)]


def test_an_interpreter_whose_package_is_not_what_its_index_says_is_found(cache: BuilderCache) -> None:
    base = cache.directory("base/0123")
    (base / "noarch").mkdir()
    (base / "noarch" / "p-1-0.conda").write_bytes(b"content")
    record = {"sha256": hashlib.sha256(b"content").hexdigest()}
    (base / "noarch" / "repodata.json").write_text(json.dumps({"packages.conda": {"p-1-0.conda": record}}))
    assert wrong(cache, delete=False) == [("base", "is not whole", False)]
    (base / "base.json").write_text("{}")
    assert wrong(cache) == []
    (base / "noarch" / "p-1-0.conda").write_bytes(b"other")
    assert wrong(cache) == [("base", "p-1-0.conda does not match its digest", True)]


def test_a_conda_package_that_lost_a_file_is_found_but_not_while_builders_run(cache: BuilderCache) -> None:
    unpacked = cache.directory("conda/pkgs/p-1-0")
    (unpacked / "info").mkdir()
    (unpacked / "file").write_bytes(b"content")
    listed = {"paths": [{"_path": "file", "sha256": hashlib.sha256(b"content").hexdigest()}]}
    (unpacked / "info" / "paths.json").write_text(json.dumps(listed))
    assert wrong(cache) == []
    (unpacked / "file").unlink()
    with cache.in_use():
        assert verify(cache).skipped == ("conda",)
    assert wrong(cache) == [("conda", "file is missing", True)]


def test_sizes_count_what_deleting_sets_free(cache: BuilderCache) -> None:
    wheel = cache.directory("pip/uv/archive-v0/abc") / "big.so"
    wheel.write_bytes(b"x" * 1_000_000)
    prefix = cache.directory("environments/abc-def/env")
    os.link(wheel, prefix / "big.so")
    (prefix / "own.txt").write_bytes(b"y" * 10_000)
    sizes = {name: sum(item.size for item in items) for name, items in inventory(cache).items()}
    assert 10_000 <= sizes["environments"] < 100_000
    assert sizes["pip"] >= 1_000_000
    prune(cache, everything=True)
    assert inventory(cache) == {"environments": [], "pip": []}
