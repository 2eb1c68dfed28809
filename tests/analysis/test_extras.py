"""Modules for which a distribution has an extra bring that extra along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import Analysis
from poncho.analysis.extras import extra_of, with_extras
from poncho.analysis.known import is_project

Look = Callable[..., Analysis]
TABLE = Path(__file__).parents[2] / "poncho/analysis/data/extras.tsv"
TWICE = """\
import bleach
try:
    from bleach.css_sanitizer import CSSSanitizer
except ImportError:
    try:
        from bleach import ALLOWED_STYLES
    except ImportError:
        pass
"""


def _pip(analysis: Analysis) -> tuple[str, ...]:
    return analysis.spec.pip


def test_the_table_of_extras_is_sorted_and_names_known_projects() -> None:
    rows = [line.split("\t") for line in TABLE.read_text("utf-8").splitlines()]
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    assert all(len(row) == 4 and is_project(row[1]) and row[3] for row in rows)


@pytest.mark.parametrize(
    ("dotted", "extra"),
    [
        ("bleach.css_sanitizer.CSSSanitizer", "css"),
        ("dask.dataframe", "dataframe"),
        ("dask.array.linalg", "array"),
        ("dask.delayed", None),
        ("bleach", None),
    ],
)
def test_the_longest_part_of_an_import_tells_the_extra(dotted: str, extra: str | None) -> None:
    found = extra_of(dotted)
    assert (found.extra if found else None) == extra


@pytest.mark.parametrize(
    ("requirement", "extras", "text"),
    [
        ("dask", ("dataframe", "array"), "dask[array,dataframe]"),
        ("dask[array]>=2", ("dataframe",), "dask[array,dataframe]>=2"),
        ("dask==1.0", ("array",), "dask[array]==1.0"),
        ("dask @ https://x/y.whl", ("array",), "dask @ https://x/y.whl"),
        ("dask", (), "dask"),
    ],
)
def test_a_requirement_keeps_all_its_extras(requirement: str, extras: tuple[str, ...], text: str) -> None:
    assert with_extras(requirement, extras) == text


def test_imported_modules_ask_for_their_extras_with_the_reason(look: Look) -> None:
    analysis = look("import dask.dataframe as dd\nfrom fsspec.implementations import sftp, http\n")
    assert _pip(analysis) == ("dask[dataframe]", "fsspec[http,sftp]")
    assert "dask.dataframe needs dask[dataframe]: numpy" in analysis.findings[0].evidence


def test_what_is_only_tried_asks_for_no_extra_unless_the_same_distribution_is_tried_in_two_ways(look: Look) -> None:
    assert _pip(look(TWICE)) == ("bleach[css]",)
    once = "import bleach\ntry:\n    from bleach.css_sanitizer import x\nexcept ImportError:\n    x = None\n"
    assert _pip(look(once)) == ("bleach",)


def test_no_extra_is_asked_for_where_all_of_it_is_imported_anyway(look: Look) -> None:
    assert _pip(look("import bleach.css_sanitizer\nimport tinycss2\n")) == ("bleach", "tinycss2")


def test_of_an_extra_for_everything_only_what_is_needed_is_asked_for(look: Look) -> None:
    assert _pip(look("import twisted.internet.ssl\n")) == ("cryptography", "pyopenssl", "service-identity", "twisted")


def test_in_an_environment_the_extra_counts_when_its_packages_are_there(look: Look, env: Any) -> None:
    env.install("bleach", "6.1", {"bleach/__init__.py": "", "bleach/css_sanitizer.py": ""})
    assert _pip(look("import bleach.css_sanitizer\n")) == ("bleach==6.1",)
    env.install("tinycss2", "1.2", {"tinycss2/__init__.py": ""})
    assert _pip(look("import bleach.css_sanitizer\n")) == ("bleach[css]==6.1",)


def test_conda_gets_the_packages_of_the_extra(look: Look, conda_env: Any) -> None:
    analysis = look("import bleach.css_sanitizer\n", prefix=conda_env.prefix)
    assert {"bleach", "tinycss2"} <= set(analysis.spec.conda)
    assert not analysis.spec.pip
    found = next(one for one in analysis.findings if one.name == "tinycss2")
    assert "bleach.css_sanitizer needs bleach[css]: tinycss2" in found.evidence
