"""What an engine adds to a spec, and which packages it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from poncho.errors import PackageError, SpecError, UsageError
from poncho.integrations.packages import Engine, check_package, engine_package, with_engine
from poncho.spec import Spec
from tests.support.engines import engine_package as made_package

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
PYTEST = Engine("Pytest", exact=("pytest",), pinned=("packaging",))


def test_a_spec_gets_this_python_and_what_the_engine_needs():
    spec = with_engine(Spec(pip=("numpy",)), ["parsl==1", "dill==2"], ["toolz"])
    assert spec == Spec(python=HERE, pip=("numpy", "parsl==1", "dill==2", "toolz"))


def test_what_a_spec_says_itself_stays():
    spec = Spec(channels=("c",), conda=("python=3.12", "c::Parsl=7"), pip=("DILL>=0.3",))
    assert with_engine(spec, ["parsl==1", "dill==2"]) == spec


def test_a_directory_is_told_to_be_packed_first(tmp_path: Path):
    with pytest.raises(UsageError, match="directory") as caught:
        engine_package(tmp_path, PYTEST)
    assert "poncho_package_create" in str(caught.value.hint)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SpecError, match=r"gone\.tar\.gz"):
        engine_package(tmp_path / "gone.tar.gz", PYTEST)


@pytest.mark.network
def test_a_package_without_the_engine_is_refused_with_what_to_do(shared_directory: Path):
    package = made_package(shared_directory, "cloudpickle")
    with pytest.raises(PackageError, match="pytest is missing") as caught:
        check_package(package, PYTEST)
    assert "--extra-pkg pytest" in str(caught.value.hint)
    check_package(package, Engine("Pickle", exact=("cloudpickle",), pinned=()))


@pytest.mark.network
def test_a_spec_that_asks_for_another_version_of_the_engine_is_refused_before_any_job_is_submitted():
    engine = Engine("Pickle", exact=("cloudpickle",), pinned=())
    with pytest.raises(PackageError, match=r"what the spec asks for: .* cloudpickle 2\.2\.1 \(here ") as caught:
        engine_package({"pip": ["cloudpickle==2.2.1"]}, engine)
    assert "leave Python and cloudpickle out" in str(caught.value.hint)
    assert engine_package({"pip": ["six"]}, engine).path.is_file()
