"""Plain lines for logs, lines of JSON for programs, and a dry run."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from poncho._types import Event
from poncho._words import counted, human_bytes, human_seconds
from poncho.cli.events import JsonLines
from poncho.cli.plain import Detail, plain
from tests.support.channel import Channel
from tests.support.cli import CHECKOUT, command_path, environment, run_cli
from tests.support.faults import wait_for
from tests.support.httpserver import HttpServer

SCHEMA = json.loads((CHECKOUT / "docs" / "events.schema.json").read_text())
COMMAND = "poncho_package_create"


def test_a_ci_job_gets_one_line_for_each_step_with_its_duration(small_spec: Path) -> None:
    done = run_cli(COMMAND, small_spec, small_spec.parent / "env.tar.gz", env={"CI": "true"}).ok()
    lines = done.stderr.splitlines()
    for step in ("data", "solve", "install", "pack"):
        mine = [row for row in lines if row.startswith(f"{COMMAND}: {step}: ")]
        assert len(mine) == 1, done.stderr
        assert mine[0].endswith(" s)")
    assert done.stdout == ""


def test_elsewhere_a_build_is_one_line(small_spec: Path) -> None:
    done = run_cli(COMMAND, small_spec, small_spec.parent / "env.tar.gz", env={"CI": None}).ok()
    assert len(done.stderr.splitlines()) == 1
    chosen = run_cli(COMMAND, "--progress", "plain", small_spec, small_spec.parent / "env.tar.gz").ok()
    assert len(chosen.stderr.splitlines()) > 3
    none = run_cli(COMMAND, "--progress", "none", "-v", small_spec, small_spec.parent / "env.tar.gz").ok()
    assert len(none.stderr.splitlines()) == 1


def test_a_step_that_takes_long_says_how_far_it_is() -> None:
    stream = io.StringIO()
    with plain("prog", Detail(), every=0.05, stream=stream) as report:
        report(Event("start", "fetch", "48 packages"))
        for number in range(1, 40):
            report(Event("progress", "fetch", done=number * 1_000_000, total=61_000_000, unit="bytes"))
            time.sleep(0.02)
        wait_for(lambda: stream.getvalue().count("\n") > 3)
        report(Event("done", "fetch", "48 packages"))
    lines = stream.getvalue().splitlines()
    assert any("MB of 61.0 MB" in row and "/s" in row and "left" in row and "so far)" in row for row in lines), lines
    assert all(row.startswith("prog: fetch: ") for row in lines)


def test_an_end_stops_the_lines() -> None:
    stream = io.StringIO()
    with plain("prog", Detail(), every=0.01, stream=stream) as report:
        report(Event("start", "pack", "packing"))
        wait_for(lambda: stream.getvalue())
    before = stream.getvalue()
    time.sleep(0.05)
    assert stream.getvalue() == before


def test_events_are_lines_of_json_and_the_result_is_the_last(small_spec: Path) -> None:
    output = small_spec.parent / "env.tar.gz"
    done = run_cli(COMMAND, "--progress", "json", "--json", small_spec, output).ok()
    events = [json.loads(row) for row in done.stderr.splitlines()]
    for event in events:
        jsonschema.validate(event, SCHEMA)
    assert events[-1]["event"] == "result"
    assert events[-1]["result"] == json.loads(done.stdout)
    times = [event["time"] for event in events[:-1]]
    assert times == sorted(times)
    ended = {event["step"] for event in events if event["event"] == "done"}
    assert {"data", "solve", "install", "pack"} <= ended
    assert any(event["event"] == "progress" and event["unit"] == "bytes" for event in events)


def test_an_error_is_the_last_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"pips": []}')
    done = run_cli(COMMAND, "--progress", "json", tmp_path / "spec.json", tmp_path / "env.tar.gz").failed()
    last = json.loads(done.stderr.splitlines()[-1])
    jsonschema.validate(last, SCHEMA)
    assert (last["event"], last["error"]) == ("error", "spec")


def test_an_interruption_is_the_last_line_of_json(tmp_path: Path) -> None:
    with HttpServer() as web:
        web.put("/a.bin", os.urandom(900_000), stall_after=400_000, stall_seconds=30)
        (tmp_path / "spec.json").write_text(json.dumps({"http": {"A": {"url": web.url("/a.bin")}}}))
        process = subprocess.Popen(
            [command_path(COMMAND), "--progress", "json", tmp_path / "spec.json", tmp_path / "env.tar.gz"],
            env=environment({"PONCHO_CACHE_DIR": tmp_path / "cache"}),
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: web.bytes_sent > 300_000)
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=30)
    last = json.loads(words.splitlines()[-1])
    jsonschema.validate(last, SCHEMA)
    assert last == {"event": "interrupted", "signal": "SIGTERM", "message": "nothing was written"}
    assert process.returncode == 143


def test_progress_comes_a_few_times_a_second_and_all_else_at_once() -> None:
    stream = io.StringIO()
    report = JsonLines(stream)
    threads = [
        threading.Thread(
            target=lambda name=name: [
                report(Event("progress", "data", done=number, total=5000, unit="bytes", item=name))
                for number in range(5000)
            ]
        )
        for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(50):
        report(Event("info", "pip", f"{number}"))
    events = [json.loads(row) for row in stream.getvalue().splitlines()]
    assert sum(event["event"] == "info" for event in events) == 50
    assert sum(event["event"] == "progress" for event in events) < 300


def test_no_secret_is_in_an_event(tmp_path: Path) -> None:
    with HttpServer() as web:
        web.put("/a.bin", b"x", basic=("me", "canary7"))
        (tmp_path / "spec.json").write_text(json.dumps({"http": {"A": {"url": web.url("/a.bin", user="me:canary7")}}}))
        for how in ("json", "plain"):
            done = run_cli(COMMAND, "--progress", how, "-v", tmp_path / "spec.json", tmp_path / "env.tar.gz").ok()
            assert "canary7" not in done.stderr


class TestDryRun:
    def test_it_shows_what_would_be_packed_with_sizes_and_builds_nothing(self, small_spec: Path) -> None:
        root = small_spec.parent
        changes = {"PONCHO_CACHE_DIR": root / "cache"}
        done = run_cli(COMMAND, small_spec, "--dry-run", env=changes).ok()
        rows = {row.split()[1]: row for row in done.stdout.splitlines()[1:-1]}
        assert {"ladder", "text-prefix", "EVENTS"} == set(rows)
        assert " 1.2 " in rows["ladder"]
        assert "cached" not in rows["ladder"]
        assert "3.0 MB" in rows["EVENTS"]
        assert "to download" in done.stdout.splitlines()[-1]
        assert list(root.glob("*.tar.gz")) == list((root / "cache" / "tmp").iterdir()) == []
        assert run_cli(COMMAND, small_spec, root / "env.tar.gz", env=changes).ok()
        again = run_cli(COMMAND, small_spec, "--dry-run", env=changes).ok()
        assert again.stdout.count("cached") == 4
        assert "3 parts, 3 cached: 0 B to download" in again.stdout

    def test_as_json_it_is_the_lock_and_the_sizes(self, small_spec: Path, channel: Channel) -> None:
        changes = {"PONCHO_CACHE_DIR": small_spec.parent / "cache"}
        facts = json.loads(run_cli(COMMAND, small_spec, "--dry-run", "--json", env=changes).ok().stdout)
        parts = {part["name"]: part for part in facts["parts"]}
        record = next(one for one in channel.records("ladder") if one["version"] == "1.2")
        assert parts["ladder"]["download"] == record["size"]
        assert (parts["ladder"]["cached"], parts["ladder"]["measured"]) == (False, False)
        assert facts["total"]["download_bytes"] == sum(p["download"] for p in facts["parts"] if not p["cached"])
        # The lock is one: it can be built.
        (small_spec.parent / "lock.json").write_text(json.dumps(facts["lock"]))
        run_cli(COMMAND, small_spec.parent / "lock.json", small_spec.parent / "env.tar.gz", env=changes).ok()
        after = json.loads(run_cli(COMMAND, small_spec, "--dry-run", "--json", env=changes).ok().stdout)
        ladder = next(part for part in after["parts"] if part["name"] == "ladder")
        assert (ladder["cached"], ladder["measured"]) == (True, True)
        assert after["lock"] == facts["lock"]

    @pytest.mark.network
    def test_sizes_of_wheels_that_the_lock_does_not_know_are_asked_for(self, tmp_path: Path) -> None:
        (tmp_path / "spec.json").write_text('{"pip": ["six==1.16.0"]}')
        changes = {"PONCHO_CACHE_DIR": tmp_path / "cache"}
        facts = json.loads(run_cli(COMMAND, tmp_path / "spec.json", "--dry-run", "--json", env=changes).ok().stdout)
        six = next(part for part in facts["parts"] if part["name"] == "six")
        assert (six["version"], six["download"], six["cached"]) == ("1.16.0", 11053, False)
        run_cli(COMMAND, tmp_path / "spec.json", tmp_path / "env.tar.gz", env=changes).ok()
        facts = json.loads(run_cli(COMMAND, tmp_path / "spec.json", "--dry-run", "--json", env=changes).ok().stdout)
        six = next(part for part in facts["parts"] if part["name"] == "six")
        assert (six["cached"], six["measured"]) == (True, True)

    def test_a_directory_may_be_the_output_and_a_suffix_of_something_else_may_not(self, small_spec: Path) -> None:
        root = small_spec.parent
        (root / "env").mkdir()
        changes = {"PONCHO_CACHE_DIR": root / "cache"}
        run_cli(COMMAND, small_spec, f"{root}/env/", "--dry-run", env=changes).ok()
        refused = run_cli(COMMAND, small_spec, root / "env.zip", "--dry-run", env=changes).failed()
        assert "PONCHO writes no .zip files" in refused.stderr

    def test_without_output_there_is_nothing_to_build(self, small_spec: Path) -> None:
        done = run_cli(COMMAND, small_spec).failed()
        assert done.returncode == 2
        assert "OUTPUT" in done.stderr.splitlines()[0]
        assert "hint:" in done.stderr.splitlines()[1]


def test_numbers_are_in_words_that_people_use() -> None:
    assert [counted(n, "package") for n in (0, 1, 2)] == ["0 packages", "1 package", "2 packages"]
    assert [counted(n, "repository") for n in (1, 3)] == ["1 repository", "3 repositories"]
    assert [human_bytes(n) for n in (0, 999, 999_999, 999_950_000, 1_234_000_000_000)] == [
        *("0 B", "999 B", "1.0 MB", "1.0 GB", "1234.0 GB")
    ]
    assert [human_seconds(s) for s in (0, 9.94, 9.96, 59.6, 61, 3600, 7500)] == [
        *("0.0 s", "9.9 s", "10 s", "1 min 00 s", "1 min 01 s", "1 h 00 min", "2 h 05 min")
    ]


def test_one_package_is_one_package(channel: Channel, tmp_path: Path) -> None:
    spec = json.dumps({"conda": {"channels": [channel.file_url], "dependencies": ["ladder=1.2"]}})
    done = run_cli(COMMAND, "-v", "-", tmp_path / "env.tar.gz", stdin=spec).ok()
    assert "solve: 1 conda package" in done.stderr
    assert "1 conda packages" not in done.stderr
