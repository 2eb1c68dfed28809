"""What goes wrong on a user's side is met with one clear line that says where, and a hint; never with a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import Finished, command_path, environment, run_cli
from tests.support.server import FileServer, serve

Json = dict[str, Any]


def one_clear_line(done: Finished, *words: str) -> None:
    """Check that a command failed with an error line that holds ``words``, and said no more than that and a hint."""
    lines = [line for line in done.failed().stderr.splitlines() if line and "warning:" not in line]
    error = [line for line in lines if "error:" in line]
    assert len(error) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"conda": {"chanels": ["a"]}}', ["/conda/chanels", "channels"]),
        ('{"condaa": {}}', ["condaa", "conda"]),
        ('{"conda": {"channels": "conda-forge"}}', ["/conda/channels"]),
        ('{"pip": {"six": "1"}}', ["/pip"]),
        ('{"pip": ["six"', ["line 1", "column"]),
        ('{\n"pip": ["six"],\n}', ["line ", "column"]),
        ("", ["empty"]),
        ('{"http": {"DATA": {"type": "file"}}}', ["/http/DATA", "url"]),
        ('{"git": {"DATA": {"remote": 7}}}', ["/git/DATA/remote"]),
        ('{"pip": ["six =="]}', ["/pip/0", "six =="]),
    ],
)
def test_a_spec_that_cannot_be_understood(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "spec.json").write_text(text)
    one_clear_line(
        run_cli("poncho_package_create", tmp_path / "spec.json", tmp_path / "out.tar.gz"), "spec.json", *words
    )
    assert not (tmp_path / "out.tar.gz").exists()


def test_an_error_as_json_for_programs(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"condaa": {}}')
    done = run_cli("poncho_package_create", tmp_path / "spec.json", tmp_path / "out.tar.gz", "--json").failed()
    error = json.loads(done.stderr)
    assert error["error"] == "spec"
    assert error["context"]["pointer"] == "/condaa"
    assert error["hint"]


@pytest.mark.network
def test_a_pip_requirement_that_nothing_satisfies(tmp_path: Path) -> None:
    one_clear_line(packages.create({"pip": ["six==99.99"]}, tmp_path / "out.tar.gz"), "six", "99.99")


@pytest.mark.network
def test_pip_and_conda_that_want_different_versions_are_both_named(channel: Channel, tmp_path: Path) -> None:
    version = channel.records("pyyaml")[0]["version"]
    conda = {"channels": [channel.file_url], "dependencies": [f"python={channel.python}", "pip", "pyyaml"]}
    done = packages.create({"conda": conda, "pip": ["pyyaml==6.0"]}, tmp_path / "out.tar.gz")
    one_clear_line(done, "pyyaml", "6.0", str(version))


def test_a_channel_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spec = {"conda": {"channels": [f"http://127.0.0.1:{port}/channel"], "dependencies": ["ladder"]}}
    one_clear_line(packages.create(spec, tmp_path / "out.tar.gz"), f"127.0.0.1:{port}")


def test_a_conda_package_that_is_not_what_the_index_says(channel: Channel, tmp_path: Path) -> None:
    copy = channel.copy(tmp_path / "channel")
    (damaged,) = copy.glob("noarch/ladder-2.0-*.conda")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"X")
    spec = {"conda": {"channels": [copy.as_uri()], "dependencies": ["ladder=2.0"]}}
    env = {"PONCHO_CACHE_DIR": tmp_path / "cache"}
    one_clear_line(packages.create(spec, tmp_path / "out.tar.gz", env=env), "ladder-2.0")


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Serve the same bytes to whoever connects, then hang up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def loop() -> None:
            server.settimeout(0.1)
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        connection.settimeout(5)
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        stop.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nshort", b"not http at all\r\n\r\n", b""],
    ids=["short body", "not http", "hangs up"],
)
def test_a_web_server_that_lies(ladder_spec: Json, tmp_path: Path, answer: bytes) -> None:
    with answering(answer) as url:
        spec = {**ladder_spec, "http": {"DATA": {"type": "file", "url": f"{url}/data.csv"}}}
        one_clear_line(packages.create(spec, tmp_path / "out.tar.gz"), "data.csv")
    assert not (tmp_path / "out.tar.gz").exists()


def test_an_archive_that_is_none(ladder_spec: Json, tmp_path: Path) -> None:
    (tmp_path / "data.tar.gz").write_bytes(b"this is a login page, not an archive")
    with serve(FileServer(tmp_path)) as server:
        spec = {**ladder_spec, "http": {"DATA": {"type": "tar", "url": f"{server.url}/data.tar.gz"}}}
        one_clear_line(packages.create(spec, tmp_path / "out.tar.gz"), "data.tar.gz")


def test_a_git_repository_that_is_not_there(ladder_spec: Json, tmp_path: Path) -> None:
    spec = {**ladder_spec, "git": {"DATA": {"remote": str(tmp_path / "no-repository")}}}
    one_clear_line(packages.create(spec, tmp_path / "out.tar.gz"), "no-repository")


def test_an_output_directory_that_is_missing(ladder_spec: Json, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(ladder_spec))
    output = tmp_path / "missing" / "out.tar.gz"
    one_clear_line(run_cli("poncho_package_create", tmp_path / "spec.json", output), str(output.parent))


def test_an_output_that_is_a_directory(ladder_spec: Json, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(ladder_spec))
    (tmp_path / "out").mkdir()
    one_clear_line(run_cli("poncho_package_create", tmp_path / "spec.json", tmp_path / "out"), str(tmp_path / "out"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_directory_that_is_not_writable(ladder_spec: Json, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(ladder_spec))
    (tmp_path / "closed").mkdir(mode=0o555)
    output = tmp_path / "closed" / "out.tar.gz"
    one_clear_line(run_cli("poncho_package_create", tmp_path / "spec.json", output), str(output))


def test_a_full_disk(ladder_spec: Json, tmp_path: Path) -> None:
    """The output's own file system has one page left (in a mount namespace of the test's own)."""
    spec, full = tmp_path / "spec.json", tmp_path / "full"
    spec.write_text(json.dumps(ladder_spec))
    full.mkdir()
    mount = 'mount -t tmpfs -o size=4k tmpfs "$1" || exit 99; shift; "$@"; status=$?; ls -A "$0"; exit $status'
    command = [str(command_path("poncho_package_create")), str(spec), str(full / "out.tar.gz")]
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(full), str(full), *command]
    run = subprocess.run(argv, env=environment(), cwd=tmp_path, capture_output=True, check=False)
    done = Finished(tuple(argv), run.returncode, run.stdout, run.stderr.decode())
    if done.returncode == 99 or done.stderr.startswith("unshare:"):
        pytest.skip("this machine allows no mount namespace")
    one_clear_line(done, "no space left", "out.tar.gz")
    assert done.stdout == "", "something was left behind"


@pytest.mark.parametrize("content", [b"", b"not a package", b"\x1f\x8b\x08\x00broken"])
def test_what_is_not_a_package_does_not_run(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "env.tar.gz").write_bytes(content)
    done = packages.run_in(tmp_path / "env.tar.gz", "echo", "ran").failed()
    assert "env.tar.gz" in done.stderr
    assert done.stdout == ""


def test_a_truncated_package_does_not_run(package: Path, tmp_path: Path) -> None:
    whole = package.read_bytes()
    env = {"PONCHO_STORE": tmp_path / "store"}
    for share in (0.2, 0.6, 0.99):
        (tmp_path / "env.tar.gz").write_bytes(whole[: int(len(whole) * share)])
        done = packages.run_in(tmp_path / "env.tar.gz", "echo", "ran", env=env).failed()
        assert done.stdout == ""


def test_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    one_clear_line(run_cli("poncho_package_analyze", tmp_path / "no.py", "-"), "no.py")


def test_a_command_called_wrongly_shows_how_it_is_called() -> None:
    for name in ("poncho_package_create", "poncho_package_analyze"):
        done = run_cli(name).failed()
        assert done.returncode == 2
        assert "hint:" in done.stderr
