"""Locked pip packages into a real environment, by uv and by pip."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.errors import BuildError
from poncho.install import install_pip, installed_distributions
from poncho.install.collisions import conda_files
from poncho.install.local import stage_local
from poncho.lock.model import LockedPip
from poncho.store import BuilderCache
from tests.support.interpreters import run_python

SIX = LockedPip(
    "six", "1.17.0", "six==1.17.0", sha256="4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"
)


@pytest.fixture(params=["uv", "pip"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pip":
        monkeypatch.setenv("PONCHO_NO_UV", "1")
    return str(request.param)


def locked(wheel: Path) -> LockedPip:
    name, version = wheel.name.split("-")[:2]
    return LockedPip(name, version, f"{name} @ {wheel.as_uri()}", sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())


def test_a_wheel_is_installed_with_its_command(
    tool: str, prefix: Path, make_wheel, builder_cache: BuilderCache
) -> None:
    wheel = make_wheel("hello", "1.0", {"hello.py": "def main(): print('hello')\n"}, scripts="hello = hello:main")
    install_pip([locked(wheel)], prefix=prefix, cache=builder_cache)
    assert run_python(prefix, "import hello; hello.main()") == "hello"
    assert (prefix / "bin" / "hello").exists()
    assert ("hello", "1.0") in [(item.name, item.version) for item in installed_distributions(prefix)]


def test_no_path_of_this_machine_is_recorded_with_local_code(
    tool: str, prefix: Path, project: Path, builder_cache: BuilderCache
) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    install_pip([LockedPip("local-code", "0.3", str(project))], prefix=prefix, cache=builder_cache)
    assert run_python(prefix, "import local_code; print(local_code.ANSWER)") == "42"
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    (installed,) = [item for item in installed_distributions(prefix) if item.name == "local-code"]
    assert installed.direct_url is None
    for path in installed.metadata.iterdir():
        assert str(project).encode() not in path.read_bytes()


def test_changed_local_code_is_built_again(tool: str, prefix: Path, project: Path, builder_cache: BuilderCache) -> None:
    install_pip([LockedPip("local-code", "0.3", str(project))], prefix=prefix, cache=builder_cache)
    stamp = (project / "local_code.py").stat()
    (project / "local_code.py").write_text("ANSWER = 43\n")
    os.utime(project / "local_code.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    shutil.rmtree(next(prefix.glob("lib/python3*/site-packages/local_code-0.3.dist-info")))
    install_pip([LockedPip("local-code", "0.3", str(project))], prefix=prefix, cache=builder_cache)
    assert run_python(prefix, "import local_code; print(local_code.ANSWER)") == "43"


@pytest.mark.network
def test_a_package_from_the_index_is_checked_against_its_hash(
    tool: str, prefix: Path, builder_cache: BuilderCache
) -> None:
    install_pip([SIX], prefix=prefix, cache=builder_cache)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"


@pytest.mark.network
def test_a_wrong_hash_is_refused(tool: str, prefix: Path, builder_cache: BuilderCache) -> None:
    wrong = LockedPip("six", "1.17.0", "six==1.17.0", sha256="0" * 64)
    with pytest.raises(BuildError) as caught:
        install_pip([wrong], prefix=prefix, cache=builder_cache)
    assert "six" in caught.value.message + str(caught.value.context)
    assert not list(prefix.glob("lib/python3*/site-packages/six.py"))


def test_the_callers_python_path_does_not_count_as_installed(
    tool: str, prefix: Path, make_wheel, builder_cache: BuilderCache, tmp_path: Path
) -> None:
    wheel = make_wheel("hello", "1.0", {"hello.py": "X = 1\n"})
    leak = tmp_path / "leak"
    shutil.unpack_archive(wheel, leak, "zip")
    install_pip([locked(wheel)], prefix=prefix, cache=builder_cache, environ={**os.environ, "PYTHONPATH": str(leak)})
    assert run_python(prefix, "import hello; print(hello.__file__)").startswith(str(prefix))


def test_a_pip_package_that_replaces_a_conda_package_is_an_error_that_names_both(
    tool: str, prefix: Path, make_wheel, builder_cache: BuilderCache
) -> None:
    (conda,) = [item for item in installed_distributions(prefix) if item.name == "pip"]
    wheel = make_wheel("pip", "99.0", {"pip/__init__.py": "__version__ = '99.0'\n"})
    with pytest.raises(BuildError, match=rf"pip package pip 99.0 replaced conda package pip {conda.version}"):
        install_pip([locked(wheel)], prefix=prefix, cache=builder_cache)


def test_a_pip_package_that_overwrites_a_conda_file_is_a_warning_that_names_both(
    prefix: Path, make_wheel, builder_cache: BuilderCache
) -> None:
    taken = next(path for path in conda_files(prefix).owners if path.endswith("site-packages/pip/py.typed"))
    wheel = make_wheel("rude", "1.0", {"pip/py.typed": "mine", "rude.py": ""})
    events: list[Event] = []
    install_pip([locked(wheel)], prefix=prefix, cache=builder_cache, reporter=events.append)
    (warning,) = [event.message for event in events if event.kind == "warning"]
    assert "rude 1.0" in warning
    assert taken in warning


def test_pip_does_the_work_where_uv_cannot_be_run(
    prefix: Path, make_wheel, builder_cache: BuilderCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "uv"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    monkeypatch.setattr("poncho.install.pip.uv_command", lambda: [str(broken)])
    events: list[Event] = []
    wheel = make_wheel("hello", "1.0", {"hello.py": "X = 1\n"})
    install_pip([locked(wheel)], prefix=prefix, cache=builder_cache, reporter=events.append)
    assert run_python(prefix, "import hello; print(hello.X)") == "1"
    assert [event.kind for event in events if "uv cannot be run" in event.message] == ["warning"]


@pytest.mark.parametrize("name", ["gone", "no_project"])
def test_local_code_that_cannot_be_built_is_one_clear_line(
    name: str, prefix: Path, builder_cache: BuilderCache, tmp_path: Path
) -> None:
    (tmp_path / "no_project").mkdir()
    with pytest.raises(BuildError, match=name) as caught:
        install_pip([LockedPip(name, "1", str(tmp_path / name))], prefix=prefix, cache=builder_cache)
    assert caught.value.hint


def test_nothing_to_install_needs_no_python(tmp_path: Path, builder_cache: BuilderCache) -> None:
    install_pip([], prefix=tmp_path, cache=builder_cache)
    with pytest.raises(BuildError, match="need a Python"):
        install_pip([SIX], prefix=tmp_path, cache=builder_cache)


def test_pipes_and_sockets_stay_behind_when_local_code_is_built(project: Path, tmp_path: Path) -> None:
    os.mkfifo(project / "pipe")
    (project / "away").symlink_to("nowhere")
    staged = stage_local(project, tmp_path / "staged")
    assert not (staged / "pipe").exists()
    assert (staged / "away").is_symlink()
