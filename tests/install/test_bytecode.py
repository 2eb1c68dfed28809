"""Bytecode: there, right, and the same every time."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from poncho.install import compile_bytecode
from tests.support.interpreters import run_python


@pytest.fixture
def small(shared_prefix: Path, tmp_path: Path) -> Path:
    """Return a prefix with a Python but without a library of its own: compiling all of that takes its time."""
    library = next(shared_prefix.glob("lib/python3*"))
    (tmp_path / "small" / "lib" / library.name / "site-packages").mkdir(parents=True)
    (tmp_path / "small" / "bin").mkdir()
    (tmp_path / "small" / "bin" / "python").symlink_to(shared_prefix / "bin" / "python")
    return tmp_path / "small"


def bytecode(prefix: Path) -> dict[str, str]:
    return {
        path.relative_to(prefix).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in prefix.rglob("*.pyc")
    }


def add_modules(prefix: Path, count: int) -> Path:
    site = next(prefix.glob("lib/python3*/site-packages"))
    for number in range(count):
        package = site / f"package{number}"
        package.mkdir()
        (package / "__init__.py").write_text(
            f"NAMES = {{'a', 'b', 'name{number}', 'os'}}\ndef f(x): return x in {{1, 'two', (3,)}}\n"
        )
    return site


def test_every_module_has_bytecode_that_needs_no_look_at_the_source(prefix: Path) -> None:
    assert compile_bytecode(prefix) > 500
    found = list(prefix.glob("lib/python3*/json/__pycache__/*.pyc"))
    assert found
    for path in found:
        assert path.read_bytes()[4:8] == b"\1\0\0\0"
    assert not list(prefix.rglob("*.tmp"))


def test_the_same_files_give_the_same_bytes_elsewhere_and_in_other_company(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "quite another place" / "env"
    shutil.copytree(prefix, elsewhere, symlinks=True)
    compile_bytecode(prefix, jobs=1)
    add_modules(elsewhere, 20)
    monkeypatch.setenv("PYTHONHASHSEED", "17")
    compile_bytecode(elsewhere, jobs=4, environ={"PATH": "/usr/bin:/bin", "SOME_NAME": "argparse", "HOME": "/"})
    here, there = bytecode(prefix), bytecode(elsewhere)
    differing = [name for name, digest in here.items() if there.get(name) != digest]
    assert len(here) > 500
    assert differing == []


def test_no_bytecode_holds_the_prefix(small: Path) -> None:
    site = add_modules(small, 1)
    (site / "has_prefix.py").write_text(f"WHERE = {str(small)!r}\n")
    compile_bytecode(small)
    assert [path.name for path in small.rglob("*.pyc") if str(small).encode() in path.read_bytes()] == []
    assert (site / "package0" / "__pycache__").is_dir()


def test_a_traceback_shows_where_the_file_really_is(small: Path) -> None:
    site = add_modules(small, 1)
    (site / "failing.py").write_text("def fail():\n    raise RuntimeError\n")
    compile_bytecode(small)
    code = f"""
import sys, traceback
sys.path.append({str(site)!r})
import failing
try:
    failing.fail()
except RuntimeError:
    print(traceback.format_exc())
"""
    said = run_python(small, code)
    assert f'File "{site / "failing.py"}", line 2, in fail' in said


def test_a_file_that_does_not_compile_does_not_stop_the_others(small: Path) -> None:
    site = add_modules(small, 1)
    (site / "a_template.py").write_text("class {{ name }}:\n")
    (site / "b_latin.py").write_bytes(b"x = '\xe9'\n")
    (site / "c_nul.py").write_bytes(b"x = 1\0\n")
    (site / "d_deep.py").write_text("x = " + "(" * 5000 + ")" * 5000 + "\n")
    (site / "good.py").write_text("x = 1\n")
    compile_bytecode(small)
    names = {path.name.partition(".")[0] for path in (site / "__pycache__").glob("*.pyc")}
    assert names == {"good"}


def test_bytecode_that_is_linked_to_a_cache_is_replaced_not_written(small: Path, tmp_path: Path) -> None:
    site = add_modules(small, 1)
    compile_bytecode(small)
    compiled = next((site / "package0" / "__pycache__").glob("*.pyc"))
    cached = tmp_path / "cached.pyc"
    cached.hardlink_to(compiled)
    old = cached.read_bytes()
    (site / "package0" / "__init__.py").write_text("changed = True\n")
    compile_bytecode(small)
    assert cached.read_bytes() == old != compiled.read_bytes()


def test_a_prefix_without_python_has_nothing_to_compile(tmp_path: Path) -> None:
    assert compile_bytecode(tmp_path) == 0
