"""A rebuild changes what has changed, and gives the bytes of a build from empty caches."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.builder import CreateOptions, create
from poncho.errors import PonchoError
from poncho.spec import Spec
from poncho.store import BuilderCache
from poncho.upkeep import inventory, prune, verify
from tests.support.cli import CHECKOUT, environment, run_cli
from tests.support.wheels_index import only_from, write_wheel

FULL = os.environ.get("PONCHO_TEST_FULL") == "1"
AT_ONCE = 8 if FULL else 4
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
# Packages that have something to be left behind, or to be mixed up: a script, a namespace shared by two, a module alone.
WHEELS: tuple[tuple[str, str, dict[str, str] | None, str], ...] = (
    ("alone", "1", {"alone.py": "value = 1\n"}, ""),
    ("alone", "2", {"alone.py": "value = 2\n", "alone_more.py": "value = {1, 2, 'x'}\n"}, ""),
    ("beside", "1", {"beside.py": "text = 'one'\n", "beside_broken.py": "def (:\n"}, ""),
    ("scripted", "1", None, "scripted = scripted.part:version"),
    ("scripted", "2", None, "scripted = scripted.part:version\nmore = scripted.part:version"),
    ("left", "1", {"space/left/__init__.py": "", "space/left/deep/er.py": "x = 1\n"}, ""),
    ("right", "1", {"space/right/__init__.py": "", "right-1.data/data/share/right/note.txt": "note\n"}, ""),
    ("clash", "1", {"space/right/__init__.py": "clash = True\n"}, ""),
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name, version, files, scripts in WHEELS:
        write_wheel(folder, name, version, files, scripts=scripts)
    return folder


@pytest.fixture
def only_wheels(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in only_from(wheels).items():
        monkeypatch.setenv(name, value)
    return wheels


class Builder:
    """Builds with one cache and tells what was said."""

    def __init__(self, cache: BuilderCache, directory: Path) -> None:
        self.cache = cache
        self.said: list[Event] = []
        self._directory = directory

    def __call__(self, *pip: str, **more: object) -> str:
        """Build and return the sha256 of the package."""
        self.said = []
        target = self._directory / f"{self.cache.root.name}.tar.gz"
        spec = Spec(python=PYTHON, pip=pip, **more)  # type: ignore[arg-type]
        create(spec, target, options=CreateOptions(cache=self.cache), reporter=self.said.append)
        return hashlib.sha256(target.read_bytes()).hexdigest()

    def heard(self, words: str) -> bool:
        return any(words in event.message for event in self.said)


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with the interpreter, repackaged, and its bytecode: they take long, and are not what is tested."""
    cache = BuilderCache(tmp_path_factory.mktemp("seed") / "cache")
    Builder(cache, cache.root.parent)()
    shutil.rmtree(cache.root / "environments")
    return cache.root


@pytest.fixture
def cache(seed: Path, tmp_path: Path) -> BuilderCache:
    shutil.copytree(seed, tmp_path / "cache", symlinks=True)
    return BuilderCache(tmp_path / "cache")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, wheels: Path, seed: Path) -> Callable[..., str]:
    """Return a function that builds from caches in which there is no environment yet; answers are kept."""
    root = tmp_path_factory.mktemp("fresh")
    known: dict[tuple[str, ...], str] = {}

    def build(*pip: str) -> str:
        if pip not in known:
            shutil.copytree(seed, root / "cache", symlinks=True)
            known[pip] = Builder(BuilderCache(root / "cache"), root)(*pip)
            shutil.rmtree(root / "cache")
        return known[pip]

    return build


def test_exchanging_packages_gives_the_bytes_of_a_new_environment(
    only_wheels: Path, fresh: Callable[..., str], cache: BuilderCache, tmp_path: Path
) -> None:
    build = Builder(cache, tmp_path)
    sets = [
        ("alone==1", "beside", "scripted==1", "left", "right"),
        ("alone==2", "beside", "scripted==1", "left", "right"),
        ("alone==1", "beside", "scripted==2", "left"),
        ("alone==1", "beside", "scripted==1", "left", "right"),
        ("beside", "left", "right"),
    ]
    for number, pip in enumerate(sets):
        assert build(*pip) == fresh(*pip), pip
        assert build.heard("is used; different") == (number > 0)
    assert build(*sets[-1]) == fresh(*sets[-1])
    assert build.heard("of an earlier build, as it is")
    assert not build.heard("compiled now")


def test_packages_that_share_files_get_a_new_environment(
    only_wheels: Path, fresh: Callable[..., str], cache: BuilderCache, tmp_path: Path
) -> None:
    build = Builder(cache, tmp_path)
    build("alone==1", "left", "right")
    build("alone==1", "left", "right", "clash")
    assert build.heard("share files")
    # Taking one of them out would tear a hole into the other.
    assert build("alone==1", "left", "right") == fresh("alone==1", "left", "right")


def test_random_walks_through_specs_give_the_bytes_of_new_environments(
    only_wheels: Path, fresh: Callable[..., str], cache: BuilderCache, tmp_path: Path
) -> None:
    rng = random.Random(7)
    build = Builder(cache, tmp_path)
    for _ in range(30 if FULL else 3):
        pip = tuple(
            f"{name}=={rng.choice(versions)}"
            for name, versions in (("alone", "12"), ("scripted", "12"), ("left", "1"), ("right", "1"), ("beside", "1"))
            if rng.random() < 0.7
        )
        assert build(*pip) == fresh(*pip), pip


def test_an_environment_that_was_touched_is_not_used_again(
    only_wheels: Path, fresh: Callable[..., str], cache: BuilderCache, tmp_path: Path
) -> None:
    build = Builder(cache, tmp_path)
    build("alone==1", "beside")
    (prefix,) = (path / "env" for path in (tmp_path / "cache/environments").iterdir() if "-base" not in path.name)
    victim = next(prefix.glob("lib/python3.*/site-packages/beside.py"))
    victim.unlink()
    victim.write_text("text = 'two'\n")
    assert build("alone==1", "beside") == fresh("alone==1", "beside")
    assert build.heard("changed by somebody else")


def test_no_build_writes_into_the_caches_that_its_files_are_links_to(
    only_wheels: Path, cache: BuilderCache, tmp_path: Path
) -> None:
    build = Builder(cache, tmp_path)
    build("alone==1", "scripted==1", "left", "right")

    def unpacked() -> dict[str, str]:
        roots = [cache.root / "conda" / "pkgs", cache.root / "pip" / "uv"]
        files = [path for root in roots for top in root.iterdir() if top.is_dir() for path in top.rglob("*")]
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.is_file() and not path.is_symlink() and ("archive-" in str(path) or "pkgs" in str(path))
        }

    before = unpacked()
    build("alone==2", "scripted==2", "left")
    build("beside", "scripted==1")
    after = unpacked()
    assert {path: after.get(path) for path in before} == before
    assert verify(cache, buckets=["conda", "pip"]).damaged == ()


def test_a_damaged_wheel_in_the_cache_is_found_deleted_and_fetched_again(
    only_wheels: Path, fresh: Callable[..., str], cache: BuilderCache, tmp_path: Path
) -> None:
    build = Builder(cache, tmp_path)
    build("alone==1", "beside")
    victim = next((cache.root / "pip" / "uv").glob("archive-*/*/beside.py"))
    content = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(content.replace(b"one", b"two"))
    shutil.rmtree(cache.root / "environments")
    found = verify(cache, delete=False)
    assert [(one.item.bucket, one.what) for one in found.damaged] == [
        ("pip", "beside.py is not what was packed into it")
    ]
    assert [one.deleted for one in verify(cache).damaged] == [True]
    assert verify(cache).damaged == ()
    assert build("alone==1", "beside") == fresh("alone==1", "beside")


def _start(spec: Path, target: Path, cache: Path, wheels: Path) -> subprocess.Popen[bytes]:
    env = environment({**only_from(wheels), "PONCHO_CACHE_DIR": cache})
    argv = [sys.executable, str(CHECKOUT / "bin" / "poncho_package_create"), "--quiet", str(spec), str(target)]
    return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def _spec(path: Path, *pip: str) -> Path:
    path.write_text(json.dumps({"python": PYTHON, "pip": list(pip)}))
    return path


def test_builders_at_once_on_one_cache_all_get_it_right(
    wheels: Path, only_wheels: Path, fresh: Callable[..., str], cache: BuilderCache, tmp_path: Path
) -> None:
    sets = [("alone==1", "beside"), ("alone==2", "beside"), ("alone==1", "beside", "left")]
    specs = [_spec(tmp_path / f"{number}.json", *pip) for number, pip in enumerate(sets)]
    running = [_start(specs[n % 3], tmp_path / f"{n}.tar.gz", cache.root, wheels) for n in range(AT_ONCE)]
    for process in running:
        words = process.communicate()[1]
        assert process.returncode == 0, words
    for number in range(AT_ONCE):
        digest = hashlib.sha256((tmp_path / f"{number}.tar.gz").read_bytes()).hexdigest()
        assert digest == fresh(*sets[number % 3])
    assert verify(cache).damaged == ()
    assert os.listdir(cache.root / "tmp") == []


def test_a_prune_while_builders_run_breaks_none_of_them(wheels: Path, cache: BuilderCache, tmp_path: Path) -> None:
    specs = [_spec(tmp_path / f"{n}.json", *pip) for n, pip in enumerate([("alone==1", "left"), ("alone==2", "right")])]
    for _ in range(3 if FULL else 1):
        running = [_start(specs[n % 2], tmp_path / f"{n}.tar.gz", cache.root, wheels) for n in range(4)]
        while any(process.poll() is None for process in running):
            if cache.root.is_dir():
                prune(cache, everything=True)
            time.sleep(0.05)
        for process in running:
            assert process.returncode == 0, process.communicate()[1]
    prune(cache, everything=True)
    assert sum(len(items) for items in inventory(cache).values()) == 0


def test_what_killed_builders_leave_is_accepted_by_none_and_swept_by_the_next(
    wheels: Path,
    only_wheels: Path,
    fresh: Callable[..., str],
    cache: BuilderCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("poncho.store.cache._JUST_MADE", 0.0)
    monkeypatch.setattr("poncho.install.slots._JUST_MADE", 0.0)
    sets = [("alone==1", "beside", "left"), ("alone==2", "beside", "right")]
    specs = [_spec(tmp_path / f"{number}.json", *pip) for number, pip in enumerate(sets)]
    rng = random.Random(3)
    build = Builder(cache, tmp_path)
    for number in range(40 if FULL else 4):
        process = _start(specs[number % 2], tmp_path / "killed.tar.gz", cache.root, wheels)
        time.sleep(rng.uniform(0.3, 2.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert build(*sets[0]) == fresh(*sets[0])
    assert build(*sets[1]) == fresh(*sets[1])
    prune(cache)
    assert os.listdir(cache.root / "tmp") == []
    assert all((path / "state.json").is_file() for path in (cache.root / "environments").iterdir())
    assert verify(cache).damaged == ()


def test_a_failed_build_leaves_the_next_one_alone(
    only_wheels: Path, fresh: Callable[..., str], cache: BuilderCache, tmp_path: Path
) -> None:
    build = Builder(cache, tmp_path)
    build("alone==1")
    with pytest.raises(PonchoError, match="nothing-of-that-name"):
        build("alone==1", "nothing-of-that-name")
    assert build("alone==1") == fresh("alone==1")
    assert build.heard("of an earlier build, as it is")


def test_poncho_cache_as_a_user_types_it(only_wheels: Path, cache: BuilderCache, tmp_path: Path) -> None:
    env = {**only_from(only_wheels), "PONCHO_CACHE_DIR": None, "PONCHO_CACHE": cache.root}
    run_cli("poncho_package_create", _spec(tmp_path / "s.json", "alone"), tmp_path / "p.tar.gz", env=env).ok()
    assert run_cli("poncho", "cache", "path", env=env).ok().stdout == f"{cache.root}\n"
    listed = json.loads(run_cli("poncho", "cache", "list", "--json", env=env).ok().stdout)
    names = {row["bucket"] for row in listed["buckets"] if row["items"]}
    assert {"conda", "pip", "base", "bytecode", "environments", "solve"} <= names
    assert "installed environments" in run_cli("poncho", "cache", "list", env=env).ok().stdout
    assert "base" in run_cli("poncho", "cache", "list", "base", env=env).ok().stdout
    assert run_cli("poncho", "cache", "verify", env=env).ok().stdout
    nothing = run_cli("poncho", "cache", "prune", env=env).ok()
    assert nothing.stdout == "0 B deleted\n"
    dry = json.loads(
        run_cli("poncho", "cache", "prune", "--max-size", "1M", "--dry-run", "--json", env=env).ok().stdout
    )
    assert dry["deleted"]
    assert (
        json.loads(run_cli("poncho", "cache", "prune", "--older-than", "1d", "--json", env=env).ok().stdout)["bytes"]
        == 0
    )
    victim = next((cache.root / "bytecode").glob("*/*"))
    victim.write_bytes(b"damaged")
    found = run_cli("poncho", "cache", "verify", "bytecode", env=env)
    assert found.returncode == 1
    assert f"bytecode/{victim.name}: does not match its digest, deleted" in found.stdout
    run_cli("poncho", "cache", "prune", "--all", env=env).ok()
    after = json.loads(run_cli("poncho", "cache", "list", "--json", env=env).ok().stdout)
    assert sum(row["items"] for row in after["buckets"]) == 0
    assert "no kind of thing" in run_cli("poncho", "cache", "list", "nonsense", env=env).failed().stderr
