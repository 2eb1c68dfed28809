"""What the installers' caches have lost, or hold damaged, is fetched again: never does it become a package that is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.builder import CreateOptions, create
from poncho.errors import BuildError
from poncho.spec import Spec
from poncho.store import BuilderCache, remove_tree
from poncho.upkeep import prune, verify
from tests.support.faults import flip
from tests.support.wheels_index import only_from, write_wheel

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
Damage = Callable[[Path], None]


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def make_shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def make_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


FULL = os.environ.get("PONCHO_TEST_FULL") == "1"
DAMAGES: tuple[Damage, ...] = (Path.unlink, make_zeros, make_empty, make_shorter, flip)[: None if FULL else 2]


class Build:
    """Builds one spec in an environment that is made anew each time, and tells the sha256 and what was said."""

    def __init__(self, cache: BuilderCache, directory: Path) -> None:
        self.cache = cache
        self.warnings: list[str] = []
        self._target = directory / "env.tar.gz"

    def __call__(self, *pip: str, offline: bool = False) -> str:
        remove_tree(self.cache.root / "environments")
        said: list[Event] = []
        options = CreateOptions(cache=self.cache, offline=offline)
        create(Spec(python=PYTHON, pip=pip), self._target, options=options, reporter=said.append)
        self.warnings = [event.message for event in said if event.kind == "warning"]
        return hashlib.sha256(self._target.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> BuilderCache:
    """Return a cache in which an environment was built once."""
    root = tmp_path_factory.mktemp("ground")
    write_wheel(root / "wheels", "alone", "1", {"alone.py": "value = 1\n", "alone_more.py": "more = 1\n"})
    wheel = write_wheel(root / "wheels", "sloppy", "1", {"sloppy.py": "value = 1\n"})
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files = {
        name: data.replace(b"sha256=", b"sha256=AAAA") if "RECORD" in name else data for name, data in files.items()
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return BuilderCache(root / "cache")


@pytest.fixture(scope="module")
def sound(ground: BuilderCache, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what a build with a whole cache gives."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in only_from(ground.root.parent / "wheels").items():
            patch.setenv(name, value)
        return Build(ground, tmp_path_factory.mktemp("sound"))("alone")


@pytest.fixture
def build(ground: BuilderCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    for name, value in only_from(ground.root.parent / "wheels").items():
        monkeypatch.setenv(name, value)
    return Build(ground, tmp_path)


def unpacked(cache: BuilderCache, name: str) -> list[Path]:
    return [path for path in (cache.root / "pip/uv").glob(f"archive-*/*/{name}") if path.is_file()]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
def test_a_damaged_wheel_is_fetched_again(build: Build, sound: str, damage: Damage) -> None:
    for path in unpacked(build.cache, "alone_more.py"):
        damage(path)
    assert build("alone") == sound
    assert ["is fetched again" in line and "alone_more.py" in line for line in build.warnings] == [True]
    assert build("alone") == sound
    assert build.warnings == []


def test_a_record_that_has_lost_its_end_is_seen(build: Build, sound: str) -> None:
    for path in unpacked(build.cache, "alone-1.dist-info/RECORD"):
        path.write_text(path.read_text().splitlines(keepends=True)[0])
    assert build("alone") == sound
    assert any("RECORD" in line for line in build.warnings)


def test_without_the_network_it_is_an_error_that_says_so(build: Build, sound: str) -> None:
    for path in unpacked(build.cache, "alone.py"):
        path.unlink()
    with pytest.raises(BuildError, match=r"pip package alone is damaged \(.*alone.py is missing\)") as caught:
        build("alone", offline=True)
    assert "--offline" in str(caught.value.hint)
    build("alone")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
def test_a_damaged_conda_package_is_fetched_again(build: Build, sound: str, damage: Damage) -> None:
    (package,) = (build.cache.root / "conda/pkgs").glob("pip-*/info")
    listed = json.loads((package / "paths.json").read_text())["paths"]
    victim = next(one["_path"] for one in listed if one["_path"].endswith("/pip/__init__.py"))
    damage(package.parent / victim)
    assert build("alone") == sound
    assert any("conda package pip is damaged" in line for line in build.warnings)
    assert build("alone") == sound
    assert build.warnings == []


def test_a_wheel_that_is_wrong_in_itself_is_told_of_once(build: Build) -> None:
    first = build("sloppy")
    assert any("sloppy.py" in line and "in the wheel itself" in line for line in build.warnings)
    assert build("sloppy") == first
    assert build.warnings == []
    prune(build.cache, everything=True, buckets=["solve"])
    assert build("sloppy", offline=True) == first
    remove_tree(build.cache.root / "pip/as-they-are")
    assert build("sloppy", offline=True) == first  # what is wrong may be so in the wheel, and nothing is missing
    assert any("or was made so" in line for line in build.warnings)


def test_a_kept_environment_is_verified_by_its_content(build: Build, sound: str) -> None:
    assert build("alone") == sound
    assert not verify(build.cache, buckets=["environments"]).damaged
    victim = next(build.cache.root.glob("environments/*/env/lib/python3*/site-packages/alone.py"))
    private = victim.with_name("private")
    shutil.copyfile(victim, private)
    flip(private)
    times = victim.stat()
    with victim.open("r+b") as stream:  # in place: no directory changes
        stream.write(private.read_bytes())
    private.unlink()
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    (found,) = verify(build.cache, buckets=["environments"]).damaged
    assert found.deleted
    for path in unpacked(build.cache, "alone.py"):
        path.unlink()  # it was one file with the other
    build("alone")
