"""pip requirements resolved for a real conda environment, by uv and by pip."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys

import pytest

from poncho.engine.pip_tools import pip_command
from poncho.errors import BuildError, FetchError, ResolveError
from poncho.lock.codec import dumps
from poncho.lock.model import Lock
from poncho.resolution import resolve_pip
from poncho.resolution.local import tree_digest
from poncho.resolution.pip import explain, installed_distributions
from poncho.resolution.wheels import best_wheel, supported_tags
from poncho.store import BuilderCache


@pytest.fixture
def resolve(conda_python, environ, tmp_path, tool):
    def run(*requirements, **options):
        options = {"environ": environ, "cache": BuilderCache(tmp_path / "cache"), "root": tmp_path, **options}
        return resolve_pip(requirements, python=conda_python, **options)

    return run


BACKEND = """
import os
from pathlib import Path

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    folder = Path(directory, "localpkg-0.3.dist-info")
    folder.mkdir()
    requires = "".join(f"Requires-Dist: {name}\\n" for name in Path("requires.txt").read_text().split())
    folder.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\\nName: localpkg\\nVersion: 0.3\\n{requires}")
    folder.joinpath("WHEEL").write_text("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return folder.name
"""


def project(folder, requires=""):
    """Write a project that needs nothing from any index to be built."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "localpkg"\nversion = "0.3"\ndependencies = {requires.split()}\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "backend.py").write_text(BACKEND)
    (folder / "requires.txt").write_text(requires)
    (folder / "localpkg.py").write_text("answer = 42\n")
    return folder


def test_every_package_has_its_exact_version_url_and_hash(resolve, index):
    found = resolve("alpha>=2")
    assert [(one.name, one.version, one.requirement) for one in found] == [
        ("alpha", "2.0", "alpha==2.0"),
        ("beta", "1.0", "beta==1.0"),
    ]
    wheel = index.root / "alpha" / "alpha-2.0-py3-none-any.whl"
    assert found[0].url.startswith(f"{index.url}/alpha/{wheel.name}")
    assert found[0].sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_what_conda_installed_is_not_installed_again(resolve):
    assert [one.name.replace("_", "-") for one in resolve("wants-numpy", "numpy")] == ["wants-numpy"]
    assert resolve("numpy") == ()


def test_no_requirements_need_no_resolver(resolve):
    assert resolve() == ()


def test_a_conflict_with_conda_names_both_sides(resolve, conda_python, environ):
    numpy = installed_distributions(conda_python, environ)["numpy"]
    with pytest.raises(ResolveError) as caught:
        resolve("wants-new-numpy")
    assert f"conda installed (numpy {numpy})" in caught.value.message
    assert "numpy>=99" in caught.value.message.replace(" ", "")


def test_a_conda_package_that_is_no_distribution_constrains_nothing(resolve):
    # conda's libgcc, or its C library yaml, share nothing but a name with what is on a package index.
    assert [one.version for one in resolve("beta", constraints={"beta": "0.2.5", "libgcc": "12"})] == ["1.0"]


def test_a_package_that_does_not_exist_is_named(resolve):
    with pytest.raises(ResolveError, match="no-such-distribution"):
        resolve("no-such-distribution")


def test_a_version_that_does_not_exist_is_named(resolve):
    with pytest.raises(ResolveError, match="alpha"):
        resolve("alpha>=99")


def test_local_code_is_locked_by_its_path_and_content(resolve, tmp_path):
    folder = project(tmp_path / "a dir" / "localpkg", requires="beta")
    found = {one.name: one for one in resolve("./a dir/localpkg")}
    assert found.keys() == {"localpkg", "beta"}
    assert found["localpkg"].requirement == str(folder)
    assert found["localpkg"].version == "0.3"
    assert found["localpkg"].sha256 == tree_digest(folder)


def test_a_local_path_that_is_missing_is_named(resolve):
    with pytest.raises(ResolveError, match=r"\./gone: no such file"):
        resolve("./gone")


def test_a_local_wheel_is_locked_by_its_bytes(resolve, index):
    wheel = index.root / "alpha" / "alpha-1.0-py3-none-any.whl"
    [found] = resolve(str(wheel))
    assert (found.name, found.version) == ("alpha", "1.0")
    assert found.requirement == str(wheel)
    assert found.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_a_git_requirement_is_locked_to_its_commit(resolve, tmp_path):
    folder = project(tmp_path / "repository")
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    [found] = resolve(f"git+{folder.as_uri()}@main")
    assert found.name == "localpkg"
    assert found.requirement == f"localpkg @ git+{folder.as_uri()}@{commit}"


def test_the_callers_python_path_does_not_count_as_installed(resolve, environ, tmp_path):
    leak = tmp_path / "leak"
    (leak / "beta-1.0.dist-info").mkdir(parents=True)
    (leak / "beta-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: beta\nVersion: 1.0\n")
    (leak / "beta.py").touch()
    settings = {
        "PYTHONPATH": str(leak),
        "PIP_TARGET": str(tmp_path / "target"),
        "PIP_USER": "1",
        "PYTHONHOME": "/nowhere",
    }
    assert [one.name for one in resolve("beta", environ={**environ, **settings})] == ["beta"]


def test_a_project_in_the_working_directory_changes_nothing(resolve, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\nindex-url = "http://127.0.0.1:9/simple"\n')
    monkeypatch.chdir(tmp_path)
    assert resolve("beta")


def test_an_index_out_of_reach_is_a_fetch_error_without_its_password(resolve, environ, tool):
    settings = {"PIP_INDEX_URL": "http://user:hunter2@127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0", "PIP_RETRIES": "0"}
    with pytest.raises((FetchError, ResolveError)) as caught:
        resolve("beta", environ={**environ, **settings})
    assert "hunter2" not in str(caught.value.to_json())
    if tool == "uv":
        assert isinstance(caught.value, FetchError)


def test_an_index_with_a_password_works_and_the_lock_can_be_written_without_it(resolve, environ, index):
    with_password = index.url.replace("//", "//user:hunter2@")
    found = resolve("alpha<2", environ={**environ, "PIP_INDEX_URL": with_password})
    assert "hunter2" not in dumps(Lock("linux-64", "d", pip=found))


def test_offline_what_was_resolved_before_resolves_again(conda_python, environ, tmp_path, index, monkeypatch):
    monkeypatch.setenv("PONCHO_NO_UV", "0")
    cache = BuilderCache(tmp_path / "cache")
    once = resolve_pip(["alpha"], python=conda_python, cache=cache, environ=environ)
    before = len(index.requests)
    assert resolve_pip(["alpha"], python=conda_python, cache=cache, environ=environ, offline=True) == once
    assert len(index.requests) == before
    with pytest.raises(FetchError, match=r"cannot reach|offline"):
        resolve_pip(
            ["wants-numpy"], python=conda_python, cache=BuilderCache(tmp_path / "new"), environ=environ, offline=True
        )


def test_the_best_of_several_wheels_is_chosen(conda_python, environ):
    tag = "cp{}{}".format(*sys.version_info[:2])
    machine = platform.machine()
    names = [f"x-1-cp39-abi3-manylinux_2_17_{machine}.whl", f"x-1-{tag}-{tag}-manylinux_2_17_{machine}.whl"]
    wheels = [{"url": f"https://h/{name}"} for name in (*names, "x-1-py3-none-any.whl")]
    tags = supported_tags(conda_python, environ)
    assert best_wheel(wheels, lambda: tags)["url"].endswith(names[1])
    assert best_wheel([wheels[2], wheels[0]], lambda: tags)["url"].endswith(names[0])


def test_asking_an_interpreter_writes_no_bytecode_into_it(environ, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python3*/site-packages")
    (site / "hook.pth").write_text("import hook\n")
    (site / "hook.py").write_text("")
    assert supported_tags(venv / "bin/python", environ)
    pip_command(venv / "bin/python", environ)
    assert sorted(path.name for path in site.iterdir()) == ["hook.pth", "hook.py"]


def test_the_digest_of_local_code_follows_its_content_only(tmp_path):
    one, two = project(tmp_path / "one"), project(tmp_path / "two")
    assert tree_digest(one) == tree_digest(two)
    (two / "__pycache__").mkdir()
    (two / "__pycache__" / "x.pyc").touch()
    (two / ".git").mkdir()
    assert tree_digest(one) == tree_digest(two)
    (two / "localpkg.py").write_text("answer = 43\n")
    assert tree_digest(one) != tree_digest(two)


@pytest.mark.parametrize(
    "context",
    [
        {"tail": "  cause: Because cv2 was not found in the package registry and you require cv2, we can conclude"},
        {"tail": "ERROR: No matching distribution found for cv2"},
        {"tail": "The build backend returned an error", "unbuilt": "cv2==0.1"},
    ],
)
def test_a_requirement_named_like_an_import_is_told_the_package(context):
    told = explain(BuildError("cannot resolve", context=context), {})
    assert told.hint == "cv2 is what programs import; the package is called opencv-python"
    other = explain(BuildError("cannot resolve", context={"tail": context["tail"].replace("cv2", "nothing-like")}), {})
    assert "check the names" in str(other.hint)


def test_pipes_and_sockets_in_local_code_are_passed_over(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text("x = 1\n")
    before = tree_digest(tmp_path / "code")
    os.mkfifo(tmp_path / "code/pipe")
    assert tree_digest(tmp_path / "code") == before
