"""The real conda, mamba or micromamba, where this machine has one (``PONCHO_TEST_CONDA``, or on PATH)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from poncho.engine import SolveRequest, native_platform
from poncho.engine.command import CommandEngine
from poncho.errors import BuildError, FetchError, ResolveError
from poncho.store import BuilderCache

COMMAND = os.environ.get("PONCHO_TEST_CONDA") or next(
    filter(None, map(shutil.which, ("conda", "mamba", "micromamba"))), None
)

pytestmark = pytest.mark.skipif(
    COMMAND is None, reason="no conda, mamba or micromamba here; set PONCHO_TEST_CONDA to one"
)


@pytest.fixture
def engine(tmp_path):
    return CommandEngine(Path(str(COMMAND)), BuilderCache(tmp_path / "cache"))


def solve(engine, channels, *specs, **options):
    request = SolveRequest(tuple(channels), specs, native_platform(), **options)
    return engine.solve(request, reporter=lambda event: None)


def test_it_solves_installs_and_the_environment_runs(engine, channel, tmp_path):
    records = solve(engine, [channel.url], "greet", "post-link-ok", "ladder", constraints=("ladder ==1.1",))
    assert {record.name: record.version for record in records}["ladder"] == "1.1"
    prefix = tmp_path / "env"
    engine.install(records, prefix, platform=native_platform(), offline=False, reporter=lambda event: None)
    subprocess.run([prefix / "bin" / "greet"], check=True, env={})
    assert (prefix / "share" / "post-link-ran.txt").exists()


def test_the_first_channel_wins(engine, channel):
    [record] = solve(engine, [channel.file_url, channel.second.file_url], "shadowed")
    assert record.version == "1.0"


def test_its_own_words_are_passed_on(engine, channel):
    with pytest.raises(ResolveError, match="ladder"):
        solve(engine, [channel.file_url], "wants-old-ladder", "wants-new-ladder")
    with pytest.raises(ResolveError, match="no-such-package"):
        solve(engine, [channel.file_url], "no-such-package")
    with pytest.raises(FetchError):
        solve(engine, ["file:///no/such/channel"], "ladder")


def test_a_post_link_script_that_fails_is_an_error(engine, channel, tmp_path):
    records = solve(engine, [channel.file_url], "post-link-fails")
    with pytest.raises(BuildError, match="post-link"):
        engine.install(
            records, tmp_path / "env", platform=native_platform(), offline=False, reporter=lambda event: None
        )
