"""The benchmark that README and docs/performance.md name still runs, and says what it claims to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import CHECKOUT, environment
from tests.support.faults import FULL

# Minutes each: the others are the sample.
_LONG = pytest.mark.skipif(not FULL, reason="with PONCHO_TEST_FULL=1 only")


@_LONG
@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_the_whole_path_prints_every_comparison(tmp_path: Path) -> None:
    times = tmp_path / "times.json"
    argv = [sys.executable, str(CHECKOUT / "benchmarks" / "whole_path.py"), "--quick", "--json", str(times)]
    # Its work goes to the tests' own directory; the package index stays reachable by the environment's settings.
    env = environment({"TMPDIR": tmp_path, "PONCHO_STORE": None, "PONCHO_CACHE_DIR": None})
    run = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]

    measured = json.loads(times.read_text())
    assert measured["machine"]["cores"] >= 1
    create, pack, *runs, many = measured["sections"]
    assert len(create["rows"]) == 3
    assert [row["size"] > 1_000_000 for row in pack["rows"]] == [True] * 5
    assert [len(section["rows"]) for section in (*runs, many)] == [6, 6, 4]
    for section in measured["sections"]:
        assert f"## {section['title']}\n" in run.stdout
        for row in section["rows"]:
            assert row["name"] in run.stdout
            assert 0 < row["minimum"] <= row["median"]
            assert section["against"] is None or row["ratio"] > 0
    assert not [path.name for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_the_start_prints_every_comparison(tmp_path: Path) -> None:
    times = tmp_path / "times.json"
    argv = [sys.executable, str(CHECKOUT / "benchmarks" / "run_start.py"), "--small", "--json", str(times)]
    env = environment({"TMPDIR": tmp_path, "PONCHO_STORE": None, "PONCHO_CACHE_DIR": None})
    run = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]

    cold, *warm = json.loads(times.read_text())["sections"]
    assert [len(section["rows"]) for section in (cold, *warm)] == [4, 6, 6, 6]
    assert all(0 < row["minimum"] <= row["median"] for section in (cold, *warm) for row in section["rows"])
    assert "Cold: " in run.stdout
    assert run.stdout.count("Warm, ") == 3
    assert not [path.name for path in tmp_path.iterdir() if path.is_dir()]


@_LONG
@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_packing_prints_every_comparison(tmp_path: Path) -> None:
    times = tmp_path / "times.json"
    argv = [sys.executable, str(CHECKOUT / "benchmarks" / "pack.py"), "--small", "--json", str(times)]
    env = environment({"TMPDIR": tmp_path, "PONCHO_STORE": None, "PONCHO_CACHE_DIR": None})
    run = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]

    (section,) = json.loads(times.read_text())["sections"]
    assert len(section["rows"]) == 11
    assert all(row["size"] > 1_000_000 and row["ratio"] > 0 for row in section["rows"])
    assert "byte-identical to one without: yes" in run.stdout
    assert not [path.name for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.slow
def test_the_benchmark_of_analysing_prints_every_comparison(tmp_path: Path) -> None:
    times = tmp_path / "times.json"
    argv = [sys.executable, str(CHECKOUT / "benchmarks" / "analyze_speed.py"), "--small", "--json", str(times)]
    env = environment({"TMPDIR": tmp_path, "PONCHO_CACHE_DIR": None})
    run = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    rows = json.loads(times.read_text())["rows"]
    assert len(rows) == 5
    assert all(row["wall"] and row["work"][0] > 0 for row in rows)
    assert "ours, again" in run.stdout


@_LONG
@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_building_again_prints_every_comparison(tmp_path: Path) -> None:
    times = tmp_path / "times.json"
    argv = [sys.executable, str(CHECKOUT / "benchmarks" / "rebuild.py"), "--small", "--json", str(times)]
    env = environment({"TMPDIR": tmp_path, "PONCHO_STORE": None, "PONCHO_CACHE_DIR": None})
    run = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]

    whole, packing = json.loads(times.read_text())["sections"]
    assert [len(section["rows"]) for section in (whole, packing)] == [4, 3]
    assert all(0 < row["minimum"] <= row["median"] for section in (whole, packing) for row in section["rows"])
    assert "each byte-identical to another build of it: yes" in run.stdout
    assert not [path.name for path in tmp_path.iterdir() if path.is_dir()]


@_LONG
@pytest.mark.slow
@pytest.mark.network
def test_the_benchmark_of_applications_starts_two_of_them(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    argv = [
        sys.executable,
        str(CHECKOUT / "benchmarks" / "applications.py"),
        "--small",
        "--work",
        str(tmp_path / "work"),
    ]
    env = environment({"TMPDIR": tmp_path, "PONCHO_STORE": None, "PONCHO_CACHE_DIR": None})
    run = subprocess.run(
        [*argv, "--json", str(found)], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    results = json.loads(found.read_text())["results"]
    assert [(one["name"], one["way"], one["started"], one["missing"]) for one in results] == [
        ("pip-tools", "entry", True, ""),
        ("pip-tools", "directory", True, ""),
        ("tldr", "entry", True, ""),
        ("tldr", "directory", True, ""),
    ]
    assert all(one["ours"] and one["declared"] for one in results)
    assert "| **tuning** | " in run.stdout
