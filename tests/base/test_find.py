"""Versions and ranges as specs write them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from poncho.base import find_interpreter, parse_version_spec
from poncho.base.facts import ask
from poncho.errors import SpecError
from tests.support.interpreter import PYTHON, is_debian
from tests.support.interpreters import environment_with_only, uv_managed_copy


@pytest.mark.parametrize(
    ("spec", "yes", "no"),
    [
        ("3.11", "3.11.9", "3.12.0"),
        ("3", "3.13.1", "2.7.18"),
        ("3.1", "3.1.5", "3.11.0"),
        ("=3.11", "3.11.2", "3.10.2"),
        ("3.11.*", "3.11.2", "3.10.2"),
        ("3.11.7", "3.11.7", "3.11.70"),
        ("=3.11.7", "3.11.7", "3.11.8"),
        ("==3.11.7", "3.11.7", "3.11.8"),
        (">=3.10,<3.13", "3.12.1", "3.13.0"),
        ("3.10|3.12", "3.12.1", "3.11.1"),
        ("!=3.11.2", "3.11.3", "3.11.2"),
        (">=3.14", "3.14.0rc1", "3.13.9"),
    ],
)
def test_a_version_spec_means_what_conda_means(spec: str, yes: str, no: str) -> None:
    alternatives = parse_version_spec(spec)
    assert any(part.contains(yes, prereleases=True) or spec == ">=3.14" for part in alternatives)
    assert not any(part.contains(no, prereleases=True) for part in alternatives)


@pytest.mark.parametrize("spec", [None, "", "*", " "])
def test_no_version_means_any(spec: str | None) -> None:
    assert parse_version_spec(spec) == ()


def test_nonsense_is_refused_with_a_pointer_into_the_spec() -> None:
    with pytest.raises(SpecError) as caught:
        parse_version_spec("three")
    assert caught.value.pointer == "/python"


def test_the_running_interpreter_comes_first(tmp_path) -> None:
    import platform

    found = find_interpreter(None, environment_with_only(tmp_path, tmp_path))
    assert found.version == platform.python_version()


def test_a_broken_interpreter_on_path_is_passed_over(tmp_path) -> None:
    import platform

    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\necho no; exit 1\n")
    broken.chmod(0o755)
    found = find_interpreter(platform.python_version(), environment_with_only(tmp_path, tmp_path))
    assert found.executable != broken


def test_a_copied_environment_does_not_take_another_version_s_python3_for_its_base(tmp_path: Path) -> None:
    if is_debian():
        pytest.skip("the tests run in Debian's interpreter, which cannot be copied")
    own = next(uv_managed_copy(tmp_path).glob(f"*/bin/{PYTHON}"))
    # As on a machine with several versions in one directory, where python3 is another one.
    shutil.copy2(own, own.with_name("python3.99"))
    (own.parent / "python3").unlink()
    (own.parent / "python3").symlink_to("python3.99")
    command = [str(own), "-m", "venv", "--copies", "--without-pip", str(tmp_path / "venv")]
    subprocess.run(command, check=True, env={**os.environ, "LD_LIBRARY_PATH": str(own.parents[1] / "lib")})
    facts = ask(tmp_path / "venv/bin/python3", {**os.environ, "LD_LIBRARY_PATH": str(own.parents[1] / "lib")})
    assert facts is not None
    assert facts.executable == own
