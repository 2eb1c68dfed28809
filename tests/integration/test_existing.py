"""Conda environments as they are after a while: package cache gone, pip over conda, code installed editable, files missing."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import conda_pack
import pytest
from filelock import FileLock

from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import Finished, command_path, environment, run_cli
from tests.support.reference_engine import make_environment


def wheel(directory: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a pure wheel."""
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    target = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return target


def project(directory: Path, name: str, module: str, answer: int) -> Path:
    """Write a project with one module and one command, in the src layout."""
    code = directory / "src" / module
    code.mkdir(parents=True)
    (code / "__init__.py").write_text(f"answer = {answer}\ndef main():\n    print('answer', answer)\n")
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n[project.scripts]\n{module}-says = "{module}:main"\n'
    )
    return directory


def pip(prefix: Path, *arguments: str | Path) -> None:
    """Run the environment's own pip."""
    argv = [prefix / "bin/python", "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(argv, check=True, capture_output=True, env=environment({"PATH": f"{prefix}/bin:/usr/bin:/bin"}))


def site_of(prefix: Path) -> Path:
    return next(path for path in prefix.glob("lib/python3.*/site-packages") if not path.parent.is_symlink())


def check_records(root: Path) -> None:
    """Check that every conda-meta record and every RECORD in an unpacked package says what is there."""
    for meta in root.glob("conda-meta/*.json"):
        record = json.loads(meta.read_text())
        for file in record["files"]:
            assert os.path.lexists(root / file), (meta.name, file)
        for path in record["paths_data"]["paths"]:
            if "sha256_in_prefix" in path and path["path_type"] != "softlink":
                data = (root / path["_path"]).read_bytes()
                assert hashlib.sha256(data).hexdigest() == path["sha256_in_prefix"], (meta.name, path)
                assert len(data) == path["size_in_bytes"]
    site = site_of(root)
    listed = set()
    for record_file in site.glob("*.dist-info/RECORD"):
        for name, digest, _size in csv.reader(record_file.read_text().splitlines()):
            file = site / name
            listed.add(os.path.normpath(file))
            assert file.exists(), (record_file.parent.name, name)
            if digest and file != record_file:
                found = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={found}", (record_file.parent.name, name)
    owned = {
        os.path.normpath(root / file)
        for meta in root.glob("conda-meta/*.json")
        for file in json.loads(meta.read_text())["files"]
    }
    for compiled in (root / "lib").rglob("*.pyc"):
        assert os.path.normpath(compiled) in listed | owned, f"{compiled} belongs to nobody"


@pytest.fixture(scope="session")
def worn(channel: Channel, shared_directory: Path) -> Path:
    """Return a directory with an environment ``env`` that pip was let loose on, and the projects that it refers to."""
    root = shared_directory / "worn"
    with FileLock(root.with_suffix(".lock")):
        if not (root / "done").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            prefix, cache = root / "env", root / "cache"
            specs = [f"python={channel.python}", "pip", "setuptools", "wheel", "greet", "text-prefix", "pyyaml"]
            make_environment(prefix, [channel.file_url], specs, cache=cache)
            shutil.rmtree(cache)
            pip(
                prefix,
                "install",
                "--no-index",
                wheel(root, "intruder", "3.0", {"greet/words.txt": "from the intruder\n", "intruder.py": "x = 1\n"}),
            )
            pip(
                prefix,
                "install",
                "--no-index",
                wheel(root, "PyYAML", "99.0", {"yaml/__init__.py": "__version__ = '99.0'\n"}),
            )
            pip(
                prefix,
                "install",
                "--no-build-isolation",
                "--no-deps",
                "-e",
                project(root / "my project", "My.Project", "my_project", 42),
            )
            (site_of(prefix) / "conda.pth").write_text(
                f"{project(root / 'developed', 'developed', 'developed', 43) / 'src'}\n"
            )
            # conda develop is given the directory with the modules; what can be built is a project.
            shutil.move(root / "developed/pyproject.toml", root / "developed/src/pyproject.toml")
            (root / "done").touch()
    return root


@pytest.fixture(scope="session")
def package(worn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """Return the package of that environment, made while it was mounted read-only, and what the command said."""
    output = tmp_path_factory.mktemp("worn") / "env.tar.gz"
    before = packages.tree_state(worn)
    said = read_only(worn, worn / "env", output).ok()
    assert packages.tree_state(worn) == before
    return output, said


def read_only(root: Path, prefix: Path, output: Path, *options: str) -> Finished:
    """Run create in a mount namespace in which ``root`` cannot be written to, where such can be had."""
    private = ["unshare", "-rm"] if os.getuid() else ["unshare", "-m"]
    if subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        return run_cli("poncho_package_create", prefix, output, *options)
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    argv = [*private, "sh", "-c", script, "sh", root, command_path("poncho_package_create"), prefix, output, *options]
    run = subprocess.run(
        list(map(str, argv)), env=environment(), cwd=os.environ["HOME"], capture_output=True, stdin=subprocess.DEVNULL
    )
    return Finished(tuple(map(str, argv)), run.returncode, run.stdout, run.stderr.decode())


def run_python(package: Path, code: str) -> str:
    return packages.run_in(package, "python", "-c", code).ok().stdout


@pytest.mark.network
def test_what_is_there_is_what_is_packed(package: tuple[Path, Finished], worn: Path) -> None:
    output, said = package
    assert run_python(output, "import yaml, intruder; print(yaml.__version__)") == "99.0\n"
    assert "from the intruder" in packages.run_in(output, "greet").ok().stdout
    assert "pip has replaced conda package pyyaml" in said.stderr
    assert "intruder 3.0 wrote over" in said.stderr
    assert "greet/words.txt of conda package greet 1.2" in said.stderr


@pytest.mark.network
def test_code_that_is_installed_editable_is_in_the_package(package: tuple[Path, Finished], worn: Path) -> None:
    output, said = package
    code = "import my_project, developed; print(my_project.answer, developed.answer, my_project.__file__, developed.__file__)"
    answers = run_python(output, code).split()
    assert answers[:2] == ["42", "43"]
    assert str(worn) not in "".join(answers)
    assert packages.run_in(output, "my_project-says").ok().stdout == "answer 42\n"
    assert "my-project is installed editable" in said.stderr
    locked = {entry["name"]: entry for entry in json.loads(packages.read_member(output, "poncho/lock.json"))["pip"]}
    assert len(locked["my-project"]["sha256"]) == 64, "the content of local code is in the lock"


@pytest.mark.network
def test_its_records_are_true_and_nothing_of_this_machine_is_inside(
    package: tuple[Path, Finished], worn: Path, tmp_path: Path
) -> None:
    there = packages.unpack(package[0], tmp_path / "there")
    check_records(there)
    found = [path for path in there.rglob("*") if path.is_file() and os.fsencode(worn) in path.read_bytes()]
    assert found == []
    assert not list(there.rglob("*.pth.orig")) + list(there.rglob("__editable__*"))


@pytest.mark.network
def test_every_module_is_compiled_and_valid_without_a_look_at_its_source(
    package: tuple[Path, Finished], tmp_path: Path
) -> None:
    there = packages.unpack(package[0], tmp_path / "there")
    compiled = list((there / "lib").rglob("*.pyc"))
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\1\0\0\0"}
    sources = {path for path in site_of(there).rglob("*.py") if b"\n" in path.read_bytes()}
    with_bytecode = {path for path in sources if list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))}
    assert len(sources - with_bytecode) <= 10, "templates that do not compile"


@pytest.mark.network
def test_the_same_environment_gives_the_same_bytes(
    package: tuple[Path, Finished], worn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path / "cache"))
    run_cli("poncho_package_create", worn / "env", tmp_path / "env.tar.gz").ok()
    assert (
        hashlib.sha256((tmp_path / "env.tar.gz").read_bytes()).digest()
        == hashlib.sha256(package[0].read_bytes()).digest()
    )


def test_editable_code_can_be_left_out(worn: Path, tmp_path: Path) -> None:
    said = run_cli("poncho_package_create", worn / "env", tmp_path / "env.tar.gz", "--ignore-editable-packages").ok()
    assert "left out" in said.stderr
    assert "my-project" in said.stderr
    done = packages.run_in(tmp_path / "env.tar.gz", "python", "-c", "import my_project")
    assert "ModuleNotFoundError" in done.stderr
    assert not [name for name in packages.members(tmp_path / "env.tar.gz") if "my_project" in name]


def test_code_that_is_no_project_is_refused_with_the_list(channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.file_url], ["greet"])
    for name in ("loose", "also loose"):
        (tmp_path / name).mkdir()
    (site_of(prefix) / "mine.pth").write_text(f"{tmp_path / 'loose'}\n{tmp_path / 'also loose'}\n/no/such/place\n")
    said = run_cli("poncho_package_create", prefix, tmp_path / "env.tar.gz").failed().stderr
    assert str(tmp_path / "loose") in said
    assert str(tmp_path / "also loose") in said
    assert "--ignore-editable-packages" in said
    run_cli("poncho_package_create", prefix, tmp_path / "env.tar.gz", "--ignore-editable-packages").ok()
    name = (site_of(prefix) / "mine.pth").relative_to(prefix)
    assert packages.read_member(tmp_path / "env.tar.gz", str(name)) == b"/no/such/place\n"


def test_missing_files_are_refused_with_the_list_and_packed_when_asked(channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.file_url], ["text-prefix", "ladder", "greet"])
    (prefix / "etc/plain.conf").unlink()
    (prefix / "share/ladder.txt").unlink()
    shutil.rmtree(site_of(prefix) / "greet/__pycache__", ignore_errors=True)
    said = run_cli("poncho_package_create", prefix, tmp_path / "env.tar.gz").failed()
    assert "ladder 2.0 (share/ladder.txt); text-prefix 1.0 (etc/plain.conf)" in said.stderr
    assert "--ignore-missing-files" in said.stderr
    assert not (tmp_path / "env.tar.gz").exists()
    with pytest.raises(conda_pack.CondaPackException, match="deleted/overwritten"):
        conda_pack.CondaEnv.from_prefix(str(prefix))
    said = run_cli("poncho_package_create", prefix, tmp_path / "env.tar.gz", "--ignore-missing-files").ok()
    assert "share/ladder.txt" in said.stderr
    check_records(packages.unpack(tmp_path / "env.tar.gz", tmp_path / "there"))


def test_all_that_conda_pack_packs_is_in_the_package(channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    make_environment(
        prefix, [channel.file_url], ["greet", "text-prefix", "oddities", "activation", "clobber-one", "clobber-two"]
    )
    (prefix / "my notes.txt").write_text("unmanaged\n")
    theirs = {file.target for file in conda_pack.CondaEnv.from_prefix(str(prefix))}
    run_cli("poncho_package_create", prefix, tmp_path / "env.tar.gz").ok()
    assert theirs - packages.members(tmp_path / "env.tar.gz").keys() == set()
    check_records(packages.unpack(tmp_path / "env.tar.gz", tmp_path / "there"))


def test_an_environment_without_a_python_that_runs_is_packed(channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.file_url], ["greet"])
    python = (prefix / "bin/python").resolve()
    python.unlink()
    python.write_bytes(b"\x7fELF for another machine")
    python.chmod(0o755)
    run_cli("poncho_package_create", prefix, tmp_path / "env.tar.gz").ok()
    assert "bin/greet" in packages.members(tmp_path / "env.tar.gz")


def test_an_environment_that_may_only_be_read_is_packed(channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.file_url], ["text-prefix", "greet"], cache=tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    directories = [path for path in [prefix, *prefix.rglob("*")] if path.is_dir() and not path.is_symlink()]
    for path in directories:
        path.chmod(0o555)
    before = packages.tree_state(prefix)
    # Root, too, without the right to pass over permissions.
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    argv = [*drop, str(command_path("poncho_package_create")), str(prefix), str(tmp_path / "env.tar.gz")]
    try:
        subprocess.run(argv, env=environment(), cwd=os.environ["HOME"], check=True)
        assert packages.tree_state(prefix) == before
    finally:
        for path in directories:
            path.chmod(0o755)
    assert "hello" in packages.run_in(tmp_path / "env.tar.gz", "greet").ok().stdout


def test_trim_alone_and_trim_with_kinds_on_the_command_line(channel: Channel, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.file_url], ["ladder"])
    (prefix / "include").mkdir()
    (prefix / "include/x.h").write_text("x")
    (prefix / "share/man").mkdir()
    (prefix / "share/man/x.1").write_text("x")
    output = tmp_path / "env.tar.gz"
    said = run_cli("poncho_package_create", "--trim", prefix, output).ok()
    assert "trimmed 2 B before compression" in said.stderr
    assert not {"include/x.h", "share/man/x.1"} & packages.members(output).keys()
    answer = json.loads(run_cli("poncho_package_create", prefix, "--trim=docs", output, "--json").ok().stdout)
    assert answer["trimmed"] == {"bytes": 1, "kinds": {"docs": {"bytes": 1, "files": 1}}, "kept": []}
    assert "include/x.h" in packages.members(output)
    run_cli("poncho_package_create", prefix, output).ok()
    assert "share/man/x.1" in packages.members(output), "off by default"
    assert "use all, or some of static" in run_cli("poncho_package_create", "--trim=x", prefix, output).failed().stderr


def test_an_environment_that_micromamba_made_is_relocated_without_its_package_cache(
    channel: Channel, tmp_path: Path
) -> None:
    """It records that linking changed a file, and neither the placeholder nor its length."""
    channel.require("prefix-tool")
    prefix = tmp_path / "env"
    make_environment(prefix, [channel.file_url], ["prefix-tool", "text-prefix"], cache=tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    for meta in prefix.glob("conda-meta/*.json"):
        record = json.loads(meta.read_text())
        for item in record["paths_data"]["paths"]:
            if item.pop("prefix_placeholder", None):
                del item["file_mode"]
                assert item["sha256"] != item["sha256_in_prefix"]
        meta.write_text(json.dumps(record))
    (prefix / ".mambarc").write_text("platform: linux-64\n")
    package = tmp_path / "env.tar.gz"
    made = run_cli("poncho_package_create", prefix, package).ok()
    assert "compiled into" not in made.stderr
    assert "changed since" not in made.stderr
    assert ".mambarc" not in packages.members(package)
    root = packages.unpack(package, tmp_path / "unpacked")
    check_meta = json.loads(next(root.glob("conda-meta/prefix-tool-*.json")).read_text())
    assert not [
        item
        for item in check_meta["paths_data"]["paths"]
        if item.get("sha256_in_prefix", item.get("sha256")) != item.get("sha256")
    ]
    said = packages.run_in(package, "prefix-tool").ok().stdout.strip()
    assert said.startswith("/")
    assert not said.startswith(str(prefix))
