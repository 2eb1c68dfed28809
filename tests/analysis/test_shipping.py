"""The program's own modules as a wheel that a spec can name."""

from __future__ import annotations

import importlib
import sys
import textwrap
import zipfile
from pathlib import Path
from urllib.parse import unquote

import pytest
from packaging.requirements import Requirement

from poncho.analysis import Analysis, analyze, shipping
from poncho.analysis.shipping import ship
from poncho.errors import AnalysisError
from poncho.store import BuilderCache, remove_tree
from tests.support.odd import deep


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script with a package (and data in it), a module, and a module in a directory without ``__init__.py``."""
    top = tmp_path / "my project"
    for name, text in {
        "app.py": "import ship_pkg.deep\nimport ship_one\nfrom ship_ns import two\ndef f():\n    return ship_one\n",
        "ship_pkg/__init__.py": "",
        "ship_pkg/deep/__init__.py": "import yaml",
        "ship_pkg/data.txt": "data",
        "ship_pkg/__pycache__/x.pyc": "",
        "ship_pkg/.hidden": "",
        "ship_one.py": "import requests",
        "ship_ns/two.py": "",
        "unrelated.py": "",
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    monkeypatch.chdir(top)
    return top


def wheel_of(analysis: Analysis) -> Path:
    found = [Requirement(one) for one in analysis.spec.pip if one.startswith("poncho-local-modules @ ")]
    assert len(found) == 1
    return Path(unquote(str(found[0].url).removeprefix("file://")))


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_what_a_script_imports_of_its_own_is_shipped_and_the_script_is_not(project: Path) -> None:
    analysis = analyze([Path("app.py")], ship_local=True)
    assert members(wheel_of(analysis)) == {
        "ship_pkg/__init__.py", "ship_pkg/deep/__init__.py", "ship_pkg/data.txt", "ship_one.py", "ship_ns/two.py",
    }  # fmt: skip
    assert analysis.shipped == ("ship_ns.two", "ship_one", "ship_pkg", "ship_pkg.deep")
    finding = next(one for one in analysis.findings if one.name == "poncho-local-modules")
    assert finding.imports == ("ship_ns", "ship_one", "ship_pkg")
    assert finding.included


def test_without_the_option_own_modules_are_only_reported(project: Path) -> None:
    analysis = analyze([Path("app.py")])
    assert analysis.shipped == ()
    assert not [one for one in analysis.spec.pip if "local-modules" in one]
    assert len(analysis.local_modules) == 4


def test_the_function_s_own_module_is_shipped_and_read_whole(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project))
    (project / "ship_home.py").write_text("import packaging\nimport ship_one\ndef f():\n    return 1\n")
    function = importlib.import_module("ship_home").f
    try:
        alone = analyze(function)
        analysis = analyze(function, ship_local=True)
    finally:
        sys.modules.pop("ship_home", None)
        sys.modules.pop("ship_one", None)
    assert [one.name for one in alone.findings] == []
    assert members(wheel_of(analysis)) == {"ship_home.py", "ship_one.py"}
    assert {one.name for one in analysis.findings} == {"packaging", "requests", "poncho-local-modules"}


def test_a_package_given_whole_is_shipped_without_its_tests_being_asked_for(project: Path) -> None:
    (project / "ship_pkg" / "tests").mkdir()
    (project / "ship_pkg" / "tests" / "__init__.py").write_text("")
    (project / "ship_pkg" / "tests" / "test_x.py").write_text("import pytest\n")
    analysis = analyze([Path("ship_pkg")], ship_local=True)
    assert analysis.shipped == ("ship_pkg", "ship_pkg.deep")


def test_same_files_give_the_same_wheel_and_others_another(project: Path, cache: Path) -> None:
    first = wheel_of(analyze([Path("app.py")], ship_local=True))
    bytes_then = first.read_bytes()
    first.unlink()
    assert wheel_of(analyze([Path("app.py")], ship_local=True)) == first
    assert first.read_bytes() == bytes_then
    (project / "ship_pkg" / "data.txt").write_text("other")
    assert wheel_of(analyze([Path("app.py")], ship_local=True)) != first


def test_nothing_of_its_own_is_nothing_to_ship(project: Path) -> None:
    assert analyze([Path("unrelated.py")], ship_local=True).shipped == ()


def test_two_files_that_are_one_module_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.py").write_text(name)
    files = [tmp_path / "a" / "same.py", tmp_path / "b" / "same.py"]
    with pytest.raises(AnalysisError, match=r"are the same module, same\.py"):
        ship(files, [tmp_path / "a", tmp_path / "b"], BuilderCache(tmp_path / "cache"))


def test_too_much_data_in_a_package_is_refused_with_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_MOST_BYTES", 3)
    with pytest.raises(AnalysisError, match="larger than") as caught:
        analyze([Path("app.py")], ship_local=True)
    assert "move the data" in (caught.value.hint or "")


def test_several_functions_of_one_file_all_count(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project))
    (project / "ship_two.py").write_text(
        textwrap.dedent("""
        def f():
            import yaml
        def g():
            import requests
        """)
    )
    module = importlib.import_module("ship_two")
    sys.modules.pop("ship_two", None)
    sys.modules["ship_two"] = module
    try:
        assert {one.name for one in analyze([module.f, module.g]).findings} == {"pyyaml", "requests"}
    finally:
        sys.modules.pop("ship_two", None)


def test_a_package_with_directories_deep_in_each_other_is_shipped_whole(tmp_path: Path) -> None:
    package = tmp_path / "top" / "pkg"
    package.parent.mkdir()
    deep(package, 1100)
    (package / "__init__.py").write_text("")
    try:
        shipped = ship([package / "__init__.py"], [package.parent])
    finally:
        remove_tree(package)  # pytest could not
    assert shipped is not None
    path = Path(unquote(Requirement(shipped.requirement).url or "").removeprefix("file://").partition("#")[0])
    assert any(name.endswith("/d" * 1100 + "/f.py") for name in zipfile.ZipFile(path).namelist())
