"""Functions that are alive: what they need is found without calling them."""

from __future__ import annotations

import functools
import importlib
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import packaging.version
import pytest
import yaml
from packaging.version import Version

import poncho
from poncho.analysis import Analysis, analyze

ALIAS = yaml


def needs(*functions: Any, **options: Any) -> set[str]:
    analysis: Analysis = analyze(list(functions), strict=False, **options)
    return {one.name for one in analysis.findings if one.included}


def test_imports_inside_the_function() -> None:
    def f() -> Any:
        import requests

        return requests

    assert needs(f) == {"requests"}


def test_a_module_level_import_that_the_function_uses() -> None:
    def f() -> Any:
        return yaml.safe_load("")

    def g() -> Any:
        return ALIAS

    def h() -> Any:
        return packaging.version.parse("1")

    assert needs(f) == {"pyyaml"}
    assert needs(g) == {"pyyaml"}
    assert needs(h) == {"packaging"}


def test_a_class_taken_from_a_module() -> None:
    def f() -> Any:
        return Version("1")

    assert needs(f) == {"packaging"}


def test_closures_defaults_and_annotations_of_other_functions() -> None:
    module = yaml

    def in_closure() -> Any:
        return module

    def in_default(x: Any = yaml.safe_load) -> Any:
        return x

    def caller() -> Any:
        return helper()

    assert needs(in_closure) == {"pyyaml"}
    assert needs(in_default) == {"pyyaml"}
    assert needs(caller) == {"pyyaml"}


def helper() -> Any:
    return [lambda: yaml]


def test_partials_methods_instances_and_wrappers() -> None:
    class App:
        def __init__(self, func: Callable[..., Any]) -> None:
            self.func = func

        def __call__(self) -> Any:
            return self.func()

        def method(self) -> Any:
            return yaml

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper() -> Any:
            return function()

        return wrapper

    assert needs(functools.partial(helper, yaml)) == {"pyyaml"}
    assert needs(App(helper)) == {"pyyaml"}
    assert needs(App(len).method) == {"pyyaml"}
    assert needs(wrap(helper)) == {"pyyaml"}
    assert needs(App) == {"pyyaml"}


def test_a_function_without_source() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "import yaml as y\ndef f():\n    import importlib\n    from packaging import version\n"
        "    importlib.import_module('requests')\n    return y.load\n",
        space,
    )
    assert needs(space["f"]) == {"packaging", "requests", "pyyaml"}


def test_a_guarded_import_is_optional() -> None:
    def f() -> Any:
        try:
            import zzz_speedups
        except ImportError:
            zzz_speedups = None
        return zzz_speedups

    assert needs(f) == set()
    assert analyze(f).unresolved[0].tier.label == "optional"


def test_a_local_module_is_analysed_whole_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "poncho_test_tools.py").write_text("import yaml\nimport poncho_test_more\ndef tool(): pass\n")
    (tmp_path / "poncho_test_more.py").write_text("import requests\n")
    (tmp_path / "poncho_test_entry.py").write_text(
        textwrap.dedent("""
        import packaging
        from poncho_test_tools import tool
        def entry():
            return tool()
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = importlib.import_module("poncho_test_entry").entry
    try:
        analysis = analyze(entry)
    finally:
        for name in ("poncho_test_entry", "poncho_test_tools", "poncho_test_more"):
            sys.modules.pop(name, None)
    assert {one.name for one in analysis.findings} == {"pyyaml", "requests"}
    assert {path.name for path in analysis.local_modules} == {
        "poncho_test_entry.py", "poncho_test_tools.py", "poncho_test_more.py",
    }  # fmt: skip


def test_builtins_and_functions_of_installed_packages() -> None:
    assert needs(len) == set()
    assert needs(yaml.safe_load) == {"pyyaml"}


def test_endless_and_cyclic_values_end() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    many = [[object() for _ in range(100)] for _ in range(1000)]

    def f() -> Any:
        return cycle, many, f, yaml

    assert needs(f) == {"pyyaml"}


def test_nothing_is_called_on_the_way() -> None:
    called = []

    class Hostile:
        def __getattr__(self, name: str) -> Any:
            called.append(name)
            raise RuntimeError(name)

        @property
        def func(self) -> Any:
            called.append("func")
            raise RuntimeError

        def __call__(self) -> None:
            called.append("call")

    trap = Hostile()

    def f() -> Any:
        return trap

    needs(f)
    needs(trap)
    assert called == []


def test_modules_as_values_are_what_they_are_named() -> None:
    fake = types.ModuleType("zzz_made_up")

    def f() -> Any:
        return fake

    analysis = analyze(f, strict=False)
    assert [one.name for one in analysis.unresolved] == ["zzz_made_up"]


def test_the_library_s_face_takes_one_function() -> None:
    spec = poncho.analyze(helper, extra=["requests"]).spec
    assert any(one.startswith("pyyaml==") for one in spec.pip)
    assert any(one.startswith("requests==") for one in spec.pip)
