"""benchmarks/thousand_nodes.py: its counting and its model, on cases that can be done by hand."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("thousand_nodes", BENCHMARKS / "thousand_nodes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_what_concerns_the_shared_directory_is_counted(bench: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        '7  openat(AT_FDCWD</x>, "/nfs/a", O_RDONLY) = 3</nfs/a>\n'
        "7  read(3</nfs/a>, "
        "..., 10 <unfinished ...>\n"
        '8  newfstatat(AT_FDCWD</x>, "/nfs/b", {...}, 0) = 0\n'
        "7  <... read resumed>) = 10\n"
        '7  openat(AT_FDCWD</x>, "/nfs/c", O_RDONLY) = -1 ENOENT (No such file or directory)\n'
        '7  openat(AT_FDCWD</x>, "/local/nfs/c", O_RDONLY) = 3</local/nfs/c>\n'
    )
    assert vars(bench.count(log, "/nfs")) == {"opens": 1, "failed_opens": 1, "stats": 1, "others": 0, "bytes": 10}


def test_a_server_shares_its_rate_evenly(bench: ModuleType) -> None:
    server = bench.Shared(10, 10)
    assert server.finish([(0, 10)]) == pytest.approx([1])
    assert server.finish([(0, 10), (0, 20)]) == pytest.approx([2, 3])
    assert server.finish([(0, 10), (1, 10)]) == pytest.approx([1, 2])
    assert bench.Shared(10, 2).finish([(0, 10), (0, 20)]) == pytest.approx([5, 10])


def test_the_number_of_holders_grows_by_powers(bench: ModuleType) -> None:
    site = bench.Site(nic=1.0, peers=3)
    done = bench.by_peers(site, 1.0, [0.0] * 16, bench.Shared(1, 1))
    assert sorted(done) == pytest.approx([1] + [4] * 3 + [7] * 12)


def test_the_facts_that_the_page_shows_can_be_simulated(bench: ModuleType) -> None:
    facts = json.loads((BENCHMARKS / "thousand_nodes.json").read_text())
    text, results = bench.tables(facts, bench.Site())
    last = {result.name: result.last for result in results}
    assert last["object store, newer package"] < last["object store, per node"] < last["object store, unpack per task"]
    page = (BENCHMARKS.parent / "docs/scale.md").read_text()
    assert all(line in page for line in text.splitlines())
