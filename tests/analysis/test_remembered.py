"""A second analysis of the same files gives what the first gave, and never what is not so any more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poncho.analysis import Analysis, analyze
from poncho.store import BuilderCache


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A program of 30 files that needs numpy, and pandas in one of its functions."""
    top = tmp_path / "program"
    (top / "core").mkdir(parents=True)
    (top / "core" / "__init__.py").write_text("")
    for number in range(29):
        (top / "core" / f"m{number}.py").write_text(f"import numpy\nfrom . import m{(number + 1) % 29}\n")
    (top / "core" / "m3.py").write_text(
        "def f():\n    import pandas\ntry:\n    import ujson\nexcept ImportError:\n    pass\n"
    )
    return top


def _run(tree: Path, prefix: Path) -> Analysis:
    return analyze(tree, prefix=prefix, strict=False)


def _names(analysis: Analysis) -> set[str]:
    return {one.name for one in analysis.findings}


def _answers() -> list[Path]:
    return sorted(path for path in BuilderCache.default().directory("analysis").rglob("*") if path.is_file())


@pytest.mark.parametrize("settled", [False, True])
def test_what_was_found_is_found_again(tree: Path, env_prefix: Path, settled: bool) -> None:
    if settled:
        time.sleep(2.1)
    first = _run(tree, env_prefix)
    assert len(_answers()) == 2
    assert _run(tree, env_prefix).to_json() == first.to_json()
    assert _names(first) == {"numpy", "pandas", "ujson"}


def test_what_only_a_part_of_a_package_needs_is_so_again(tree: Path, env_prefix: Path) -> None:
    (tree / "core" / "m4.py").write_text("def f():\n    import no_such_module_anywhere\n")
    first = _run(tree / "core", env_prefix)
    assert any("only a part of the program" in problem.message for problem in first.problems)
    assert _run(tree / "core", env_prefix).to_json() == first.to_json()


@pytest.mark.parametrize("settled", [False, True])
def test_every_change_is_seen(tree: Path, env_prefix: Path, settled: bool) -> None:
    if settled:
        time.sleep(2.1)
    _run(tree, env_prefix)
    changed = tree / "core" / "m5.py"
    status = changed.stat()
    changed.write_text(changed.read_text().replace("numpy", "scipy"))
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "scipy" in _names(_run(tree, env_prefix))
    (tree / "new.py").write_text("import awkward\n")
    assert "awkward" in _names(_run(tree, env_prefix))
    (tree / "new.py").unlink()
    assert "awkward" not in _names(_run(tree, env_prefix))
    (tree / "numpy.py").write_text("")
    assert "numpy" not in _names(_run(tree, env_prefix))


def test_a_file_that_was_only_touched_is_not_read_as_changed(tree: Path, env_prefix: Path) -> None:
    first = _run(tree, env_prefix)
    for path in tree.rglob("*.py"):
        path.touch()
    before = [path.stat().st_mtime_ns for path in _answers()]
    assert _run(tree, env_prefix).to_json() == first.to_json()
    assert len(_answers()) == len(before)


def test_what_is_installed_later_is_seen(tree: Path, env_prefix: Path) -> None:
    assert "==" not in next(one for one in _run(tree, env_prefix).findings if one.name == "numpy").requirement
    site = next((env_prefix / "lib").glob("python*/site-packages"))
    (site / "numpy").mkdir()
    (site / "numpy" / "__init__.py").write_text("")
    (site / "numpy-9.9.dist-info").mkdir()
    (site / "numpy-9.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 9.9\n")
    (site / "numpy-9.9.dist-info" / "RECORD").write_text("numpy/__init__.py,,\n")
    assert next(one for one in _run(tree, env_prefix).findings if one.name == "numpy").version == "9.9"


def _install(site: Path, name: str, *modules: str) -> Path:
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("".join(f"{module}.py,,\n" for module in modules))
    return metadata


def _crowded(env_prefix: Path) -> Path:
    """Install so many distributions that they are remembered, long enough ago; return their site directory."""
    site = next((env_prefix / "lib").glob("python*/site-packages"))
    for number in range(30):
        _install(site, f"part{number}", f"module{number}")
    time.sleep(2.1)
    return site


def test_what_distributions_provide_is_remembered_until_it_changes(tree: Path, env_prefix: Path) -> None:
    site = _crowded(env_prefix)
    (tree / "app.py").write_text("import module7\nimport late\n")
    first = _run(tree, env_prefix)
    assert len(_answers()) == 3
    kept = {path: path.read_bytes() for path in _answers()}
    assert "part7" in _names(first)
    assert _run(tree, env_prefix).to_json() == first.to_json()
    assert {path: path.read_bytes() for path in _answers()} == kept
    _install(site, "part7", "other")
    _install(site, "belated", "late")
    assert {"belated"} == {name for name in _names(_run(tree, env_prefix)) if name.startswith(("part", "belated"))}
    shutil.rmtree(site / "belated-1.0.dist-info")
    _install(site, "part7", "late")
    assert "part7" in _names(_run(tree, env_prefix))


def test_a_remembered_distribution_of_another_form_is_none(tree: Path, env_prefix: Path) -> None:
    from poncho.store.answers import read_answer, write_answer

    _crowded(env_prefix)
    (tree / "app.py").write_text("import module7\n")
    first = _run(tree, env_prefix)
    inventory = next(path for path in _answers() if "part7-1.0.dist-info" in path.read_text())
    kept = read_answer(inventory)
    for row in (1, [], [{}], [{"": 1}, "x", "y"], [{"": [0, 0, 0]}, "x", "y"], [{}, 1, 2], None):
        write_answer(inventory, dict.fromkeys(kept, row))
        assert _run(tree, env_prefix).to_json() == first.to_json()


def test_options_and_other_directories_have_their_own_answers(
    tree: Path, env_prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "pandas" in _names(_run(tree, env_prefix))
    assert "pandas" not in _names(analyze(tree, prefix=env_prefix, toplevel=True, strict=False))
    monkeypatch.chdir(tree)
    assert {one.places[0].file.partition("/")[0] for one in _run(Path("core"), env_prefix).findings} == {"core"}


@pytest.mark.parametrize("damage", ["", "{", "null", "[]", '{"files": [], "folders": [], "answers": [], "found": {}}'])
def test_a_damaged_cache_is_no_cache(tree: Path, env_prefix: Path, damage: str) -> None:
    first = _run(tree, env_prefix)
    for path in _answers():
        path.write_text(damage)
    assert _run(tree, env_prefix).to_json() == first.to_json()


@pytest.mark.parametrize("answer", [[], {}, {"files": 1}, {"files": [], "folders": [], "answers": [], "found": {}}])
def test_an_answer_of_another_form_is_none(tree: Path, env_prefix: Path, answer: object) -> None:
    from poncho.store.answers import write_answer

    first = _run(tree, env_prefix)
    for path in _answers():
        write_answer(path, answer)  # type: ignore[arg-type]
    assert _run(tree, env_prefix).to_json() == first.to_json()


def test_an_analysis_without_a_cache_directory_works(
    tree: Path, env_prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert _names(_run(tree, env_prefix)) == {"numpy", "pandas", "ujson"}


def test_analyses_at_the_same_time_agree(tree: Path, env_prefix: Path) -> None:
    command = [sys.executable, "-m", "poncho.cli.analyze", "-q", "--prefix", str(env_prefix), str(tree), "-"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(6)]
    printed = {one.communicate()[0] for one in running}
    assert all(one.returncode == 0 for one in running)
    assert len(printed) == 1
    assert len(_answers()) == 2


def test_prune_deletes_what_was_remembered(tree: Path, env_prefix: Path) -> None:
    _run(tree, env_prefix)
    command = [sys.executable, "-m", "poncho.cli.main", "cache"]
    listed = subprocess.run([*command, "list"], capture_output=True, text=True, check=True).stdout
    assert "analysis" in listed
    subprocess.run([*command, "verify"], check=True, capture_output=True)
    assert len(_answers()) == 2
    shutil.rmtree(BuilderCache.default().directory("analysis"))
    assert _names(_run(tree, env_prefix)) == {"numpy", "pandas", "ujson"}


@pytest.fixture
def env_prefix(env: object) -> Path:
    """The prefix of an empty virtual environment."""
    return env.prefix  # type: ignore[attr-defined,no-any-return]
