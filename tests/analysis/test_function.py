"""--function: what one function uses, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from poncho.analysis import Analysis
from poncho.errors import AnalysisError

Look = Callable[..., Analysis]
MODULE = """
import numpy as np
import pandas as pd
import scipy.linalg, scipy.stats
from dask import delayed
import requests
import yaml
try:
    import ujson as json
except ImportError:
    import json

URL = requests.get

def helper(x):
    return pd.DataFrame(x)

def f(x, y=URL):
    import sympy
    return helper(np.array(x)), sympy

async def g():
    return yaml

@delayed
def decorated():
    pass

def recursive(n):
    return recursive(n - 1)

def shadow(np):
    yaml = 1
    return np, yaml

def reimport():
    import cupy as np
    return np

class Base:
    def m(self):
        return scipy.stats

class Child(Base):
    @staticmethod
    def work():
        return 1

def outer():
    import networkx as nx
    def inner():
        return nx
    return inner

if True:
    def guarded():
        import h5py

assigned = delayed(lambda x: np.array(x))

def hides():
    def inner():
        yaml = 1
        return yaml
    return inner, yaml

def annotated(x: np.ndarray) -> None:
    pass

async def streams():
    async for one in source():
        yield one

async def source():
    from aiohttp import ClientSession
    yield ClientSession
"""


def names(analysis: Analysis) -> set[str]:
    return {one.name for one in analysis.findings if one.included}


@pytest.mark.parametrize(
    ("function", "needs"),
    [
        ("f", {"sympy", "numpy", "pandas", "requests"}),
        ("helper", {"pandas"}),
        ("g", {"pyyaml"}),
        ("decorated", {"dask"}),
        ("recursive", set()),
        ("shadow", set()),
        ("reimport", {"cupy"}),
        ("Base.m", {"scipy"}),
        ("m", {"scipy"}),
        ("Child.work", {"scipy"}),
        ("outer", {"networkx"}),
        ("outer.inner", {"networkx"}),
        ("outer.<locals>.inner", {"networkx"}),
        ("inner", {"networkx"}),
        ("guarded", {"h5py"}),
        ("Base", {"scipy"}),
        ("assigned", {"dask", "numpy"}),
        ("hides", {"pyyaml"}),
        ("annotated", {"numpy"}),
        ("streams", {"aiohttp"}),
    ],
)
def test_a_function_needs_what_it_reaches(look: Look, function: str, needs: set[str]) -> None:
    assert names(look(MODULE, function=function)) == needs


def test_what_a_function_imports_is_required(look: Look) -> None:
    assert look(MODULE, function="guarded").findings[0].tier.label == "required"


def test_a_missing_function_is_named_with_those_that_exist(look: Look) -> None:
    with pytest.raises(AnalysisError) as caught:
        look("def present(): pass\nclass A:\n    async def m(self): pass\n", function="absent")
    assert "'absent'" in caught.value.message
    assert "app.py" in caught.value.message
    assert "A.m, present" in (caught.value.hint or "")


def test_a_function_is_found_in_a_file_that_does_not_parse(look: Look) -> None:
    analysis = look("import numpy\ndef f():\n    import yaml\ndef g():\n    import pandas\nx = = 1\n", function="f")
    assert names(analysis) == {"numpy", "pyyaml"}
    assert "app.py:6" in str(analysis.problems[0])


def test_several_functions_are_taken_together(look: Look) -> None:
    assert names(look(MODULE, function=["helper", "Base.m"])) == {"pandas", "scipy"}


def test_a_name_that_is_nearly_right_is_suggested(look: Look) -> None:
    with pytest.raises(AnalysisError) as caught:
        look(MODULE, function=["helpr", "f", "Base.mm"])
    assert caught.value.message == "no function 'helpr' and 'Base.mm' in app.py"
    assert "did you mean helper and Base.m?" in (caught.value.hint or "")
