"""What uv and pip are told: a clean environment, and the indexes that the user configured for pip."""

from __future__ import annotations

import os

import pytest

from poncho.engine.pip_tools import (
    clean_environment,
    environment_for_pip,
    environment_for_uv,
    index_arguments_for_uv,
    read_index_settings,
    run_tool,
    uv_command,
)
from poncho.errors import BuildError
from poncho.store import BuilderCache


@pytest.fixture
def home(tmp_path):
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_DIRS": str(tmp_path / "xdg"),
        "VIRTUAL_ENV": str(tmp_path / "venv"),
    }


def write(home, text):
    path = f"{home['HOME']}/.config/pip/pip.conf"
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as stream:
        stream.write(text)


@pytest.mark.parametrize(
    "name",
    ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_CONSTRAINT", "UV_PYTHON",
     "UV_SYSTEM_PYTHON", "UV_PROJECT", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__", "COLUMNS"],
)  # fmt: skip
def test_the_callers_python_environment_is_kept_out(name):
    assert name not in clean_environment({name: "x", "PATH": "/bin"})


def test_the_user_site_is_kept_out_and_the_rest_is_kept():
    cleaned = clean_environment(
        {"PATH": "/bin", "HTTPS_PROXY": "http://proxy", "UV_INDEX_URL": "https://i", "UV_INDEX_LAB_PASSWORD": "p"}
    )
    assert cleaned["PYTHONNOUSERSITE"] == "1"
    assert {"PATH", "HTTPS_PROXY", "UV_INDEX_URL", "UV_INDEX_LAB_PASSWORD"} <= cleaned.keys()


def test_pips_configuration_file_is_translated_for_uv(home, tmp_path):
    (tmp_path / "wheels").mkdir()
    write(
        home,
        "[global]\nindex-url = https://u:p@lab.example/simple\nextra-index-url =\n  https://one.example\n  https://two.example\n"
        f"find-links = {tmp_path / 'wheels'} /no/such/directory\ntrusted-host = lab.example\ncert = /etc/lab.pem\n"
        "[install]\nno-binary = numpy,scipy\nuser = true\n",
    )
    env = environment_for_uv(home, BuilderCache(tmp_path / "cache"))
    assert env["UV_INDEX_URL"] == "https://u:p@lab.example/simple"
    assert env["UV_EXTRA_INDEX_URL"] == "https://one.example https://two.example"
    assert env["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert env["UV_FIND_LINKS"] == (tmp_path / "wheels").as_uri()
    assert env["UV_INSECURE_HOST"] == "lab.example"
    assert env["SSL_CERT_FILE"] == "/etc/lab.pem"
    assert index_arguments_for_uv(home) == ["--no-binary", "numpy", "--no-binary", "scipy"]


def test_variables_win_over_files_and_the_install_section_over_the_global_one(home):
    write(home, "[global]\nindex-url = https://global\nproxy = http://global\n[install]\nindex-url = https://install\n")
    assert read_index_settings(home).index_url == "https://install"
    settings = read_index_settings({**home, "PIP_INDEX_URL": "https://variable"})
    assert settings.index_url == "https://variable"
    assert settings.proxy == "http://global"


def test_what_uv_is_told_itself_wins_over_what_pip_is_told(home, tmp_path):
    write(home, "[global]\nindex-url = https://pip\n")
    env = environment_for_uv({**home, "UV_DEFAULT_INDEX": "lab=https://uv"}, BuilderCache(tmp_path / "cache"))
    assert env["UV_DEFAULT_INDEX"] == "lab=https://uv"
    assert "UV_INDEX_URL" not in env
    assert (
        environment_for_pip({**home, "UV_DEFAULT_INDEX": "lab=https://uv"}, BuilderCache(tmp_path / "cache"))[
            "PIP_INDEX_URL"
        ]
        == "https://uv"
    )


def test_pip_gets_the_same_indexes_but_none_of_the_other_settings_of_its_files(home, tmp_path):
    write(home, "[global]\nindex-url = https://lab\ntarget = /elsewhere\nuser = true\n")
    env = environment_for_pip(home, BuilderCache(tmp_path / "cache"))
    assert env["PIP_INDEX_URL"] == "https://lab"
    assert env["PIP_CONFIG_FILE"] == os.devnull
    assert not {"PIP_TARGET", "PIP_USER"} & env.keys()


def test_a_configuration_file_that_is_no_ini_is_passed_over(home):
    write(home, "index-url = https://no-section\n")
    assert read_index_settings(home).index_url is None


def test_uv_is_found_and_can_be_switched_off(monkeypatch):
    monkeypatch.delenv("PONCHO_NO_UV", raising=False)
    assert uv_command()
    monkeypatch.setenv("PONCHO_NO_UV", "1")
    assert uv_command() is None


def test_a_tool_that_fails_gives_its_last_words_and_no_password():
    script = "echo working; echo 'error: cannot reach https://user:hunter2@lab.example/simple' >&2; exit 7"
    with pytest.raises(BuildError, match=r"cannot build it: sh: cannot reach https://\*\*\*\*@lab\.example") as caught:
        run_tool(["sh", "-c", script], env=os.environ, step="build it")
    assert caught.value.context["status"] == 7
    assert "hunter2" not in str(caught.value.to_json())


def test_a_tool_that_does_not_exist_is_an_error_of_ours():
    with pytest.raises(BuildError, match="/no/such/tool"):
        run_tool(["/no/such/tool"], env={}, step="run it")
