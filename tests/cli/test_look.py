"""inspect, diff, verify, sbom and unpack as a person or a program calls them."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from poncho.pack import PackedPackage
from tests.look.conftest import ODD, SPEC, full_package, full_prefix
from tests.support.archives import entry, tar
from tests.support.cli import command_path, environment, run_cli
from tests.support.handmade import foreign
from tests.support.images import needs_tools


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> PackedPackage:
    return full_package(tmp_path_factory.mktemp("full"))


def test_inspect_names_what_is_inside(full: PackedPackage):
    lines = run_cli("poncho", "inspect", full.path).ok().stdout.splitlines()
    assert lines[0] == str(full.path)
    assert f"digest    {full.digest}".split() in [line.split() for line in lines]
    assert any(line.startswith("1 conda package, 3 distributions, 2 git or http locations") for line in lines)
    row = next(line for line in lines if " thing-tools " in line)
    assert row.split()[-5:] == ["thing-tools", "2", "h1_0", "conda", "mine"]
    assert any(line.split()[0] == "$EVENTS" for line in lines if line)
    assert not any(line != line.rstrip() for line in lines)


def test_inspect_shows_as_many_rows_as_asked(full: PackedPackage):
    few = run_cli("poncho", "inspect", "-n", "2", full.path).ok().stdout
    assert "and 4 more" in few
    every = run_cli("poncho", "inspect", "--top", "0", full.path).ok().stdout
    assert "more" not in every
    assert "share/zeros" in every
    assert run_cli("poncho", "inspect", "-n", "-1", full.path).failed().returncode == 2


def test_inspect_json_has_all_facts(full: PackedPackage):
    found = json.loads(run_cli("poncho", "inspect", "--json", full.path).ok().stdout)
    assert (found["digest"], found["packed_bytes"], found["unpacked_bytes"]) == (
        full.digest,
        full.packed_bytes,
        full.unpacked_bytes,
    )
    assert found["variables"]["EVENTS"] == "poncho/data/EVENTS/events.csv"
    assert {part["name"] for part in found["packages"]} == {"thing-tools", "thing", "mine", "Other.One"}
    assert found["spec"] == SPEC
    assert found["largest_files"][0]["package"] == "mine"


def test_the_spec_and_the_lock_come_out_as_they_went_in(full: PackedPackage):
    assert json.loads(run_cli("poncho", "inspect", "--spec", full.path).ok().stdout) == SPEC
    assert json.loads(run_cli("poncho", "inspect", "--lock", full.path).ok().stdout)["poncho_lock"] == 1


def test_the_page_is_written_whole_or_not_at_all(full: PackedPackage, tmp_path: Path):
    done = run_cli("poncho", "inspect", "--html", tmp_path / "page.html", full.path).ok()
    assert done.stdout == ""
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")
    said = run_cli("poncho", "inspect", "--html", "-", full.path).ok()
    assert said.stdout == (tmp_path / "page.html").read_text("utf-8")
    run_cli("poncho", "inspect", "--html", tmp_path / "no/page.html", full.path).failed()
    run_cli("poncho", "inspect", "--html", tmp_path / "other.html", tmp_path / "absent").failed()
    assert os.listdir(tmp_path) == ["page.html"]


def test_nothing_in_a_package_reaches_the_terminal_as_it_is(tmp_path: Path):
    bad = full_package(tmp_path, "old.tar.gz")
    for name in ODD:
        (tmp_path / "env" / name).write_bytes(b"changed")
    worse = full_package(tmp_path, "new\x1b[31m.tar.gz")
    unpacked = tmp_path / "unpacked"
    run_cli("poncho", "unpack", "-q", worse.path, unpacked).ok()
    for name in ODD:
        (unpacked / name).write_bytes(b"again")
    commands = [
        ("inspect", "--top", "0", worse.path),
        ("inspect", "--json", worse.path),
        ("inspect", "--top", "0", unpacked),
        ("diff", "--files", bad.path, worse.path),
        ("diff", "--json", bad.path, worse.path),
        ("verify", unpacked),
        ("verify", worse.path),
        ("sbom", worse.path),
    ]
    for command in commands:
        done = run_cli("poncho", *command)
        text = done.stdout + done.stderr
        assert not [char for char in text if not char.isprintable() and char != "\n"], (command, text)
        assert done.returncode in (0, 1)
        assert "Traceback" not in done.stderr
    assert "share/\\x1b[31mred\\x07" in run_cli("poncho", "verify", unpacked).stdout


def test_a_terminal_gets_colours_and_lines_that_fit(full: PackedPackage):
    import pty

    leader, follower = pty.openpty()
    argv = [command_path("poncho"), "inspect", full.path]
    subprocess.run(argv, stdout=follower, check=True, env=environment({"COLUMNS": "60", "TERM": "xterm"}))
    os.close(follower)
    text = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        text += piece
    os.close(leader)
    plain = __import__("re").sub(r"\x1b\[[0-9;]*m", "", text.decode())
    assert "\x1b[1m" in text.decode()
    assert max(map(len, plain.split("\r\n"))) <= 60
    assert "thing-tools" in plain


def test_diff_tells_by_its_status(full: PackedPackage, tmp_path: Path):
    assert run_cli("poncho", "diff", full.path, full.path).ok().stdout == "the same: every file has the same content\n"
    other = tmp_path / "env"
    full_prefix(other)
    done = run_cli("poncho", "diff", full.path, other)
    assert done.returncode == 1
    assert "Packages: " in done.stdout
    found = json.loads(run_cli("poncho", "diff", "--json", full.path, other).stdout)
    assert found["same"] is False
    assert any(change["path"] == "poncho/manifest.json" and change["what"] == "removed" for change in found["files"])
    trouble = run_cli("poncho", "diff", full.path, tmp_path / "absent").failed()
    assert trouble.returncode == 2
    assert trouble.stderr.splitlines()[0].startswith("poncho diff: error: ")


def test_verify_reads_packages_and_directories(full: PackedPackage, tmp_path: Path):
    right = run_cli("poncho", "verify", full.path).ok().stdout
    assert full.digest in right
    assert json.loads(run_cli("poncho", "verify", "--json", full.path).ok().stdout)["files"] == full.files
    data = bytearray(full.path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "broken.tar.gz").write_bytes(data)
    broken = run_cli("poncho", "verify", "--json", tmp_path / "broken.tar.gz").failed()
    assert (broken.returncode, json.loads(broken.stderr)["error"]) == (1, "package")
    here = tmp_path / "here"
    run_cli("poncho", "unpack", full.path, here).ok()
    assert run_cli("poncho", "verify", here).ok().stdout == f"{here}: right\n"
    (here / "share/zeros").write_bytes(b"")
    (here / "share/empty").unlink()
    wrong = run_cli("poncho", "verify", "--json", here)
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["differences"] == [
        {"path": "share/empty", "what": "missing"},
        {"path": "share/zeros", "what": "changed"},
    ]
    assert "changed: share/zeros" in run_cli("poncho", "verify", here).stdout


def test_verify_refuses_what_it_has_no_list_for(tmp_path: Path):
    foreign(tmp_path / "env.tar.gz")
    assert "not made by PONCHO" in run_cli("poncho", "verify", tmp_path / "env.tar.gz").failed().stderr
    tar(tmp_path / "out.tar", entry("../out"))
    assert "'../out' is refused" in run_cli("poncho", "verify", tmp_path / "out.tar").failed().stderr
    assert "nothing" not in run_cli("poncho", "inspect", tmp_path / "out.tar").failed().stdout
    (tmp_path / "plain").mkdir()
    run_cli("poncho", "verify", tmp_path / "plain").failed()


def test_unpack_makes_a_directory_that_runs(full: PackedPackage, tmp_path: Path):
    done = json.loads(run_cli("poncho", "unpack", "--json", full.path, tmp_path / "a/b").ok().stdout)
    assert done == {
        "path": str(tmp_path / "a/b"),
        "digest": full.digest,
        "files": full.files,
        "bytes": full.unpacked_bytes,
        "relocated": True,
    }
    said = subprocess.run([tmp_path / "a/b/bin/tool"], capture_output=True, text=True, check=True).stdout
    assert said == f"{tmp_path}/a/b/share\n"
    again = run_cli("poncho", "unpack", full.path, tmp_path / "a/b").failed()
    assert "holds something already" in again.stderr
    plain = run_cli("poncho", "unpack", "--no-relocate", full.path, tmp_path / "plain").ok()
    assert "not relocated" in plain.stderr
    assert "poncho_placeholder" in (tmp_path / "plain/bin/tool").read_text()


def test_sbom_goes_to_stdout_or_a_file(full: PackedPackage, tmp_path: Path):
    one = run_cli("poncho", "sbom", full.path).ok().stdout
    run_cli("poncho", "sbom", full.path, "-o", tmp_path / "env.cdx.json").ok()
    assert (tmp_path / "env.cdx.json").read_text() == one
    named = json.loads(run_cli("poncho", "sbom", "--name", "analysis", full.path).ok().stdout)
    assert named["metadata"]["component"]["name"] == "analysis"


def test_bombs_of_others_are_stopped_in_little_memory_and_time(tmp_path: Path):
    import gzip

    zeros = tarfile.TarInfo("zeros")
    zeros.size = 10 << 30
    # The header alone: a reader that believed it would wait for ten gigabytes.
    with gzip.open(tmp_path / "zeros.tar.gz", "wb", 1) as stream:
        stream.write(zeros.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with gzip.open(tmp_path / "files.tar.gz", "wb", 1) as stream:
        for start in range(0, 505_000, 5000):
            stream.write(b"".join(_empty(number) for number in range(start, start + 5000)))
        stream.write(bytes(1024))
    for name, words in (
        ("zeros.tar.gz", "a hundred times its own size"),
        ("files.tar.gz", "more files than half a million"),
    ):
        argv = ["/bin/sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh", command_path("poncho")]
        for command in (
            ("inspect", tmp_path / name),
            ("verify", tmp_path / name),
            ("unpack", tmp_path / name, tmp_path / "x"),
        ):
            if name == "files.tar.gz" and command[0] != "inspect":
                continue
            done = subprocess.run([*argv, *command], capture_output=True, text=True, env=environment(), check=False)
            assert done.returncode == 1, done.stderr
            assert words in done.stderr
    assert not (tmp_path / "x").exists()


def _empty(number: int) -> bytes:
    head = b"%07d" % number + bytes(93) + b"0000644\0" + b"0000000\0" * 2 + b"00000000000\0" * 2
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(247)
    return head + b"%06o\0 " % (sum(head) + sum(tail) + 256) + tail


@needs_tools
def test_an_image_is_looked_into_as_the_tarball_of_the_same(full: PackedPackage, tmp_path: Path):
    image = full_package(full.path.parent, "env.squashfs", format="squashfs").path
    told = [json.loads(run_cli("poncho", "inspect", "--json", path).ok().stdout) for path in (full.path, image)]
    assert told[1]["format"] == "squashfs"
    for one in told:
        for key in ("path", "format", "packed_bytes"):
            del one[key]
    assert told[0] == told[1]
    assert run_cli("poncho", "diff", full.path, image).ok().stdout.startswith("the same")
    bills = [run_cli("poncho", "sbom", path).ok().stdout for path in (full.path, image)]
    assert bills[0] == bills[1]
    assert full.digest in run_cli("poncho", "verify", image).ok().stdout
    run_cli("poncho", "unpack", image, tmp_path / "here").ok()
    assert run_cli("poncho", "verify", tmp_path / "here").ok().stdout.endswith("right\n")
    assert run_cli("poncho", "diff", tmp_path / "here", image).ok().stdout.startswith("the same")
