"""JSON that is nested too deeply, wherever an environment may hold JSON: passed over as any other file that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from poncho.engine.conda_meta import read_records
from poncho.install import describe_prefix, editable_distributions
from tests.support.packages import members
from tests.support.prefixes import packed, small_prefix

PLACES = (
    "conda-meta/deep-1-0.json",
    "conda-meta/state",
    "etc/conda/env_vars.d/deep.json",
    "lib/python3.11/site-packages/thing-1.0.dist-info/direct_url.json",
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    prefix = small_prefix(tmp_path / "env")
    for place in PLACES:
        (prefix / place).parent.mkdir(parents=True, exist_ok=True)
        (prefix / place).write_text("[" * 100_000)
    return prefix


def test_an_environment_with_it_is_packed_and_the_rest_is_known(prefix: Path, tmp_path: Path) -> None:
    made = packed(prefix, tmp_path / "env.tar.gz")
    assert "bin/tool" in members(made.path)
    assert any("conda-meta/state" in line for line in made.warnings)


def test_an_environment_with_it_is_described_without_it(prefix: Path) -> None:
    assert [path.name for path, _ in read_records(prefix)] == ["thing-tools-2-h1_0.json"]
    assert [item.name for item in describe_prefix(prefix)[1].conda] == ["thing-tools"]
    assert editable_distributions(prefix) == ()
