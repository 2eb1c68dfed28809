"""Environments to pack."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from filelock import FileLock

from poncho.pack import PackedPackage, known
from poncho.store import BuilderCache
from tests.support.channel import Channel
from tests.support.prefixes import packed, small_prefix
from tests.support.reference_engine import make_environment


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return a small prefix, written by hand."""
    return small_prefix(tmp_path / "env")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuilderCache:
    """Return an empty cache, for files that may have been changed just now."""
    monkeypatch.setattr(known, "_RACY_NS", 0)
    monkeypatch.setattr(known, "_RACY_SECONDS_NS", 0)
    return BuilderCache(tmp_path / "cache")


@pytest.fixture(scope="session")
def conda_prefix(channel: Channel, shared_directory: Path) -> Path:
    """Return a real conda environment that poncho did not make. Read only: all tests share it."""
    target = shared_directory / "pack-environment"
    done = shared_directory / "pack-environment.done"
    with FileLock(shared_directory / "pack-environment.lock"):
        if not done.exists():
            specs = ["python", "numpy", "pip", "greet", "text-prefix", "activation", "oddities"]
            if "prefix-tool" in {path.name.rsplit("-", 2)[0] for path in channel.path.rglob("*.conda")}:
                specs.append("prefix-tool")
            make_environment(target, [channel.file_url], specs)
            done.touch()
    return target


@pytest.fixture(scope="session")
def conda_package(conda_prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedPackage:
    """Return the real environment, packed."""
    return packed(conda_prefix, tmp_path_factory.mktemp("packed") / "env.tar.gz")


@pytest.fixture
def other_pythons() -> list[str]:
    """Return this machine's interpreters, besides the one that runs the tests."""
    roots = [Path("/usr/bin"), *Path(sys.base_prefix).parent.glob("*/bin")]
    found = {
        path.resolve()
        for root in roots
        for path in root.glob("python3.[0-9]*")
        if path.name[7:].replace(".", "").isdigit()
    }
    return sorted(map(str, found))
