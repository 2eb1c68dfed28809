"""Packages found again by what their spec asks for."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from poncho.compat import package_create
from poncho.compat.cache import package_name
from poncho.errors import PonchoError, SpecError
from poncho.install.local_code import with_local_code
from poncho.spec import Spec, parse
from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import CHECKOUT, run_cli


def spec_of(channel: Channel, version: str = "1.2") -> dict[str, Any]:
    return {"conda": {"channels": [channel.file_url], "dependencies": [f"ladder={version}"]}}


def test_the_name_says_platform_spec_order_of_channels_and_local_code(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "code.py").write_text("value = 1\n")
    local = Spec(pip=(f"code @ {(tmp_path / 'project').as_uri()}",))
    names = [
        package_name(Spec(channels=("a", "b")), "linux-64"),
        package_name(Spec(channels=("b", "a")), "linux-64"),
        package_name(Spec(channels=("a", "b")), "linux-aarch64"),
        package_name(local, "linux-64"),
    ]
    (tmp_path / "project" / "code.py").write_text("value = 2\n")
    names.append(package_name(local, "linux-64"))
    assert len(set(names)) == 5
    (tmp_path / "project" / "__pycache__").mkdir()
    (tmp_path / "project" / "__pycache__" / "code.pyc").write_bytes(b"")
    assert package_name(local, "linux-64") == names[-1]


def test_the_default_cache_lies_in_the_working_directory(
    channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = package_create.dict_to_env(json.dumps(spec_of(channel)))
    assert Path(path).parent == Path(".poncho_cache")
    assert packages.installed(Path(path)) == {"ladder-1.2"}
    assert [entry.name for entry in tmp_path.iterdir()] == [".poncho_cache"]
    assert [str(entry) for entry in Path(".poncho_cache").iterdir()] == [path]
    assert capfd.readouterr() == ("", "")


def test_force_builds_anew_and_cache_false_keeps_nothing(
    channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loose = package_create.dict_to_env(spec_of(channel), cache=False, cache_path="kept")
    assert Path(loose).parent == Path()
    assert Path(loose).is_file()
    assert not Path("kept").exists()
    kept = Path(package_create.dict_to_env(spec_of(channel), cache_path="kept"))
    assert package_create.dict_to_env(spec_of(channel), cache=False, cache_path="kept") == str(kept)
    kept.write_bytes(b"damaged")
    assert Path(package_create.dict_to_env(spec_of(channel), cache_path="kept", force=True)) == kept
    assert packages.installed(kept) == {"ladder-1.2"}


def test_callers_at_the_same_time_get_one_package(channel: Channel, tmp_path: Path) -> None:
    def get(_: int) -> str:
        return package_create.dict_to_env(spec_of(channel, "1.1"), cache_path=tmp_path)

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(get, range(4)))
    assert len(answers) == 1
    assert [str(path) for path in tmp_path.iterdir()] == list(answers)


def test_a_failed_build_leaves_nothing(channel: Channel, tmp_path: Path) -> None:
    with pytest.raises(PonchoError):
        package_create.dict_to_env(spec_of(channel, "99"), cache_path=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(SpecError, match="cond"):
        package_create.dict_to_env({"conda_": {}}, cache_path=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_command_prints_the_path_and_nothing_else(channel: Channel, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(spec_of(channel)))
    first = run_cli("poncho_package_cache", tmp_path / "spec.json", "--cache", tmp_path / "cache").ok()
    package = Path(first.stdout.rstrip("\n"))
    assert package.parent == tmp_path / "cache"
    assert packages.installed(package) == {"ladder-1.2"}
    made = package.stat().st_mtime_ns
    again = run_cli("poncho_package_cache", "-", "--cache", tmp_path / "cache", stdin=json.dumps(spec_of(channel))).ok()
    assert again.stdout == first.stdout
    assert package.stat().st_mtime_ns == made


def test_the_command_refuses_what_is_no_spec(tmp_path: Path) -> None:
    done = run_cli("poncho_package_cache", "-", "--cache", tmp_path, stdin='{"conda": 3}').failed()
    assert "/conda" in done.stderr
    assert done.stdout == ""


@pytest.fixture(scope="module")
def editable_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with My.Project installed editable, from a directory with a space."""
    root = tmp_path_factory.mktemp("editable")
    project = root / "my project"
    project.mkdir()
    prefix = root / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    site = next(prefix.glob("lib/python3.*/site-packages"))
    info = site / "My.Project-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: My.Project\nVersion: 1.0\n")
    (info / "RECORD").write_text("")
    (info / "direct_url.json").write_text(json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}}))
    return prefix


def test_names_that_are_installed_editable_mean_the_local_code(editable_prefix: Path) -> None:
    location = f"my-project @ {(editable_prefix.parent / 'my project').as_uri()}"
    spec = parse({"conda": {"channels": ["c"], "dependencies": ["numpy", "my_project=1.0"]}, "pip": ["six==1.16"]})
    assert with_local_code(spec, editable_prefix).pip == ("six==1.16", location)
    assert with_local_code(spec, editable_prefix).conda == ("numpy",)
    for text in ("my-project", "My_Project>=1,<2"):
        assert with_local_code(Spec(pip=(text,)), editable_prefix).pip == (location,)
    marked = Spec(pip=("my.project[fast]>=1; python_version > '3'",))
    assert with_local_code(marked, editable_prefix).pip == (
        location.replace("my-project ", "my-project[fast] ") + ' ; python_version > "3"',
    )


def test_requirements_with_a_place_of_their_own_stay(editable_prefix: Path) -> None:
    spec = Spec(channels=("c",), conda=("c::my-project",), pip=("my-project @ https://example.org/p.whl", "/x/y"))
    assert with_local_code(spec, editable_prefix) == spec


def test_stand_in_makes_ndcctools_poncho_ours(tmp_path: Path) -> None:
    (tmp_path / "ndcctools").mkdir()
    (tmp_path / "ndcctools" / "__init__.py").write_text("")
    code = (
        "import poncho.compat; poncho.compat.stand_in()\n"
        "from ndcctools.poncho import package_create, package_serverize\n"
        "from ndcctools.poncho.package_create import pack_env\n"
        "import ndcctools.poncho.package_analyze as analyze\n"
        "print(package_create.__name__, pack_env.__module__, analyze.create_spec.__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{CHECKOUT}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        "poncho.compat.package_create",
        "poncho.compat.package_create",
        "poncho.compat.package_analyze",
    ]
