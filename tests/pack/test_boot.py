"""The environment's Python is asked about itself: whatever it does, the build goes on, and nothing of it stays behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from poncho.pack import boot
from poncho.pack.runtime_files import runtime_file

# The child says who it is; its parent's output stays open in it.
_CHILD = 'sleep 300 & echo $! >"$0.child"\n'


def _python(prefix: Path, script: str) -> Path:
    path = prefix / "bin/python3"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    return path


def _ask(prefix: Path) -> bytes | None:
    return boot.ask(prefix, "bin/python3", runtime_file("unpack.py"))


def _is_running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _child_is_gone(python: Path) -> bool:
    number = int(python.with_name("python3.child").read_text())
    deadline = time.monotonic() + 20
    while _is_running(number) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _is_running(number)


def test_it_answers(tmp_path: Path) -> None:
    _python(tmp_path, f'exec "{sys.executable}" "$@"\n')
    answer = _ask(tmp_path)
    assert answer is not None
    assert answer.startswith(".".join(map(str, sys.version_info[:3])).encode())


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="asks /proc who is there")
class TestChild:
    def test_a_child_that_it_leaves_behind_is_not_waited_for_and_ends(self, tmp_path: Path) -> None:
        python = _python(tmp_path, f'{_CHILD}exec "{sys.executable}" "$@"\n')
        began = time.monotonic()
        assert _ask(tmp_path) is not None
        assert time.monotonic() - began < boot._SECONDS  # which is how long it was waited for
        assert _child_is_gone(python)

    def test_one_that_hangs_ends_with_its_children(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(boot, "_SECONDS", 1)
        python = _python(tmp_path, f"{_CHILD}wait\n")
        assert _ask(tmp_path) is None
        assert _child_is_gone(python)


@pytest.mark.parametrize("script", ["exit 3\n", "kill -9 $$\n"])
def test_one_that_fails_says_nothing(script: str, tmp_path: Path) -> None:
    _python(tmp_path, script)
    assert _ask(tmp_path) is None


def test_one_that_is_no_program_says_nothing(tmp_path: Path) -> None:
    _python(tmp_path, "").write_bytes(b"\x7fELF")
    assert _ask(tmp_path) is None


def test_a_temporary_directory_without_room_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _python(tmp_path, "printf '3.11.7\\0'")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert _ask(tmp_path) == b"3.11.7\0"


@pytest.mark.parametrize("answer", ["", "3.11.2", "no Python"])
def test_an_answer_that_is_not_whole_is_none(answer: str, tmp_path: Path) -> None:
    _python(tmp_path, f"printf '%s' '{answer}'\n")
    said = _ask(tmp_path)
    assert said == answer.encode()
    assert boot.understand(said, tmp_path, "bin/python3", {"bin/python3", "lib/python3.11/os.py"}, {}) is None
