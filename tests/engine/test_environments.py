"""Conda environments by name."""

from __future__ import annotations

import pytest

from poncho.engine import find_environment, known_environments
from poncho.errors import SpecError


def environment(path):
    (path / "conda-meta").mkdir(parents=True)
    return path


@pytest.mark.parametrize("variable", ["CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"])
def test_an_environment_is_found_in_the_directories_that_conda_is_told(tmp_path, variable):
    wanted = environment(tmp_path / "two" / "physics")
    environ = {"HOME": str(tmp_path / "home"), variable: f"{tmp_path / 'one'}:{tmp_path / 'two'}"}
    assert find_environment("physics", environ) == wanted


@pytest.mark.parametrize("variable", ["CONDA_EXE", "MAMBA_EXE"])
def test_an_environment_is_found_below_the_installation_of_the_command(tmp_path, variable):
    environment(tmp_path / "conda")
    wanted = environment(tmp_path / "conda" / "envs" / "physics")
    environ = {"HOME": str(tmp_path), variable: str(tmp_path / "conda" / "bin" / "conda")}
    assert find_environment("physics", environ) == wanted
    assert find_environment("base", environ) == tmp_path / "conda"


def test_an_environment_is_found_below_mambas_root_and_in_the_home(tmp_path):
    in_root = environment(tmp_path / "mamba" / "envs" / "one")
    in_home = environment(tmp_path / "home" / ".conda" / "envs" / "two")
    environ = {"HOME": str(tmp_path / "home"), "MAMBA_ROOT_PREFIX": str(tmp_path / "mamba")}
    assert known_environments(environ) == {"one": in_root, "two": in_home}


def test_an_environment_anywhere_is_found_by_environments_txt(tmp_path):
    wanted = environment(tmp_path / "elsewhere" / "physics")
    listing = tmp_path / ".conda" / "environments.txt"
    listing.parent.mkdir()
    listing.write_text(f"{tmp_path / 'gone'}\n{wanted}\n")
    assert find_environment("physics", {"HOME": str(tmp_path)}) == wanted


def test_the_activated_environment_is_found_first(tmp_path):
    environment(tmp_path / "envs" / "physics")
    active = environment(tmp_path / "active")
    environ = {
        "HOME": str(tmp_path),
        "CONDA_ENVS_DIRS": str(tmp_path / "envs"),
        "CONDA_PREFIX": str(active),
        "CONDA_DEFAULT_ENV": "physics",
    }
    assert find_environment("physics", environ) == active


def test_a_directory_that_is_no_conda_environment_does_not_count(tmp_path):
    (tmp_path / "envs" / "physics").mkdir(parents=True)
    with pytest.raises(SpecError):
        find_environment("physics", {"HOME": str(tmp_path), "CONDA_ENVS_DIRS": str(tmp_path / "envs")})


def test_an_unknown_name_lists_the_names_that_exist(tmp_path):
    for name in ("physics", "chemistry"):
        environment(tmp_path / "envs" / name)
    with pytest.raises(SpecError, match="biology") as caught:
        find_environment("biology", {"HOME": str(tmp_path), "CONDA_ENVS_DIRS": str(tmp_path / "envs")})
    assert "chemistry, physics" in str(caught.value.hint)
