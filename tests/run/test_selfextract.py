"""A package that runs itself, in every shell."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho.package import open_package
from tests.support.prefixes import packed, small_prefix
from tests.support.runner import Outcome, Runner


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Return a package that runs itself, without a Python; its command ``say`` says what it is called with."""
    prefix = small_prefix(tmp_path / "env")
    (prefix / "bin/hello").unlink()
    (prefix / "bin/python3.11").rename(prefix / "bin/say")
    return packed(prefix, tmp_path / "my env.sh").path


@pytest.fixture
def itself(run: Runner, script: Path) -> Callable[..., Outcome]:
    """Return a function that runs the script by the shell in turn."""
    return lambda *args, **options: run(*args, script=script, **options)


def test_it_becomes_the_command(itself: Callable[..., Outcome], run: Runner, script: Path) -> None:
    assert itself("say", "a b", "", "c").ok().out == "python a b\npython \npython c\n"
    assert run.unpacked() == [open_package(script).digest[:32]]
    assert itself("--", "say", "warm").ok().out == "python warm\n"
    assert itself("sh", "-c", 'echo "$CONDA_PREFIX"').ok().out.strip().startswith(str(run.store))
    assert itself("sh", "-c", "exit 7").status == 7
    assert itself("--env", "A=b c", "sh", "-c", 'echo "$A"').ok().out == "b c\n"
    assert run.leftovers() == []


def test_it_tells_how_it_is_used(itself: Callable[..., Outcome], run: Runner) -> None:
    for args in ((), ("--help",), ("-h",)):
        assert "--extract DIR" in itself(*args).ok().out
    for option in ("--cwd", "--env-file", "--bind", "--list-env"):
        assert option in itself("--help").ok().out
    assert run.unpacked() == []


def test_a_wrong_option_leads_to_its_own_help(itself: Callable[..., Outcome], script: Path) -> None:
    for words in (("--bogus", "true"), ("--cwd",)):
        wrong = itself(*words)
        assert wrong.status == 125
        assert f"see {script} --help" in wrong.err


def test_it_extracts_into_a_directory(itself: Callable[..., Outcome], run: Runner, tmp_path: Path) -> None:
    for number, how in enumerate((["--extract", "{}"], ["--extract={}"])):
        there = tmp_path / f"there {number}"
        assert itself(*(word.format(there) for word in how)).ok().out == ""
        done = subprocess.run([str(there / "bin/run_in_env"), "say", "x"], capture_output=True, check=True)
        assert done.stdout == b"python x\n"
        assert f"root={there}" in (there / "etc/settings.ini").read_text()
    assert run.unpacked() == []


def test_it_extracts_only_into_what_is_empty(itself: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    assert "not empty" in itself("--extract", tmp_path).err
    assert itself("--extract").status == 125
    assert itself("--extract", tmp_path / "x", "true").status == 125
    assert not (tmp_path / "x").exists()


def test_the_runner_takes_it_as_a_package(run: Runner, script: Path) -> None:
    assert run("-e", script, "say", "cold").ok().out == "python cold\n"
    assert run("-e", script, "say", "warm").ok().out == "python warm\n"
    assert len(run.unpacked()) == 1


def test_it_shares_the_store_with_the_same_package_as_an_archive(node: Runner, script: Path, tmp_path: Path) -> None:
    archive = packed(tmp_path / "env", tmp_path / "env.tar.gz").path
    node("-e", archive, "true").ok()
    node("-e", script, "true").ok()
    assert len(node.unpacked()) == 1


@pytest.mark.parametrize("where", ["digest", "package", "end"])
def test_a_damaged_one_is_refused(run: Runner, script: Path, where: str) -> None:
    data = bytearray(script.read_bytes())
    if where == "digest":
        data[data.index(b"\n", 12) + 1 :][:1] = b""
        at = data.index(b"\n", 12) + 1
        data[at] = ord("0") if data[at] != ord("0") else ord("1")
    elif where == "package":
        data[-len(data) // 40] ^= 0x55
    else:
        del data[-300:]
    script.write_bytes(data)
    run("-e", script, "true").refused("damaged")
    assert run.unpacked() == []
    assert run("true", script=script).status == 125
