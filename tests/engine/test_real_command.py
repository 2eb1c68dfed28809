"""The real conda, mamba or micromamba, where this machine has one (``PONCHO_TEST_CONDA``, or on PATH)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from poncho.engine import SolveRequest, native_platform
from poncho.engine.command import CommandEngine
from poncho.errors import BuildError, FetchError, ResolveError
from poncho.store import BuilderCache
from tests.support import packages
from tests.support.cli import run_cli

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


def test_the_same_lock_gives_the_bytes_that_py_rattler_gives(channel, tmp_path):
    spec = {
        "conda": {
            "channels": [channel.url],
            "dependencies": [f"python={channel.python}", "greet", "text-prefix", "oddities"],
        }
    }
    lock, theirs, ours = tmp_path / "lock.json", tmp_path / "theirs.tar", tmp_path / "ours.tar"
    made = packages.create(spec, theirs, "--conda-executable", str(COMMAND), "--lock", str(lock))
    made.ok()
    locked = {package["name"] for package in json.loads(lock.read_text())["conda"]}
    assert locked == {"python", "greet", "text-prefix", "oddities"}, "nothing that was not asked for"
    run_cli("poncho_package_create", lock, ours, env={"PONCHO_CACHE_DIR": str(tmp_path / "other")}).ok()
    assert theirs.read_bytes() == ours.read_bytes()


def test_binaries_with_the_prefix_inside_run_elsewhere(channel, tmp_path):
    channel.require("prefix-tool")
    spec = {"conda": {"channels": [channel.url], "dependencies": ["prefix-tool"]}}
    made = packages.create(spec, tmp_path / "env.tar.gz", "--conda-executable", str(COMMAND))
    assert "compiled into" not in made.ok().stderr
    assert packages.run_in(tmp_path / "env.tar.gz", "prefix-tool").ok().stdout.startswith("/")


def test_channels_with_credentials_are_read_and_installed_from(engine, channel_server, tmp_path):
    for number, server in enumerate((channel_server(token="tok-hunter2"), channel_server(basic=("joe", "hunter2")))):
        records = solve(engine, [server.url_with_credentials], "ladder<1.1")
        assert records[0].url.startswith(server.url_with_credentials)
        prefix = tmp_path / f"env-{number}"
        engine.install(records, prefix, platform=native_platform(), offline=False, reporter=lambda event: None)
        assert not [path for path in prefix.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_offline_nothing_is_fetched(engine, channel, tmp_path):
    records = solve(engine, [channel.url], "ladder")
    with pytest.raises(FetchError, match="ladder") as caught:
        engine.install(records, tmp_path / "env", platform=native_platform(), offline=True, reporter=lambda event: None)
    assert "without --offline" in str(caught.value.hint)


def test_the_users_own_settings_change_nothing_of_what_is_solved(channel, tmp_path):
    own = tmp_path / ".condarc"
    own.write_text(
        "channels: [mine]\npinned_packages: [ladder=1.0]\nalways_softlink: true\nchannel_priority: disabled\n"
    )
    environ = {**os.environ, "CONDARC": str(own), "MAMBA_PINNED_PACKAGES": "ladder=1.0"}
    engine = CommandEngine(Path(str(COMMAND)), BuilderCache(tmp_path / "cache"), environ)
    [record] = solve(engine, [channel.url], "ladder")
    assert record.version == "2.0"


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


def test_of_two_packages_with_the_same_file_the_one_that_is_there_is_named(engine, channel, tmp_path):
    records = solve(engine, [channel.file_url], "clobber-one", "clobber-two")
    prefix, events = tmp_path / "env", []
    engine.install(records, prefix, platform=native_platform(), offline=False, reporter=events.append)
    word = (prefix / "share/clobbered.txt").read_text().strip()
    assert any(f"the one of clobber-{word} is installed" in event.message for event in events)
