"""No command writes over what it reads, or one result over the other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from poncho.errors import UsageError
from tests.support.cli import Finished, environment, run_cli
from tests.support.prefixes import small_prefix

PACKAGE = b"\x1f\x8b\x08\x00 what looks like a package"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: a spec, a program, a package, requirements in two files, a lock of another tool."""
    (tmp_path / "s.json").write_text('{"pip": []}')
    (tmp_path / "prog").write_text("import json\n\ndef f(x):\n    return x\n")
    (tmp_path / "p.tar.gz").write_bytes(PACKAGE)
    os.link(tmp_path / "p.tar.gz", tmp_path / "hard.tar.gz")
    (tmp_path / "all.txt").write_text("-r some.txt\n")
    (tmp_path / "some.txt").write_text("six\n")
    (tmp_path / "explicit.txt").write_text("@EXPLICIT\nhttps://host/noarch/a-1-0.conda\n")
    (tmp_path / "tr.json").write_text('{"poncho_trace": 1}')
    (tmp_path / "project").mkdir()
    (tmp_path / "project/pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "project/x.py").write_text("import json\n")
    return tmp_path


def refused(there: Path, *words: str) -> Finished:
    """Run the command; check that it was refused for what it would write over, and that nothing has changed."""
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    done = run_cli("poncho", *words, cwd=there).failed()
    assert "overwrit" in done.stderr, done.stderr
    assert "hint: " in done.stderr
    assert done.returncode == 2
    assert {path: path.read_bytes() for path in there.rglob("*") if path.is_file()} == before
    return done


@pytest.mark.parametrize(
    "words",
    [
        "inspect --html p.tar.gz p.tar.gz",
        "inspect --html hard.tar.gz p.tar.gz",
        "sbom p.tar.gz -o p.tar.gz",
        "lock p.tar.gz -o p.tar.gz",
        "lock s.json -o s.json",
        "lock all.txt -o some.txt",
        "lock explicit.txt -o explicit.txt",
        "create s.json s.json",
        "create s.json s.json --approx",
        "create s.json s.json --dry-run",
        "create s.json new.tar.gz --lock s.json",
        "create s.json new.tar.gz --lock new.tar.gz",
        "create s.json p.tar.gz --lock p.tar.gz",
        "create p.tar.gz new.tar.gz --lock p.tar.gz",
        "create s.json tr.json --locked --lock tr.json",
        "analyze prog prog",
        "analyze prog tr.json --trace tr.json",
        "analyze prog p.tar.gz --verify hard.tar.gz",
        "analyze project project/pyproject.toml",
        "trace -o prog -- python prog",
        "trace -o s.json -- python prog",
    ],
)
def test_what_is_read_stays(there: Path, words: str) -> None:
    refused(there, *words.split())


@pytest.mark.parametrize("words", ["--dest prog", "--dest new.py --pack prog", "--dest new.py --pack new.py"])
def test_serverize_keeps_the_program_and_writes_two_files(there: Path, words: str) -> None:
    refused(there, *["serverize", "--src", "prog", "--function", "f", "--version", "taskvine"], *words.split())


def test_serverize_writes_no_program_without_its_package(there: Path) -> None:
    words = "serverize --src prog --function f --version taskvine --dest new.py --pack nodir/env.tar.gz"
    done = run_cli("poncho", *words.split(), cwd=there).failed()
    assert "no such directory" in done.stderr
    assert not (there / "new.py").exists()


def test_a_spec_and_a_trace_are_written_again(there: Path) -> None:
    for _ in range(2):
        run_cli("poncho", "analyze", "project", "project/spec.json", cwd=there).ok()
        run_cli("poncho", "trace", "-o", "trace.json", "--", "python", "prog", cwd=there).ok()
    (there / "empty").touch()  # as mktemp makes it
    run_cli("poncho", "trace", "-o", "empty", "--", "python", "prog", cwd=there).ok()


def test_a_pipe_is_read_once_and_written_over_by_nothing(there: Path) -> None:
    (there / "run.sh").write_text('exec poncho lock <(cat s.json) -o new.json "$@"\n')
    done = subprocess.run(
        ["bash", "run.sh", "--offline"], cwd=there, env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    os.mkfifo(there / "pipe")
    for words in ("trace -o pipe -- python prog", "trace -o /dev/stdout -- python prog"):
        assert "not a file" in run_cli("poncho", *words.split(), cwd=there, timeout=60).failed().stderr


def test_a_lock_of_ours_is_written_in_its_place(there: Path) -> None:
    run_cli("poncho", "lock", "s.json", "-o", "lock.json", "--offline", cwd=there).ok()
    run_cli("poncho", "lock", "lock.json", "-o", "lock.json", "--offline", cwd=there).ok()


def test_the_hint_for_a_stale_lock_never_costs_a_package(there: Path) -> None:
    run_cli("poncho", "create", "s.json", "env.tar.gz", cwd=there).ok()
    (there / "other.json").write_text('{"pip": ["six"]}')
    words = ("create", "other.json", "new.tar.gz", "--locked", "--lock", "env.tar.gz")
    done = run_cli("poncho", *words, cwd=there).failed()
    assert "stale" in done.stderr
    assert "-o env.tar.gz" not in done.stderr
    assert "-o lock.json" in done.stderr


def test_callers_of_the_library_keep_their_program(there: Path) -> None:
    from poncho.compat.package_analyze import create_spec
    from poncho.compat.package_serverize import create_library_code, generate_library

    prog, text = there / "prog", (there / "prog").read_text()
    with pytest.raises(UsageError, match="overwritten"):
        create_spec(prog, prog)
    with pytest.raises(UsageError, match="overwritten"):
        create_library_code(prog, ["f"], prog, "taskvine")
    with pytest.raises(UsageError, match="overwrite the other"):
        generate_library(there, there / "a", there / "b", there / "a", [len], "name", need_pack=False)
    assert prog.read_text() == text


def test_a_file_of_the_environment_is_not_written_over(tmp_path: Path) -> None:
    prefix = small_prefix(tmp_path / "env")
    for words in (["create", prefix, prefix / "bin/tool"], ["lock", prefix, "-o", prefix / "conda-meta/history"]):
        done = refused(tmp_path, *map(str, words))
        assert "belongs to what is to be read" in done.stderr
    run_cli("poncho", "create", prefix, prefix / "env.tar.gz").ok()
    run_cli("poncho", "create", prefix, prefix / "env.tar.gz").ok()
