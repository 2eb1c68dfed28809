"""Bytecode: there, right, and the same every time."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poncho._types import Event
from poncho.errors import BuildError
from poncho.install import compile_bytecode
from poncho.install.bytecode_cache import BytecodeCache, unframe
from poncho.store import BuilderCache
from tests.support.faults import flip
from tests.support.interpreters import run_python


@pytest.fixture
def small(shared_prefix: Path, tmp_path: Path) -> Path:
    """Return a prefix with a Python but without a library of its own: compiling all of that takes its time."""
    library = next(shared_prefix.glob("lib/python3*"))
    (tmp_path / "small" / "lib" / library.name / "site-packages").mkdir(parents=True)
    (tmp_path / "small" / "bin").mkdir()
    (tmp_path / "small" / "bin" / "python").symlink_to(shared_prefix / "bin" / "python")
    return tmp_path / "small"


@pytest.fixture
def make_prefix(shared_prefix: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a prefix of the given name: its Python, and packages with a few hundred files."""
    library = next(shared_prefix.glob("lib/python3*"))

    def make(name: str) -> Path:
        prefix = tmp_path / name
        (prefix / "bin").mkdir(parents=True)
        (prefix / "bin" / "python").symlink_to(shared_prefix / "bin" / "python")
        for package in ("asyncio", "email", "json", "xml"):
            target = prefix / "lib" / library.name / "site-packages" / package
            shutil.copytree(library / package, target, ignore=shutil.ignore_patterns("__pycache__"))
        add_modules(prefix, 5)
        return prefix

    return make


@pytest.fixture
def cache(tmp_path: Path) -> BuilderCache:
    return BuilderCache(tmp_path / "cache")


def entries(cache: BuilderCache) -> list[Path]:
    return sorted(path for path in cache.directory("bytecode").rglob("*") if path.is_file())


def newly_compiled(prefix: Path, cache: BuilderCache) -> int:
    """Compile ``prefix`` and return how many files that were not known before it had."""
    said: list[Event] = []
    compile_bytecode(prefix, cache=cache, reporter=said.append)
    return int(said[-1].message.split(", ")[1].split()[0])


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


def test_what_the_cache_gives_is_what_a_build_without_it_gives(
    make_prefix: Callable[[str], Path], cache: BuilderCache
) -> None:
    without, first, second = make_prefix("without"), make_prefix("first one"), make_prefix("second")
    compile_bytecode(without)
    compile_bytecode(first, cache=cache, jobs=1)
    assert newly_compiled(second, cache) == 0
    assert len(bytecode(without)) > 80
    assert bytecode(first) == bytecode(without)
    assert bytecode(second) == bytecode(without)


def test_a_build_that_finds_half_of_it_in_the_cache_gives_the_same_bytes(
    make_prefix: Callable[[str], Path], cache: BuilderCache
) -> None:
    first, second = make_prefix("first"), make_prefix("second")
    compile_bytecode(first, cache=cache)
    for entry in entries(cache)[::2]:
        entry.unlink()
    assert 0 < newly_compiled(second, cache) < len(bytecode(first))
    assert bytecode(second) == bytecode(first)


def test_only_the_directory_of_a_changed_file_is_compiled_again(
    make_prefix: Callable[[str], Path], cache: BuilderCache
) -> None:
    prefix = make_prefix("env")
    compile_bytecode(prefix, cache=cache)
    before = bytecode(prefix)
    changed = next(prefix.glob("lib/python3*/site-packages/package3/__init__.py"))
    changed.write_text("VALUE = 'changed'\n")
    assert newly_compiled(prefix, cache) == 1
    after = bytecode(prefix)
    assert {name for name in before if before[name] != after[name]} == {
        path.relative_to(prefix).as_posix() for path in changed.parent.rglob("*.pyc")
    }


def test_a_file_that_holds_the_prefix_does_not_cost_its_directory_the_cache(
    make_prefix: Callable[[str], Path], cache: BuilderCache
) -> None:
    first, second = make_prefix("first"), make_prefix("second")
    for prefix in (first, second):
        next(prefix.glob("lib/python3*/site-packages/json")).joinpath("where.py").write_text(f"W = {str(prefix)!r}\n")
    compile_bytecode(first, cache=cache)
    assert newly_compiled(second, cache) == 0
    assert bytecode(first) == bytecode(second)
    assert not [name for name in bytecode(second) if "where" in name]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def make_it_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [truncate, flip, empty, make_it_a_directory])
def test_a_damaged_entry_is_no_entry(
    damage: Callable[[Path], None], make_prefix: Callable[[str], Path], cache: BuilderCache
) -> None:
    first, second, third = make_prefix("first"), make_prefix("second"), make_prefix("third")
    compile_bytecode(first, cache=cache)
    for entry in entries(cache):
        damage(entry)
    assert newly_compiled(second, cache) == len(bytecode(first))
    assert bytecode(second) == bytecode(first)
    if damage is not make_it_a_directory:
        assert newly_compiled(third, cache) == 0
        assert bytecode(third) == bytecode(first)


def test_builders_that_share_a_cache_do_not_disturb_each_other(
    make_prefix: Callable[[str], Path], cache: BuilderCache
) -> None:
    prefixes = [make_prefix(f"env{number}") for number in range(4)]
    with ThreadPoolExecutor(len(prefixes)) as pool:
        list(pool.map(lambda prefix: compile_bytecode(prefix, cache=cache), prefixes))
    assert len(bytecode(prefixes[0])) > 80
    assert all(bytecode(prefix) == bytecode(prefixes[0]) for prefix in prefixes)
    assert not [path for path in entries(cache) if path.name.startswith(".")]
    assert list(cache.directory("tmp").iterdir()) == []


def test_a_prefix_and_the_cache_share_no_file(make_prefix: Callable[[str], Path], cache: BuilderCache) -> None:
    first, second = make_prefix("first"), make_prefix("second")
    for prefix in (first, second):
        compile_bytecode(prefix, cache=cache)
    assert {path.stat().st_nlink for prefix in (first, second) for path in prefix.rglob("*.pyc")} == {1}


def test_a_cache_that_cannot_keep_anything_is_no_error(make_prefix: Callable[[str], Path], cache: BuilderCache) -> None:
    prefix = make_prefix("env")
    for number in range(256):
        (cache.directory("bytecode") / f"{number:02x}").write_text("in the way")
    compile_bytecode(prefix, cache=cache)
    assert len(bytecode(prefix)) > 80


def test_modules_of_a_prefix_that_is_reached_through_a_link_do_not_name_the_place(
    make_prefix: Callable[[str], Path], cache: BuilderCache, tmp_path: Path
) -> None:
    straight, linked = make_prefix("straight"), make_prefix("real")
    (tmp_path / "link").symlink_to(linked)
    compile_bytecode(straight)
    compile_bytecode(tmp_path / "link")
    assert bytecode(linked) == bytecode(straight)


def test_modules_from_the_cache_are_imported(make_prefix: Callable[[str], Path], cache: BuilderCache) -> None:
    first, second = make_prefix("first"), make_prefix("second")
    compile_bytecode(first, cache=cache)
    compile_bytecode(second, cache=cache)
    site = next(second.glob("lib/python3*/site-packages"))
    (site / "package1" / "__init__.py").write_text("this is not what was compiled")
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import package1; print(package1.f('two'), package1.__file__)"
    )
    assert run_python(second, code) == f"True {site / 'package1' / '__init__.py'}"


def test_a_place_that_takes_no_bytecode_is_one_clear_error(
    make_prefix: Callable[[str], Path], cache: BuilderCache
) -> None:
    prefix = make_prefix("env")
    package = next(prefix.glob("lib/python3*/site-packages/package0"))
    (package / "__pycache__").write_text("a file")
    with pytest.raises(BuildError, match="package0/__pycache__: cannot write bytecode"):
        compile_bytecode(prefix, cache=cache)


def test_what_a_crashed_compiler_left_is_used_but_not_kept() -> None:
    whole = b"\0\0\0\4\0\0\0\3a.pyABC" + b"\0\0\0\4\0\0\0\2b.pyXY" + bytes(8)
    assert unframe(whole) == ({b"a.py": b"ABC", b"b.py": b"XY"}, True)
    assert unframe(whole[:-9]) == ({b"a.py": b"ABC"}, False)
    assert unframe(whole[:-8]) == ({b"a.py": b"ABC", b"b.py": b"XY"}, False)
    assert unframe(b"") == ({}, False)


@given(st.binary(max_size=64))
def test_no_entry_of_any_bytes_raises(data: bytes) -> None:
    found, whole = unframe(data)
    assert sum(map(len, found.values())) <= len(data)
    assert not whole or data.endswith(bytes(8))


def test_an_entry_is_read_back_as_it_was_published(tmp_path: Path) -> None:
    cache = BytecodeCache(tmp_path)
    key = "ab" * 32
    framed = b"\0\0\0\4\0\0\0\3a.pyABC" + bytes(8)
    assert cache.get(key) is None
    cache.put(key, framed)
    assert cache.get(key) == {b"a.py": b"ABC"}
    assert os.listdir(tmp_path) == ["ab"]
