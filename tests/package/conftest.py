"""A package to look into."""

from __future__ import annotations

from pathlib import Path

import pytest

from poncho.pack import PackedPackage
from tests.support.prefixes import packed, small_prefix
from tests.support.realpackage import real_package


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> PackedPackage:
    """Return a small package with a large file in it."""
    directory = tmp_path_factory.mktemp("small")
    prefix = small_prefix(directory / "env")
    (prefix / "share/large").write_bytes(bytes(range(256)) * (5 << 12) + b"end")
    (prefix / "empty directory").mkdir()
    return packed(prefix, directory / "env.tar.gz")


@pytest.fixture(scope="session")
def real(shared_directory: Path) -> Path:
    """Return a package with a Python in it, made by the real packer. Read only."""
    return real_package(shared_directory)
