"""Every way to import something is seen, with the tier it deserves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from poncho.analysis import Analysis, Tier

Look = Callable[..., Analysis]


def tiers(analysis: Analysis) -> dict[str, str]:
    """Return the tier of each distribution."""
    return {one.name: one.tier.label for one in analysis.findings}


def included(analysis: Analysis) -> set[str]:
    """Return the names of the distributions in the spec."""
    return {one.name for one in analysis.findings if one.included}


@pytest.mark.parametrize(
    ("source", "tier"),
    [
        ("import numpy", "required"),
        ("import numpy.linalg as la, os", "required"),
        ("from numpy import *", "required"),
        ("from numpy.linalg import norm as n", "required"),
        ("import os; import numpy", "required"),
        ("with open('x') as f:\n    import numpy", "required"),
        ("class A:\n    import numpy", "required"),
        ("if __name__ == '__main__':\n    import numpy", "required"),
        ("if True:\n    import numpy", "required"),
        ("def f():\n    import numpy", "conditional"),
        ("async def f():\n    async with a:\n        import numpy", "conditional"),
        ("def f():\n    def g():\n        class A:\n            import numpy", "conditional"),
        ("if flag:\n    import numpy", "conditional"),
        ("if flag:\n    pass\nelif other:\n    import numpy", "conditional"),
        ("while flag:\n    import numpy", "conditional"),
        ("match flag:\n    case 1:\n        import numpy", "conditional"),
        ("import importlib\nimportlib.import_module('numpy.linalg')", "conditional"),
        ("x = __import__('numpy')", "conditional"),
        ("try:\n    import numpy\nexcept ImportError:\n    numpy = None", "optional"),
        ("try:\n    import numpy\nexcept (AttributeError, ModuleNotFoundError):\n    pass", "optional"),
        ("try:\n    import numpy\nexcept Exception:\n    pass\nelse:\n    import numpy.linalg", "optional"),
        ("try:\n    import numpy\nexcept:\n    pass", "optional"),
        ("import contextlib\nwith contextlib.suppress(ImportError):\n    import numpy", "optional"),
        ("np = pytest.importorskip('numpy')", "optional"),
        ("try:\n    import numpy\nexcept ImportError:\n    raise SystemExit('no numpy')", "required"),
        ("import sys\ntry:\n    import numpy\nexcept ImportError:\n    print('x')\n    sys.exit(1)", "required"),
        ("try:\n    import numpy\nexcept ValueError:\n    pass", "required"),
        ("try:\n    pass\nfinally:\n    import numpy", "required"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy", "type-checking"),
        ("import typing\nif typing.TYPE_CHECKING:\n    import numpy", "type-checking"),
        ("import typing as t\nif not t.TYPE_CHECKING:\n    import numpy", "required"),
    ],
)
def test_an_import_has_the_tier_of_what_it_stands_under(look: Look, source: str, tier: str) -> None:
    analysis = look(source)
    assert tiers(analysis) == {"numpy": tier}
    assert included(analysis) == ({"numpy"} if tier in ("required", "conditional") else set())


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nif sys.platform == 'win32':\n    import win32api",
        "import sys\nif sys.platform.startswith('win'):\n    import win32api",
        "import os\nif os.name == 'nt':\n    import zzz_unknown",
        "import sys\nif sys.version_info < (3, 0):\n    import urllib2",
        "import sys\nif sys.version_info[0] == 2:\n    import urllib2",
        "import sys\nif sys.version_info >= (3, 8):\n    import json\nelse:\n    import simplejson",
        "if False:\n    import zzz_unknown",
    ],
)
def test_branches_for_other_platforms_and_versions_are_left_out(look: Look, source: str) -> None:
    analysis = look(source)
    assert not analysis.spec.pip
    # It is reported all the same, also where it is installed.
    assert analysis.findings or analysis.unresolved
    assert all(one.tier is Tier.OPTIONAL and not one.included for one in analysis.findings)


def test_the_surest_of_several_imports_counts_and_all_places_are_told(look: Look) -> None:
    finding = look("def f():\n    import numpy\nimport numpy\n").findings[0]
    assert finding.tier is Tier.REQUIRED
    assert [str(place) for place in finding.places] == ["app.py:2", "app.py:3"]


def test_an_import_in_a_string_or_comment_is_none(look: Look) -> None:
    assert look("# import numpy\nx = '''\nimport numpy\n'''\n").findings == ()


def test_of_two_alternatives_the_installed_one_is_taken(look: Look, env) -> None:
    env.install("simplejson", "3.19", {"simplejson.py": ""})
    source = "try:\n    import ujson as json\nexcept ImportError:\n    import simplejson as json\n"
    assert included(look(source)) == {"simplejson"}


def test_of_two_alternatives_neither_installed_the_first_is_taken(look: Look) -> None:
    source = "try:\n    import ujson as json\nexcept ImportError:\n    import simplejson as json\n"
    assert included(look(source)) == {"ujson"}


def test_an_alternative_that_the_program_needs_anyway_is_enough(look: Look) -> None:
    source = "import numpy\ntry:\n    import cupy as xp\nexcept ImportError:\n    import numpy as xp\n"
    assert included(look(source)) == {"numpy"}


def test_the_fallback_of_a_standard_module_is_not_needed(look: Look) -> None:
    (found,) = look("try:\n    import json\nexcept ImportError:\n    import simplejson as json\n").findings
    assert (found.name, found.tier, found.included) == ("simplejson", Tier.OPTIONAL, False)


def test_optional_imports_without_any_known_package_are_told_but_no_error(look: Look) -> None:
    analysis = look("try:\n    import zzz_speedups\nexcept ImportError:\n    pass\n")
    assert [one.name for one in analysis.unresolved] == ["zzz_speedups"]


def test_optional_imports_that_are_installed_are_in_the_spec(look: Look, env) -> None:
    env.install("ujson", "5.0", {"ujson.py": ""})
    assert included(look("try:\n    import ujson\nexcept ImportError:\n    pass\n")) == {"ujson"}


def test_hints_are_only_taken_when_installed(look: Look, env) -> None:
    source = "import pandas as pd\npd.read_excel('x.xlsx')\nx = 's3://bucket'\n"
    assert tiers(look(source)) == {"pandas": "required", "openpyxl": "hint", "s3fs": "hint"}
    assert included(look(source)) == {"pandas"}
    env.install("openpyxl", "3.1", {"openpyxl/__init__.py": ""})
    assert included(look(source)) == {"pandas", "openpyxl"}


def test_toplevel_leaves_functions_out_and_keeps_what_runs(look: Look) -> None:
    source = (
        "import numpy\nif x:\n    import pandas\nclass A:\n    import scipy\n    def m(self):\n        import yaml\n"
    )
    assert included(look(source, toplevel=True)) == {"numpy", "pandas", "scipy"}
