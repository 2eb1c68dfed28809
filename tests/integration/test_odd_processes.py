"""Where the library and the commands are called from: a deleted directory, no standard streams, many threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

import poncho
from poncho.analysis.quiet import without_warnings
from tests.support.cli import command_path, environment
from tests.support.prefixes import packed, small_prefix


def _run(text: str, directory: Path, *words: Path) -> str:
    argv = [sys.executable, "-c", text, *map(str, words)]
    done = subprocess.run(
        argv, cwd=directory, env=environment({"PYTHONPATH": os.pathsep.join(sys.path)}), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


GONE = """
import os, sys
import poncho
program, package = sys.argv[1:]
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
def task():
    import six
analysis = poncho.analyze(program)
poncho.analyze(task)
poncho.create({"python": ".".join(map(str, sys.version_info[:3])), "pip": []}, package)
print(poncho.open_package(package).verify().files > 100, len(analysis.findings))
"""


def test_where_the_directory_was_deleted_absolute_paths_do(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import six\n")
    assert _run(GONE, tmp_path, tmp_path / "app.py", tmp_path / "env.tar.gz") == "True 1\n"


@pytest.mark.parametrize("words", [["create", "{}/spec.json", "env.tar.gz"], ["unpack", "{}/env.tar.gz", "here"]])
def test_a_relative_path_there_is_told_why(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"pip": []}')
    packed(small_prefix(tmp_path / "prefix"), tmp_path / "env.tar.gz")
    (tmp_path / "gone").mkdir()
    script = 'rmdir ../gone && exec "$@"'
    argv = ["sh", "-c", script, "sh", str(command_path("poncho")), *(word.format(tmp_path) for word in words)]
    done = subprocess.run(argv, cwd=tmp_path / "gone", env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: the working directory was deleted\nhint: " in done.stderr


WITHOUT_STREAMS = """
import os, sys
import poncho
for number in range(3):
    os.close(number)
spec = {"python": ".".join(map(str, sys.version_info[:3])), "pip": []}
digests = {poncho.create(spec, name).digest for name in (sys.argv[1], sys.argv[2])}
os._exit(len(digests) - 1)
"""


def test_a_caller_without_standard_streams_builds_and_builds_again(tmp_path: Path) -> None:
    _run(WITHOUT_STREAMS, tmp_path, tmp_path / "first.tar.gz", tmp_path / "second.tar.gz")
    assert (tmp_path / "first.tar.gz").read_bytes() == (tmp_path / "second.tar.gz").read_bytes()


def test_the_process_s_warnings_are_what_they_were_when_several_threads_have_analysed() -> None:
    before = list(warnings.filters)
    entered, left = threading.Event(), threading.Event()

    def second() -> None:
        with without_warnings():
            entered.set()
            left.wait(30)

    thread = threading.Thread(target=second)
    with without_warnings():
        thread.start()
        entered.wait(30)
    left.set()
    thread.join()
    assert list(warnings.filters) == before
    poncho.analyze("import six\nx = '\\d'\n")
    assert list(warnings.filters) == before
