"""48 live functions, from plain ones to Parsl, Dask, TaskVine and notebooks: each needs exactly what its case says."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from benchmarks.function_cases import CASES, Case
from poncho.analysis import Analysis, analyze


def needed(case: Case, analysis: Analysis) -> None:
    found = {name.partition(".")[0] for one in analysis.findings if one.included for name in one.imports}
    assert found == case.expected
    assert not [one for one in analysis.unresolved if one.tier.label in ("required", "conditional")]
    assert {path.name for path in analysis.local_modules} - {"case_program.py"} == case.local


@pytest.fixture
def program(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The case's program with its files beside it, its directory on the module path."""
    for name in case.uses:
        pytest.importorskip(name)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name, text in case.files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    file = tmp_path / "case_program.py"
    file.write_text(case.source)
    monkeypatch.delitem(sys.modules, "case_program", raising=False)
    importlib.invalidate_caches()
    return file


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_function_of_the_main_program_needs(case: Case, program: Path) -> None:
    # As ``__main__`` runs it, without taking the test runner's place.
    space: dict[str, object] = {"__name__": "__main__", "__file__": str(program)}
    try:
        exec(compile(case.source, str(program), "exec", dont_inherit=True), space)
        needed(case, analyze(space["target"], strict=False))
    finally:
        for name in case.files:
            sys.modules.pop(Path(name).stem, None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_function_of_an_own_module_needs_the_same(case: Case, program: Path) -> None:
    try:
        needed(case, analyze(importlib.import_module(program.stem).target, strict=False))
    finally:
        for name in (*case.files, program.name):
            sys.modules.pop(Path(name).stem, None)
