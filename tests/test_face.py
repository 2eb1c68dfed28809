"""The library's face, as it is called by people who run no type checker: what is off is said in the library's own words."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import poncho
from poncho.builder import read, write_lock
from poncho.compat.package_analyze import create_spec, create_spec_from_functions
from poncho.errors import UsageError
from poncho.lock.codec import dumps as lock_text
from poncho.lock.codec import loads as loads_lock
from poncho.lock.model import Lock, LockedConda
from poncho.look import look
from poncho.package import open_package, verify, verify_function
from poncho.package.unpack import unpack
from poncho.package.unpacked import verify_unpacked
from poncho.runner import run_command
from poncho.spec import dumps as spec_text
from poncho.spec import spec_digest
from tests.support.prefixes import packed, small_prefix


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text("import json\n")
    return path


@pytest.mark.parametrize("sources", [None, 3, b"app.py", Path, [3], [None]])
def test_what_cannot_be_analysed_is_refused(sources: Any) -> None:
    if sources is Path:
        sources = pytest  # a module
    for call in (poncho.analyze, create_spec_from_functions):
        with pytest.raises(poncho.PonchoError, match="nothing that can be analysed") as caught:
            call(sources)
        assert caught.value.hint


def test_one_word_where_several_may_stand_is_that_word_and_not_its_letters(program: Path) -> None:
    assert [one.partition("=")[0] for one in poncho.analyze(program, extra="rich").spec.pip] == ["rich"]
    assert poncho.analyze(program, include="optional").spec.pip == ()
    assert create_spec(program, extra_pkg="rich")["conda"]["dependencies"][-1]["pip"][0].startswith("rich")
    traces: Any = "nope.json"
    with pytest.raises(poncho.PonchoError, match=r"nope\.json: cannot be read"):
        poncho.analyze(program, traces=traces)
    number: Any = [3]
    with pytest.raises(poncho.PonchoError, match="is no package name"):
        poncho.analyze(program, extra=number)


def test_a_program_that_is_not_there_comes_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(poncho.PonchoError, match="No such file") as caught:
        poncho.analyze(tmp_path / "nope.py")
    assert str(caught.value.hint).startswith("check the path")


def odd_calls(directory: Path) -> dict[str, Callable[[], object]]:
    anything: Any = None
    dictionary: Any = {"level": 1}
    text: Any = "python task.py"
    number: Any = 3
    output = directory / "env.tar.gz"
    return {
        "nothing can be built from None": lambda: poncho.create(anything, output),
        "nothing can be built from list": lambda: poncho.resolve([*anything_listed()]),
        "output must be a path": lambda: poncho.create({"pip": []}, anything),
        "options must be CreateOptions": lambda: poncho.create({"pip": []}, output, options=dictionary),
        "a Lock is needed": lambda: poncho.write_lock(anything, directory / "lock.json"),
        "a package must be a path, not None": lambda: poncho.open_package(anything),
        "a package must be a path, not dict": lambda: look(dictionary),
        "must be a path, not dict": lambda: verify(dictionary),
        "a package must be a path, not int": lambda: unpack(number, directory / "env"),
        "a directory must be a path": lambda: unpack(output, number),
        "a directory must be a path, not None": lambda: verify_unpacked(anything),
        r"a package must be a path, not int \(3\)": lambda: verify_function(number, len),
        "the program must be a path": lambda: create_spec(anything),
        "out must be a path": lambda: create_spec("-", out=number),
        "a command is a list of words": lambda: run_command(output, text),
        "prefix must be a path": lambda: poncho.analyze("import json\n", prefix=dictionary),
    }


def anything_listed() -> Any:
    return []


@pytest.mark.parametrize("words", list(odd_calls(Path())))
def test_a_wrong_argument_is_a_usage_error_with_a_hint(words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        odd_calls(tmp_path)[words]()
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_analysis_in_place_of_its_spec_is_told_what_to_pass(program: Path, tmp_path: Path) -> None:
    analysis: Any = poncho.analyze(program)
    with pytest.raises(UsageError, match="Analysis is no spec") as caught:
        poncho.create(analysis, tmp_path / "env.tar.gz")
    assert caught.value.hint == "pass that: analysis.spec"


def test_a_lock_goes_to_a_path_that_is_text(tmp_path: Path) -> None:
    write_lock(Lock(platform="linux-64", spec_digest="0" * 64), str(tmp_path / "lock.json"))
    assert loads_lock((tmp_path / "lock.json").read_text()).platform == "linux-64"


def test_the_library_s_values_go_to_other_processes_and_can_be_copied(program: Path, tmp_path: Path) -> None:
    analysis = poncho.analyze(program, extra="six==1.17.0")
    sources = {
        "git": {"X": {"remote": "https://host/x"}},
        "http": {"Y": {"url": "https://host/y", "headers": {"a": "B"}}},
    }
    spec = read({"pip": ["six"], "pinned": {"conda": {"numpy": "1.26"}}, **sources})
    conda = LockedConda(
        "a", "1", "0", "noarch", "https://host/c", "https://host/c/noarch/a-1-0.conda", record={"name": "a"}
    )
    lock = Lock("linux-64", spec_digest(spec), spec=spec, conda=(conda,))
    package = open_package(packed(small_prefix(tmp_path / "prefix"), tmp_path / "env.tar.gz").path)
    assert json.loads(spec_text(spec))["git"]["X"]["remote"] == "https://host/x"
    for value in (analysis, spec, loads_lock(lock_text(lock)), package):
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
        assert dataclasses.asdict(value)
    with ProcessPoolExecutor(1) as pool:
        assert pool.submit(open_package, package.path).result() == package
