"""py-rattler behind our seam, against the real test channel."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from poncho.engine import SolveRequest, native_platform
from poncho.engine.rattler import RattlerEngine
from poncho.engine.records import record_from_locked
from poncho.errors import BuildError, FetchError, ResolveError
from poncho.lock.model import LockedConda
from poncho.store import BuilderCache
from tests.support.conda_package import CondaPackage, File


def has_ended(pid):
    """Tell whether a process is gone, or goes within ten seconds."""
    for _ in range(1000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        threading.Event().wait(0.01)
    return False


def names(records):
    return {record.name: record.version for record in records}


def test_a_solve_gives_records_sorted_by_name_with_url_and_hash(bench, channel):
    records = bench.solve([channel.url], ["greet"])
    assert [record.name for record in records] == ["greet", "python"]
    python = records[1]
    assert python.url == f"{channel.url}/{channel.subdir}/{python.filename}"
    assert python.sha256 == channel.records("python")[0]["sha256"]
    assert python.version == channel.python_version
    assert python.record["depends"] == channel.records("python")[0]["depends"]


def test_the_folder_and_the_http_server_give_the_same_packages(bench, channel):
    over_http = bench.solve([channel.url], ["ladder"])
    from_folder = bench.solve([channel.file_url], ["ladder"])
    assert [(r.name, r.version, r.build, r.sha256) for r in over_http] == [
        (r.name, r.version, r.build, r.sha256) for r in from_folder
    ]


def test_the_first_channel_wins_even_if_a_later_one_has_a_newer_version(bench, channel):
    assert names(bench.solve([channel.file_url, channel.second.file_url], ["shadowed"])) == {"shadowed": "1.0"}
    assert names(bench.solve([channel.second.file_url, channel.file_url], ["shadowed"])) == {"shadowed": "2.0"}


def test_the_channel_of_a_channel_qualified_spec_is_used_without_being_listed(bench, channel):
    records = bench.solve([channel.file_url], [f"{channel.second.file_url}::shadowed", "ladder"])
    assert names(records) == {"shadowed": "2.0", "ladder": "2.0"}


def test_channel_names_resolve_below_the_channel_alias(tmp_path, channel):
    environ = {**os.environ, "CONDA_CHANNEL_ALIAS": channel.path.parent.as_uri()}
    engine = RattlerEngine(BuilderCache(tmp_path), environ)
    request = SolveRequest((channel.path.name,), (f"{channel.second.path.name}::shadowed",), native_platform())
    assert names(engine.solve(request, reporter=lambda event: None)) == {"shadowed": "2.0"}


def test_a_constraint_restricts_a_package_but_does_not_ask_for_it(bench, channel):
    records = bench.solve([channel.file_url], ["ladder"], constraints=("ladder ==1.1", "shadowed ==1.0"))
    assert names(records) == {"ladder": "1.1"}


def test_an_unsatisfiable_set_gives_the_solvers_own_words(bench, channel):
    with pytest.raises(ResolveError) as caught:
        bench.solve([channel.file_url], ["wants-old-ladder", "wants-new-ladder"])
    assert "ladder >=2" in caught.value.message
    assert "ladder <2" in caught.value.message
    assert caught.value.hint


def test_an_unknown_package_names_the_nearest_known_one(bench, channel):
    with pytest.raises(ResolveError, match="lader") as caught:
        bench.solve([channel.file_url], ["lader"])
    assert "did you mean ladder" in str(caught.value.hint)
    # The name is right there, the version is not.
    with pytest.raises(ResolveError, match="ladder >=99") as caught:
        bench.solve([channel.file_url], ["ladder>=99"])
    assert "loosen a version" in str(caught.value.hint)


def test_what_this_machine_lacks_is_said_and_can_be_overridden(bench, channel, tmp_path):
    with pytest.raises(ResolveError, match="__glibc >=999") as caught:
        bench.solve([channel.file_url], ["future"])
    assert "CONDA_OVERRIDE_" in str(caught.value.hint)
    assert bench.solve([channel.file_url], ["future"], virtual_packages=("__glibc=1000=0",))
    overridden = RattlerEngine(BuilderCache(tmp_path / "two"), {**os.environ, "CONDA_OVERRIDE_GLIBC": "1000"})
    assert "__glibc=1000=0" in overridden.virtual_packages(native_platform())


def test_a_match_spec_that_is_none_is_refused(bench, channel):
    with pytest.raises(ResolveError, match="not a conda match spec"):
        bench.solve([channel.file_url], ["python ===>"])


def test_an_unknown_platform_is_refused(bench, channel):
    with pytest.raises(ResolveError, match="'vax-32' is not a platform"):
        bench.solve([channel.file_url], ["ladder"], platform="vax-32")


@pytest.mark.parametrize("platform", ["noarch", "linux64"])
def test_a_word_that_is_nearly_a_platform_is_refused_as_one(bench, platform):
    with pytest.raises(ResolveError, match=f"'{platform}' is not a platform"):
        bench.engine.virtual_packages(platform)


def test_a_channel_that_is_missing_is_named(bench, channel_server):
    server = channel_server()
    with pytest.raises(FetchError, match=r"no-such-channel") as caught:
        bench.solve([f"{server.url}/no-such-channel"], ["ladder"])
    assert "channel's name or URL" in str(caught.value.hint)


def test_a_channel_out_of_reach_is_named_without_its_credentials(bench):
    with pytest.raises(FetchError) as caught:
        bench.solve(["http://user:hunter2@127.0.0.1:9/chan"], ["ladder"])
    assert "127.0.0.1:9/chan" in caught.value.message
    assert "hunter2" not in json.dumps(caught.value.to_json())


def test_credentials_work_and_stay_out_of_the_environment(bench, channel_server, tmp_path):
    server = channel_server(basic=("user", "hunter2"))
    records = bench.solve([server.url_with_credentials], ["text-prefix"])
    bench.install(records, tmp_path / "env")
    written = "".join(path.read_text() for path in tmp_path.joinpath("env", "conda-meta").iterdir())
    assert "127.0.0.1" in written
    assert "hunter2" not in written


def test_a_token_in_the_url_stays_out_of_the_environment(bench, channel_server, tmp_path):
    server = channel_server(token="tk-123-secret")
    bench.install(bench.solve([server.url_with_credentials], ["text-prefix"]), tmp_path / "env")
    written = "".join(path.read_text() for path in tmp_path.joinpath("env", "conda-meta").iterdir())
    assert "tk-123-secret" not in written


def test_netrc_gives_the_credentials(tmp_path, channel_server):
    server = channel_server(basic=("user", "hunter2"))
    host = server.address.partition(":")[0]
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {host}\nlogin user\npassword hunter2\n")
    netrc.chmod(0o600)
    engine = RattlerEngine(BuilderCache(tmp_path / "cache"), {**os.environ, "NETRC": str(netrc)})
    request = SolveRequest((server.url,), ("ladder",), native_platform())
    assert engine.solve(request, reporter=lambda event: None)


def test_an_installed_environment_runs(bench, channel, tmp_path):
    prefix = tmp_path / "an env"
    bench.install(bench.solve([channel.url], ["greet", "text-prefix"]), prefix)
    greeting = subprocess.run([prefix / "bin" / "greet"], capture_output=True, text=True, check=True, env={"PATH": ""})
    assert greeting.stdout.startswith("hello")
    assert (prefix / "etc" / "text-prefix.conf").read_text().startswith(f"root={prefix}\n")


def test_conda_meta_says_which_files_hold_the_prefix(bench, channel, tmp_path):
    bench.install(bench.solve([channel.file_url], ["text-prefix"]), tmp_path / "env")
    [path] = tmp_path.joinpath("env", "conda-meta").glob("text-prefix-*.json")
    entries = {entry["_path"]: entry for entry in json.loads(path.read_text())["paths_data"]["paths"]}
    assert entries["etc/text-prefix.conf"]["file_mode"] == "text"
    assert entries["etc/text-prefix.conf"]["prefix_placeholder"]
    assert "prefix_placeholder" not in entries["etc/plain.conf"]


def test_the_history_is_condas_and_does_not_depend_on_the_day(bench, channel, tmp_path):
    records = bench.solve([channel.file_url], ["ladder"])
    for name in ("one", "two"):
        bench.install(records, tmp_path / name)
    history = (tmp_path / "one" / "conda-meta" / "history").read_text()
    assert history == (tmp_path / "two" / "conda-meta" / "history").read_text()
    assert history.startswith("==> 20")
    assert f"+{channel.path.name}/noarch::ladder-2.0-" in history
    assert str(channel.path) not in history


def test_post_link_scripts_run_with_the_variables_that_conda_gives(bench, channel, tmp_path):
    prefix = tmp_path / "env"
    bench.install(bench.solve([channel.file_url], ["post-link-ok"]), prefix)
    assert (prefix / "share" / "post-link-ran.txt").read_text() == f"{prefix} post-link-ok 1.0\n"


def test_a_post_link_script_that_fails_is_an_error_with_its_output(bench, channel, tmp_path):
    with pytest.raises(BuildError, match=r"post-link-fails.*exit status 3.*fails on purpose") as caught:
        bench.install(bench.solve([channel.file_url], ["post-link-fails"]), tmp_path / "env")
    assert caught.value.context["tail"] == "the post-link script fails on purpose"


def test_a_file_that_two_packages_hold_is_a_warning_that_names_all_three(bench, channel, tmp_path):
    bench.install(bench.solve([channel.file_url], ["clobber-one", "clobber-two"]), tmp_path / "env")
    [warning] = bench.messages("warning")
    assert "share/clobbered.txt" in warning
    assert "clobber-one" in warning
    assert "clobber-two" in warning


def test_nothing_but_the_packages_and_conda_meta_is_in_the_prefix(bench, channel, tmp_path):
    bench.install(bench.solve([channel.file_url], ["ladder"]), tmp_path / "env")
    assert sorted(path.name for path in tmp_path.joinpath("env").iterdir()) == ["conda-meta", "share"]


def test_a_prefix_that_holds_something_is_refused(bench, channel, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match="is not empty"):
        bench.install(bench.solve([channel.file_url], ["ladder"]), tmp_path)


def test_a_package_whose_bytes_changed_is_refused(bench, channel, tmp_path, channel_server):
    copy = channel.copy(tmp_path / "channel")
    server = channel_server(copy)
    for url in (copy.as_uri(), server.url):
        records = bench.solve([url], ["ladder"])
        wrong = replace(records[0], sha256="0" * 64)
        with pytest.raises(FetchError, match="ladder"):
            bench.install((wrong,), tmp_path / "env")


@pytest.mark.parametrize("served", [False, True], ids=["file", "http"])
def test_a_package_known_by_its_md5_alone_is_not_taken_for_another_channels_of_the_same_name(
    bench, tmp_path, channel_server, served
):
    records = []
    for word in ("one", "two"):
        archive = CondaPackage("same", "1.0", {"share/same.txt": File(word.encode())}).write(tmp_path / word)
        url = channel_server(tmp_path / word).url if served else (tmp_path / word).as_uri()
        digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
        url = f"{url}/{native_platform()}/{archive.name}"
        records.append(LockedConda("same", "1.0", "h0_0", native_platform(), "", url, md5=digest))
    for number, (record, word) in enumerate([*zip(records, ("one", "two"), strict=True), (records[0], "one")]):
        bench.install((record,), tmp_path / f"env{number}", offline=number == 2)
        assert (tmp_path / f"env{number}" / "share" / "same.txt").read_text() == word
        installed = json.loads((tmp_path / f"env{number}" / "conda-meta" / "same-1.0-h0_0.json").read_text())
        assert installed["url"] == record.url
    with pytest.raises(FetchError, match="same-1"):
        bench.install((replace(records[0], md5=records[1].md5),), tmp_path / "wrong")


def test_a_package_that_the_server_lost_is_named(bench, channel_server, tmp_path):
    server = channel_server()
    records = bench.solve([server.url], ["ladder"])
    server.faults[records[0].filename] = 404
    with pytest.raises(FetchError, match=records[0].filename):
        bench.install(records, tmp_path / "env")


def test_offline_uses_what_an_earlier_build_fetched_and_says_what_is_missing(bench, channel_server, tmp_path):
    server = channel_server()
    records = bench.solve([server.url], ["ladder"])
    bench.install(records, tmp_path / "one")
    other = bench.solve([server.url], ["shadowed"])
    before = len(server.requests)
    assert bench.solve([server.url], ["ladder"], offline=True) == records
    bench.install(records, tmp_path / "two", offline=True)
    with pytest.raises(FetchError, match=r"offline.*shadowed-1\.0"):
        bench.install(other, tmp_path / "three", offline=True)
    assert len(server.requests) == before


def test_offline_without_a_cache_is_a_clear_error(bench, channel_server):
    with pytest.raises(FetchError) as caught:
        bench.solve([channel_server().url], ["ladder"], offline=True)
    assert "--offline" in str(caught.value.hint)


def test_a_lock_entry_without_a_record_installs_too(bench, channel, tmp_path):
    [record] = bench.solve([channel.file_url], ["ladder"])
    bench.install((replace(record, record={}),), tmp_path / "env")
    assert (tmp_path / "env" / "share" / "ladder.txt").exists()


def test_the_url_of_an_entry_wins_over_the_one_in_its_record(bench, channel):
    [record] = bench.solve([channel.file_url], ["ladder"])
    moved = replace(record, url="https://mirror.example/noarch/ladder-2.0-h0_0.conda")
    assert record_from_locked(moved)["url"] == moved.url


def test_the_callers_python_settings_do_not_reach_the_worker(tmp_path, channel):
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "json.py").write_text("raise SystemExit('the trap was imported')\n")
    environ = {**os.environ, "PYTHONPATH": str(trap), "PYTHONHOME": "/nowhere"}
    engine = RattlerEngine(BuilderCache(tmp_path / "cache"), environ)
    request = SolveRequest((channel.file_url,), ("ladder",), native_platform())
    assert engine.solve(request, reporter=lambda event: None)


def test_two_builders_can_share_the_cache(tmp_path, channel):
    engine = RattlerEngine(BuilderCache(tmp_path / "cache"))
    request = SolveRequest((channel.url,), ("greet", "numpy"), native_platform())
    failures = []

    def build(name):
        try:
            records = engine.solve(request, reporter=lambda event: None)
            prefix = tmp_path / name
            engine.install(records, prefix, platform=native_platform(), offline=False, reporter=lambda event: None)
            subprocess.run([prefix / "bin" / "python", "-c", "import numpy"], check=True, env={})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=build, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_an_interrupted_install_leaves_no_process_behind(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from poncho.engine import SolveRequest, native_platform\n"
        "from poncho.engine.rattler import RattlerEngine\n"
        "from poncho.store import BuilderCache\n"
        "channel, directory = sys.argv[1:]\n"
        "engine = RattlerEngine(BuilderCache(Path(directory, 'cache')))\n"
        "records = engine.solve(SolveRequest((channel,), ('slow',), native_platform()), reporter=lambda event: None)\n"
        "tell = lambda event: print(event.message, flush=True)\n"
        "engine.install(records, Path(directory, 'env'), platform=native_platform(), offline=False, reporter=tell)\n"
    )
    from tests.support.conda_package import CondaPackage, index, text

    slow = '#!/bin/sh\necho $$ > "$PREFIX/pid"\nsleep 600\n'
    files = {"bin/.slow-post-link.sh": text(slow, executable=True)}
    CondaPackage("slow", "1.0", files).write(tmp_path / "channel")
    (tmp_path / "channel" / "noarch").mkdir(exist_ok=True)
    index(tmp_path / "channel")
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-c", code, (tmp_path / "channel").as_uri(), str(tmp_path)]
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "post-link" in line:
                break
        pid = tmp_path / "env" / "pid"
        while not (pid.exists() and pid.read_text().strip()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert has_ended(int(pid.read_text()))
