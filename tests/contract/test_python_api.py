"""contract.md, "From Python (as ``ndcctools.poncho`` has it)", and faults 8, 9, 15 and 33 to 36."""

from __future__ import annotations

import ast
import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import packages
from tests.support.channel import Channel

Json = dict[str, Any]


def compat(name: str) -> Any:
    return pytest.importorskip(f"poncho.compat.{name}", reason="the stand-in for ndcctools.poncho is not built yet")


@pytest.fixture(scope="module")
def package_create() -> Any:
    return compat("package_create")


@pytest.fixture(scope="module")
def package_analyze() -> Any:
    return compat("package_analyze")


@pytest.fixture(scope="module")
def package_serverize() -> Any:
    return compat("package_serverize")


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that must stay as it is."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def test_pack_env_takes_a_spec_a_directory_or_a_name(
    package_create: Any, ladder_spec: Json, channel: Channel, somewhere: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from tests.support.reference_engine import make_environment

    (somewhere / "spec.json").write_text(json.dumps(ladder_spec))
    make_environment(somewhere / "env", [channel.file_url], ["ladder=1.1"])
    package_create.pack_env(str(somewhere / "spec.json"), str(somewhere / "one.tar.gz"))
    package_create.pack_env(str(somewhere / "env"), str(somewhere / "two.tar.gz"))
    assert packages.installed(somewhere / "one.tar.gz") == {"ladder-1.2"}
    assert packages.installed(somewhere / "two.tar.gz") == {"ladder-1.1"}
    assert capfd.readouterr().out == ""
    assert list(Path.cwd().iterdir()) == []


def test_pack_env_takes_a_dict_and_says_where_the_package_is(
    package_create: Any, ladder_spec: Json, somewhere: Path
) -> None:
    before = copy.deepcopy(ladder_spec)
    output = str(somewhere / "out.tar.gz")
    assert package_create.pack_env(ladder_spec, output, None, True, False) == output
    assert package_create.pack_env_from_dict(ladder_spec, output, download_micromamba=True) == output
    assert packages.installed(Path(output)) == {"ladder-1.2"}
    assert ladder_spec == before
    assert list(Path.cwd().iterdir()) == []


def test_08_dict_to_env_neither_changes_nor_reorders_the_spec(
    package_create: Any, channel: Channel, somewhere: Path
) -> None:
    assert channel.second
    spec = {
        "conda": {"channels": [channel.second.file_url, channel.file_url], "dependencies": ["shadowed", "ladder=1.0"]}
    }
    before = copy.deepcopy(spec)
    path = package_create.dict_to_env(spec, cache=True, cache_path=str(somewhere / "cache"))
    assert spec == before
    assert packages.read_member(Path(path), "share/shadowed.txt") == b"second\n"


def test_09_a_second_call_finds_the_first_one_s_package(
    package_create: Any, ladder_spec: Json, somewhere: Path
) -> None:
    cache = str(somewhere / "cache")
    first = Path(package_create.dict_to_env(ladder_spec, cache=True, cache_path=cache))
    made = first.stat().st_mtime_ns
    second = Path(package_create.dict_to_env(ladder_spec, cache=True, cache_path=cache))
    assert first.resolve() == second.resolve()
    assert second.stat().st_mtime_ns == made


@pytest.mark.network
def test_09_changed_local_source_is_another_package(package_create: Any, channel: Channel, somewhere: Path) -> None:
    project = somewhere / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "local-code"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["local_code"]\n'
    )
    conda = {"channels": [channel.file_url], "dependencies": [f"python={channel.python}", "pip"]}
    spec = {"conda": conda, "pip": [str(project)]}
    answers = []
    for value in ("1", "2"):
        (project / "local_code.py").write_text(f"value = {value}\n")
        path = Path(package_create.dict_to_env(spec, cache=True, cache_path=str(somewhere / "cache")))
        answers.append(packages.run_in(path, "python", "-c", "import local_code; print(local_code.value)").ok().stdout)
    assert answers == ["1\n", "2\n"]


def test_15_the_library_raises_and_never_exits(package_create: Any, channel: Channel, somewhere: Path) -> None:
    from poncho import PonchoError

    spec = {"conda": {"channels": [channel.file_url], "dependencies": ["missing-dependency"]}}
    with pytest.raises(PonchoError, match="no-such-package"):
        package_create.dict_to_env(spec, cache=True, cache_path=str(somewhere / "cache"))
    with pytest.raises(PonchoError, match="nowhere"):
        package_create.pack_env("nowhere", str(somewhere / "out.tar.gz"))
    assert not (somewhere / "out.tar.gz").exists()


def test_36_the_cache_serves_specs_of_every_dialect(package_create: Any, channel: Channel, somewhere: Path) -> None:
    for conda in (
        [f"{channel.file_url}::ladder=1.0"],
        {"channels": [channel.file_url], "packages": ["ladder=1.0"]},
        {"channels": [channel.file_url], "dependencies": ["ladder=1.0"]},
    ):
        path = package_create.dict_to_env({"conda": conda}, cache=True, cache_path=str(somewhere / "cache"))
        assert packages.installed(Path(path)) == {"ladder-1.0"}


def test_create_spec_returns_the_spec_of_a_file(package_analyze: Any, somewhere: Path) -> None:
    (somewhere / "app.py").write_text("import yaml\n")
    spec = package_analyze.create_spec(str(somewhere / "app.py"))
    assert any("pyyaml" in str(item) for item in spec["conda"]["dependencies"])


def test_create_spec_takes_the_options_of_the_command(package_analyze: Any, somewhere: Path) -> None:
    (somewhere / "app.py").write_text("import ROOT\ndef f():\n    import yaml\n")

    def pip(**options: Any) -> str:
        return str(package_analyze.create_spec(str(somewhere / "app.py"), **options)["conda"]["dependencies"])

    assert "pyyaml" not in pip(toplevel=True, pkg_mapping=["ROOT=rootpy"])
    assert "rootpy" in pip(toplevel=True, pkg_mapping={"ROOT": "rootpy"})
    found = pip(function="f", extra_pkg=["six"])
    assert "pyyaml" in found
    assert "six" in found
    assert "ROOT" not in found
    package_analyze.create_spec(str(somewhere / "app.py"), str(somewhere / "spec.json"), function="f")
    assert "conda" in json.loads((somewhere / "spec.json").read_text())


def test_create_spec_raises_one_error_for_all_that_has_no_name(package_analyze: Any, somewhere: Path) -> None:
    from poncho import PonchoError

    (somewhere / "app.py").write_text("import no_such_thing_one, no_such_thing_two\n")
    with pytest.raises(PonchoError, match=r"no_such_thing_one.*no_such_thing_two"):
        package_analyze.create_spec(str(somewhere / "app.py"), str(somewhere / "spec.json"))
    assert not (somewhere / "spec.json").exists()
    with pytest.raises(PonchoError, match="IMPORT=NAME"):
        package_analyze.create_spec(str(somewhere / "app.py"), pkg_mapping=["ROOT"])


def test_create_spec_from_functions_sees_what_they_import(package_analyze: Any) -> None:
    def task(x: int) -> str:
        import yaml

        return str(yaml.dump(x))

    spec = package_analyze.create_spec_from_functions([task])
    assert any("pyyaml" in str(item) for item in spec["conda"]["dependencies"])


def _double(x: int) -> int:
    import yaml

    return int(yaml.safe_load(str(x))) * 2


@pytest.fixture
def library(package_serverize: Any, somewhere: Path) -> dict[str, Path]:
    pytest.importorskip("cloudpickle")
    paths = {name: somewhere / name for name in ("code.py", "env.tar.gz", "info.clpk")}
    package_serverize.generate_library(
        library_cache_path=str(somewhere),
        library_code_path=str(paths["code.py"]),
        library_env_path=str(paths["env.tar.gz"]),
        library_info_path=str(paths["info.clpk"]),
        functions=[_double],
        library_name="doubling",
        need_pack=True,
        exec_mode="fork",
        hoisting_modules=None,
        library_context_info=None,
    )
    return paths


@pytest.mark.network
def test_33_the_generated_library_parses(library: dict[str, Path]) -> None:
    ast.parse(library["code.py"].read_text())


@pytest.mark.network
def test_34_35_the_library_s_environment_holds_what_its_functions_import(library: dict[str, Path]) -> None:
    done = packages.run_in(library["env.tar.gz"], "python", "-c", "import yaml, cloudpickle; print('yes')").ok()
    assert done.stdout == "yes\n"


def test_the_library_hash_follows_the_functions(package_serverize: Any) -> None:
    def task() -> int:
        return 1

    def other() -> int:
        return 2

    def digest(function: Any) -> str:
        return str(
            package_serverize.generate_library_hash(
                library_name="l",
                function_list=[function],
                poncho_env=None,
                init_command=None,
                add_env=True,
                exec_mode="fork",
                hoisting_modules=None,
                library_context_info=None,
            )
        )

    assert digest(task) == digest(task) != digest(other)


def test_importing_the_library_is_cheap_and_quiet() -> None:
    import subprocess

    code = "import sys, poncho; print([m for m in ('rattler', 'git', 'requests', 'rich') if m in sys.modules])"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
