"""The same lock is the same bytes, wherever, when and by whomever it is built (hazard 19); its own lock included."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.channel import Channel
from tests.support.circumstances import TEN, Circumstances, preload, run_under
from tests.support.cli import command_path, run_cli
from tests.support.faults import count
from tests.support.gitserver import GitServer, Repository
from tests.support.server import FileServer, serve
from tests.support.sources import make_web_files


@dataclass(frozen=True, slots=True)
class Ground:
    """A directory with a lock and the local code that it names, and a package built from the lock."""

    directory: Path
    sha256: str
    package: Path


@pytest.fixture(scope="module")
def open_place() -> Iterator[Path]:
    """Yield a directory that other users can reach; pytest closes its own whenever a session begins."""
    with tempfile.TemporaryDirectory(prefix="poncho-bytes-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="module")
def preloaded(open_place: Path) -> Path | None:
    return preload(open_place)


@pytest.fixture(scope="module")
def ground(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Lock a bit of everything: conda packages, pip, local code, a repository, web files."""
    root = tmp_path_factory.mktemp("ground")
    repository = Repository(root / "served" / "code.git")
    repository.commit({"data.txt": "data\n", "b/script": "#!/bin/sh\n"})
    make_web_files(root / "web")
    directory = root / "project"
    _write_project(directory / "mine")
    with GitServer(root / "served") as git, serve(FileServer(root / "web")) as web:
        dependencies = ["python", "greet", "text-prefix", {"pip": ["humanize==4.9.0", "./mine"]}]
        spec = {
            "conda": {"channels": [channel.url], "dependencies": dependencies},
            "git": {"CODE": {"remote": git.url(repository), "ref": "main"}},
            "http": {
                "TABLE": {"url": f"{web.url}/calibration.csv"},
                "TREE": {"url": f"{web.url}/archive.tar.gz", "type": "tar", "compression": "gzip"},
            },
        }
        yield _build(spec, directory)


@pytest.fixture(scope="module")
def base_ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Lock an environment on the interpreter of this machine."""
    directory = tmp_path_factory.mktemp("base")
    return _build({"pip": ["humanize==4.9.0"]}, directory)


def _build(spec: dict[str, object], directory: Path) -> Ground:
    (directory / "spec.json").write_text(json.dumps(spec))
    run_cli(
        "poncho_package_create", directory / "spec.json", directory / "env.tar.gz", "--lock", directory / "lock.json"
    ).ok()
    package = directory / "env.tar.gz"
    return Ground(directory, _sha256(package), package)


def _write_project(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=64"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "mine"\nversion = "1.0"\n[project.scripts]\nmine = "mine:main"\n'
        '[tool.setuptools]\npackages = ["mine"]\n'
    )
    for name in ("__init__", "a", "b"):
        (directory / "mine").mkdir(exist_ok=True)
        (directory / "mine" / f"{name}.py").write_text(f"def main():\n    print({name!r})\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rebuild(ground: Ground, circumstances: Circumstances, place: Path, library: Path | None) -> str:
    """Build from a copy of the lock and the local code, with empty caches, under the circumstances."""
    work = place / circumstances.name
    shutil.copytree(ground.directory, work, ignore=shutil.ignore_patterns("*.tar.gz"))
    argv = [command_path("poncho_package_create"), "-q", "--locked", "lock.json", "env.tar.gz"]
    run_under(circumstances, argv, work, library)
    digest = _sha256(work / "env.tar.gz")
    shutil.rmtree(work)
    return digest


@pytest.mark.network
@pytest.mark.parametrize("circumstances", TEN[1 : count(3, len(TEN))], ids=lambda one: one.name[:3])
def test_one_lock_gives_one_sha256(
    ground: Ground, circumstances: Circumstances, open_place: Path, preloaded: Path | None
):
    assert _rebuild(ground, circumstances, open_place, preloaded) == ground.sha256


@pytest.mark.network
@pytest.mark.parametrize("circumstances", TEN[1 : count(2, len(TEN))], ids=lambda one: one.name[:3])
def test_one_lock_gives_one_sha256_on_the_interpreter_of_this_machine(
    base_ground: Ground, circumstances: Circumstances, open_place: Path, preloaded: Path | None
):
    assert _rebuild(base_ground, circumstances, open_place, preloaded) == base_ground.sha256


@pytest.mark.network
def test_a_package_built_again_from_the_lock_inside_it_is_the_same_bytes(ground: Ground, tmp_path: Path):
    shutil.copytree(ground.directory / "mine", tmp_path / "mine")  # local code is looked for in the current directory
    run_cli("poncho_package_create", ground.package, tmp_path / "again.tar.gz", cwd=tmp_path).ok()
    assert _sha256(tmp_path / "again.tar.gz") == ground.sha256


@pytest.mark.network
def test_a_lock_builds_offline_with_warm_caches(ground: Ground, tmp_path: Path):
    shutil.copytree(ground.directory, tmp_path / "copy")
    run_cli("poncho_package_create", "--offline", tmp_path / "copy" / "lock.json", tmp_path / "off.tar.gz").ok()
    assert _sha256(tmp_path / "off.tar.gz") == ground.sha256


@pytest.mark.network
def test_local_code_that_changed_since_it_was_locked_is_refused(ground: Ground, tmp_path: Path):
    shutil.copytree(ground.directory, tmp_path / "copy")
    (tmp_path / "copy" / "mine" / "mine" / "a.py").write_text("changed = True\n")
    done = run_cli("poncho_package_create", tmp_path / "copy" / "lock.json", tmp_path / "out.tar.gz").failed()
    assert "mine" in done.stderr
    assert "has changed since it was locked" in done.stderr
    assert not (tmp_path / "out.tar.gz").exists()
