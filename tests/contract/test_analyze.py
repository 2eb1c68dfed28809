"""contract.md, ``poncho_package_analyze``, and faults 16 to 24: one test for each."""

from __future__ import annotations

import json
import os
import socket
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.channel import Channel
from tests.support.cli import environment, run_cli

Analyze = Callable[..., dict[str, Any]]


def names(spec: dict[str, Any]) -> set[str]:
    """Return the names of all packages that a spec asks for, conda and pip."""
    found: set[str] = set()
    for item in [*spec["conda"]["dependencies"], *spec.get("pip", [])]:
        for requirement in item["pip"] if isinstance(item, dict) else [item]:
            found.add(requirement.split("::")[-1].split("=")[0].split("<")[0].split(">")[0].strip(" ~!").lower())
    return found


def test_a_file_and_standard_input_in_that_order(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import yaml\n")
    done = run_cli(
        "poncho_package_analyze", tmp_path / "app.py", "-", tmp_path / "out.json", stdin="import requests\n"
    ).ok()
    assert done.stdout == ""
    assert {"pyyaml", "requests"} <= names(json.loads((tmp_path / "out.json").read_text()))


def test_standard_input_to_standard_output() -> None:
    done = run_cli("poncho_package_analyze", "-", "-", stdin="import yaml\n").ok()
    assert "pyyaml" in names(json.loads(done.stdout))


def test_options_may_follow_the_positionals(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import yaml\nimport zzz_unknown\n")
    options = ("--toplevel", "--pkg-mapping", "zzz_unknown=six", "--extra-pkg", "idna", "--extra-pkg", "certifi")
    done = run_cli("poncho_package_analyze", tmp_path / "app.py", "-", *options).ok()
    assert {"pyyaml", "six", "idna", "certifi"} <= names(json.loads(done.stdout))


def test_the_json_has_indent_4_and_sorted_keys() -> None:
    text = run_cli("poncho_package_analyze", "-", "-", stdin="import yaml\n").ok().stdout
    assert text.rstrip("\n") == json.dumps(json.loads(text), indent=4, sort_keys=True)


def test_the_shape_is_the_one_that_callers_read(analyzed: Analyze) -> None:
    conda = analyzed("import yaml\n")["conda"]
    assert isinstance(conda["channels"], list)
    assert all(isinstance(item, str) or list(item) == ["pip"] for item in conda["dependencies"])


@pytest.mark.parametrize("source", ["", "import os\n", "import yaml\n"])
def test_python_and_pip_are_always_among_the_dependencies(analyzed: Analyze, source: str) -> None:
    assert {"python", "pip"} <= names(analyzed(source))


def test_the_standard_library_is_no_dependency(analyzed: Analyze) -> None:
    assert names(analyzed("import os, sys, json, xml.etree\nfrom concurrent import futures\n")) == {"python", "pip"}


def test_the_bytes_are_the_same_everywhere(tmp_path: Path) -> None:
    outputs = set()
    for seed, folder in (("1", "a"), ("2", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "app.py").write_text(
            "import yaml, requests, packaging, rich\nfrom filelock import FileLock\n"
        )
        env = {"PYTHONHASHSEED": seed, "HOME": str(tmp_path / folder), "TZ": f"UTC{seed}"}
        done = run_cli("poncho_package_analyze", "app.py", "-", cwd=tmp_path / folder, env=env).ok()
        outputs.add(done.stdout_bytes)
    assert len(outputs) == 1


def test_20_no_path_host_or_prefix_of_this_machine() -> None:
    import sys

    text = run_cli("poncho_package_analyze", "-", "-", stdin="import yaml, requests\n").ok().stdout
    for secret in (sys.prefix, sys.base_prefix, os.environ["HOME"], "prefix", socket.gethostname()):
        assert secret not in text


def test_an_existing_output_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("")
    run_cli("poncho_package_analyze", "-", tmp_path / "out.json", stdin="import yaml\n").ok()
    assert "pyyaml" in names(json.loads((tmp_path / "out.json").read_text()))


def test_a_function_s_source_as_parsl_sends_it() -> None:
    source = textwrap.indent(
        "@python_app(executors=['wq'])\ndef f(x):\n    import yaml\n    return yaml.dump(x)\n", "    "
    )
    done = run_cli("poncho_package_analyze", "-", "-", stdin=source).ok()
    assert "pyyaml" in names(json.loads(done.stdout))


def test_toplevel_leaves_imports_inside_functions_out(analyzed: Analyze) -> None:
    source = "import yaml\ndef f():\n    import requests\n"
    assert {"yaml", "requests"} <= {name.removeprefix("py") for name in names(analyzed(source))}
    assert "requests" not in names(analyzed(source, "--toplevel"))


def test_function_takes_the_imports_of_that_function(analyzed: Analyze) -> None:
    source = "def f():\n    import yaml\ndef g():\n    import requests\n"
    assert "requests" not in names(analyzed(source, "--function", "f"))
    assert "pyyaml" in names(analyzed(source, "--function", "f"))


def test_the_command_has_its_older_name_too() -> None:
    done = run_cli("python_package_analyze", "-", "-", stdin="import yaml\n").ok()
    assert "pyyaml" in names(json.loads(done.stdout))


def test_in_a_conda_environment_the_spec_is_conda_s(conda_environment: Path, channel: Channel) -> None:
    env = {"CONDA_PREFIX": conda_environment, "CONDA_DEFAULT_ENV": conda_environment}
    done = run_cli("poncho_package_analyze", "-", "-", stdin="import yaml, six, greet\n", env=env).ok()
    conda = json.loads(done.stdout)["conda"]
    assert [url.rstrip("/") for url in conda["channels"]] == [channel.file_url]
    version = channel.records("pyyaml")[0]["version"]
    exact = [item for item in conda["dependencies"] if isinstance(item, str)]
    assert any(item.split("::")[-1].startswith(f"pyyaml={version}=py") for item in exact)
    assert any(item.split("::")[-1].startswith(f"python={channel.python_version}=") for item in exact)
    assert {"pip": ["six==1.16.0"]} in conda["dependencies"]


def test_16_the_user_s_code_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\nimport yaml\n")
    (tmp_path / "app.py").write_text(f"import helper\nopen({str(tmp_path / 'run')!r}, 'w')\n")
    done = run_cli("poncho_package_analyze", "app.py", "-", cwd=tmp_path).ok()
    assert "pyyaml" in names(json.loads(done.stdout))
    assert {path.name for path in tmp_path.iterdir()} == {"app.py", "helper.py"}


def test_17_import_yaml_is_pyyaml_not_the_c_library(analyzed: Analyze, conda_environment: Path) -> None:
    assert "pyyaml" in names(analyzed("import yaml\n"))
    inside = names(analyzed("import yaml\n", env={"CONDA_PREFIX": str(conda_environment)}))
    assert "pyyaml" in inside
    assert "yaml" not in inside


def test_18_local_modules_and_relative_imports_are_followed(tmp_path: Path) -> None:
    package = tmp_path / "project"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import tools\n")
    (package / "tools.py").write_text("from .sub.deep import value\n")
    (package / "sub" / "__init__.py").write_text("")
    (package / "sub" / "deep.py").write_text("from ..config import settings\nimport yaml\nvalue = 1\n")
    (package / "config.py").write_text("import requests\nsettings = {}\n")
    (tmp_path / "app.py").write_text("import project\nfrom project.sub import deep\n")
    done = run_cli("poncho_package_analyze", tmp_path / "app.py", "-").ok()
    assert names(json.loads(done.stdout)) == {"python", "pip", "pyyaml", "requests"}


def test_19_a_function_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def present(): pass\n")
    done = run_cli(
        "poncho_package_analyze", tmp_path / "app.py", tmp_path / "out.json", "--function", "absent"
    ).failed()
    assert "absent" in done.stderr
    assert "present" in done.stderr.replace("absent", "")
    assert not (tmp_path / "out.json").exists()


def test_19_async_functions_are_functions(analyzed: Analyze) -> None:
    assert "pyyaml" in names(analyzed("async def f():\n    import yaml\n", "--function", "f"))


@pytest.mark.parametrize("before", [None, "{}"])
def test_21_a_failed_analysis_leaves_the_output_as_it_was(tmp_path: Path, before: str | None) -> None:
    output = tmp_path / "out.json"
    if before is not None:
        output.write_text(before)
    run_cli("poncho_package_analyze", tmp_path / "missing.py", output).failed()
    assert (output.read_text() if output.exists() else None) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"out.json"}


def test_21_imports_that_nothing_provides_are_listed_at_once(tmp_path: Path) -> None:
    source = "import zzz_first_unknown\nimport zzz_second_unknown\n"
    done = run_cli("poncho_package_analyze", "-", tmp_path / "out.json", stdin=source).failed()
    assert "zzz_first_unknown" in done.stderr
    assert "zzz_second_unknown" in done.stderr
    assert "--pkg-mapping" in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_21_a_file_that_does_not_parse_is_named_and_the_rest_analysed(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import (\n")
    (tmp_path / "good.py").write_text("import yaml\n")
    done = run_cli("poncho_package_analyze", tmp_path / "broken.py", tmp_path / "good.py", "-")
    assert "broken.py" in done.stderr
    if done.returncode == 0:
        assert "pyyaml" in names(json.loads(done.stdout))


def test_22_pip_packages_stay_when_no_conda_package_matches(analyzed: Analyze, conda_environment: Path) -> None:
    spec = analyzed("import six\n", env={"CONDA_PREFIX": str(conda_environment)})
    assert "six" in names(spec)


def test_23_no_process_is_started_for_each_package(tmp_path: Path) -> None:
    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name in ("pip", "pip3", "conda", "mamba", "uv"):
        (stubs / name).write_text(f'#!/bin/sh\necho {name} >> "{tmp_path}/called"\nexit 1\n')
        (stubs / name).chmod(0o755)
    env = {"PATH": f"{stubs}:{environment()['PATH']}"}
    run_cli("poncho_package_analyze", "-", "-", stdin="import yaml, requests, rich\n", env=env).ok()
    assert not (tmp_path / "called").exists()


def test_24_indented_source_on_standard_input() -> None:
    done = run_cli("poncho_package_analyze", "-", "-", stdin="        import yaml\n        yaml.dump({})\n").ok()
    assert "pyyaml" in names(json.loads(done.stdout))


def test_what_was_analysed_can_be_created(conda_environment: Path, tmp_path: Path) -> None:
    from tests.support import packages

    source = "import yaml, six, greet\n"
    env = {"CONDA_PREFIX": conda_environment}
    run_cli("poncho_package_analyze", "-", tmp_path / "spec.json", stdin=source, env=env).ok()
    run_cli("poncho_package_create", tmp_path / "spec.json", tmp_path / "out.tar.gz").ok()
    done = packages.run_in(tmp_path / "out.tar.gz", "python", "-c", source + "print(six.__version__)").ok()
    assert done.stdout == "1.16.0\n"
