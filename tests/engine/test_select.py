"""Which engine is chosen."""

from __future__ import annotations

import os

import pytest

from poncho.engine import select, select_engine
from poncho.errors import BuildError
from poncho.store import BuilderCache
from tests.support.conda_command import play


@pytest.fixture
def cache(tmp_path):
    return BuilderCache(tmp_path / "cache")


def test_py_rattler_is_the_default_even_in_an_activated_conda(cache, tmp_path):
    conda = play(tmp_path / "bin")
    assert select_engine(None, cache=cache, environ={"CONDA_EXE": str(conda.path)}).name == "rattler"


def test_a_command_is_found_on_path_or_by_its_path(cache, tmp_path):
    micromamba = play(tmp_path / "bin", name="micromamba").path
    for name in ("micromamba", str(micromamba)):
        engine = select_engine(name, cache=cache, environ={"PATH": str(micromamba.parent)})
        assert engine.name == "micromamba"
        assert engine.executable == micromamba


def test_a_command_that_does_not_exist_is_named(cache):
    with pytest.raises(BuildError, match="/no/such/conda: no such conda command"):
        select_engine("/no/such/conda", cache=cache)


def test_without_py_rattler_the_conda_of_the_shell_is_used(cache, tmp_path, monkeypatch):
    conda = play(tmp_path / "bin")
    monkeypatch.setattr(select, "rattler_directory", lambda: None)
    assert select_engine(None, cache=cache, environ={"CONDA_EXE": str(conda.path)}).name == "conda"
    with pytest.raises(BuildError, match="nothing to install conda packages with"):
        select_engine(None, cache=cache, environ={"PATH": os.defpath})
