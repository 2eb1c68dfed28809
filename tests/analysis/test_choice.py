"""Tiers, what is taken in and left out, and why."""

from __future__ import annotations

from typing import Any

import pytest

from poncho.analysis import analyze
from poncho.analysis.explain import explain
from poncho.errors import AnalysisError

TEXT = """
from typing import TYPE_CHECKING
import numpy
if TYPE_CHECKING:
    import pandas
try:
    import scipy
except ImportError:
    scipy = None
def plot():
    import matplotlib.pyplot
def f(frame):
    frame.to_parquet("x")
"""


def chosen(analysis: Any) -> set[str]:
    return {one.name for one in analysis.findings if one.included}


def test_the_default_cut_is_what_runs(look: Any) -> None:
    analysis = look(TEXT)
    assert chosen(analysis) == {"numpy", "matplotlib"}
    why = {one.name: one.because for one in analysis.findings}
    assert why["numpy"] == "required: imported whenever the program runs"
    assert why["matplotlib"] == "conditional: inside a function"
    assert why["scipy"] == "optional: under try/except ImportError; it is not installed"
    assert why["pandas"] == "type-checking: under TYPE_CHECKING"
    assert why["pyarrow"].startswith("hint: ")


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["optional"], [], {"numpy", "matplotlib", "scipy"}),
        (["type-checking", "hint"], [], {"numpy", "matplotlib", "pandas", "pyarrow"}),
        (["pandas"], [], {"numpy", "matplotlib", "pandas"}),
        ([], ["conditional"], {"numpy"}),
        ([], ["matplotlib.pyplot"], {"numpy"}),
        (["optional"], ["SciPy"], {"numpy", "matplotlib"}),
        (["scipy"], ["optional"], {"numpy", "matplotlib", "scipy"}),
    ],
)
def test_tiers_and_names_are_taken_in_and_left_out(
    look: Any, include: list[str], exclude: list[str], expected: set[str]
) -> None:
    analysis = look(TEXT, include=include, exclude=exclude)
    assert chosen(analysis) == expected
    assert {one.split(">")[0] for one in analysis.spec.pip} == expected


@pytest.mark.parametrize(
    ("include", "exclude", "message"),
    [
        (["nothing_imports_this"], [], "nothing imports nothing_imports_this"),
        (["scipy"], ["scipy"], "to be taken in and left out"),
        ([""], [], "an empty word"),
        ([], ["declared"], "can be taken in, not left out"),
    ],
)
def test_a_choice_that_makes_no_sense_is_said(look: Any, include: list[str], exclude: list[str], message: str) -> None:
    with pytest.raises(AnalysisError, match=message) as caught:
        look(TEXT, include=include, exclude=exclude)
    assert caught.value.hint


def test_an_import_without_a_package_can_be_left_out(look: Any) -> None:
    with pytest.raises(AnalysisError, match="zzz_nowhere"):
        look("import zzz_nowhere, numpy\n")
    assert chosen(look("import zzz_nowhere, numpy\n", exclude=["zzz_nowhere"])) == {"numpy"}


def test_an_optional_one_without_a_package_must_have_one_when_it_is_asked_for(look: Any) -> None:
    text = "try:\n    import zzz_nowhere\nexcept ImportError:\n    pass\n"
    look(text)
    with pytest.raises(AnalysisError, match="zzz_nowhere"):
        look(text, include=["optional"])


def test_every_place_has_its_own_tier_and_reason(look: Any) -> None:
    analysis = look("import numpy\ndef f():\n    from numpy import linalg\n")
    reasons = analysis.findings[0].reasons
    assert [(str(one.place), one.imported, one.tier.label, one.why) for one in reasons] == [
        ("app.py:1", "numpy", "required", ""),
        ("app.py:3", "numpy.linalg", "conditional", "inside a function"),
    ]
    assert analysis.to_json()["findings"][0]["reasons"][1]["place"] == "app.py:3"


def test_what_is_installed_of_the_optional_ones_is_taken_in_and_says_so(look: Any, env: Any) -> None:
    env.install("scipy", "1.0", {"scipy/__init__.py": ""})
    analysis = look(TEXT)
    assert "scipy" in chosen(analysis)
    assert "installed in the environment" in next(one.because for one in analysis.findings if one.name == "scipy")


def test_what_only_tests_import_is_left_out_though_it_is_installed(env: Any, tmp_path: Any) -> None:
    env.install("pytest", "8.0", {"pytest/__init__.py": ""})
    (tmp_path / "tests").mkdir()
    (tmp_path / "app.py").write_text("import numpy\n")
    (tmp_path / "tests" / "test_app.py").write_text("import pytest\n")
    analysis = analyze([tmp_path], prefix=env.prefix)
    assert chosen(analysis) == {"numpy"}
    assert "pytest" in chosen(analyze([tmp_path], prefix=env.prefix, include=["pytest"]))


def test_explain_knows_imports_packages_standard_and_own_modules(look: Any, tmp_path: Any) -> None:
    (tmp_path / "helper.py").write_text("")
    analysis = look("import yaml, json, helper\n")
    assert explain(analysis, "yaml").findings == explain(analysis, "PyYAML").findings != ()
    assert "standard library" in explain(analysis, "json").said
    assert "own code" in explain(analysis, "helper").said
    with pytest.raises(AnalysisError, match="nothing imports yam") as caught:
        explain(analysis, "yam")
    assert "yaml" in (caught.value.hint or "")
    lost = look("import zzz_nowhere\n", strict=False)
    assert explain(lost, "zzz_nowhere").unresolved[0].reasons[0].tier.label == "required"
