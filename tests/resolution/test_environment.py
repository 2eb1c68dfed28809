"""Spec to lock as one value: for this machine and others, moved on package by package, made ready to be built."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poncho.engine import native_platform
from poncho.engine.rattler import RattlerEngine
from poncho.errors import ResolveError
from poncho.lock.codec import dumps, loads
from poncho.lock.compare import lock_changes, spec_changes
from poncho.lock.model import Lock, LockedBase, LockedConda, LockedGit, LockedPip
from poncho.resolution import Means, changed_names, installable, resolve_spec, update_lock, with_places
from poncho.resolution.elsewhere import distributions
from poncho.resolution.local import tree_digest
from poncho.spec import GitSource, Spec
from poncho.store import BuilderCache
from tests.resolution.conftest import Index, serve_index, write_wheel
from tests.support.channel import Channel
from tests.support.conda_package import CondaPackage
from tests.support.conda_package import index as index_channel

ARM = "linux-aarch64"


@pytest.fixture
def means() -> Means:
    cache = BuilderCache.default()
    return Means(RattlerEngine(cache), cache)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Yield a package index of its own, which is the only one."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    with serve_index(tmp_path / "index") as server:
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", server.url)
        monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path / "cache"))
        yield server


def publish(index: Index, name: str, *files: tuple[str, str], requires: tuple[str, ...] = ()) -> None:
    """Add wheels, given as version and tag, to the index."""
    folder = index.root / name
    folder.mkdir(parents=True, exist_ok=True)
    for version, tag in files:
        write_wheel(folder, name, version, requires, tag)
    links = (f'<a href="{f.name}#sha256={_sha256(f)}">{f.name}</a>' for f in sorted(folder.glob("*.whl")))
    (folder / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_channel(root: Path, *packages: tuple[str, str, tuple[str, ...]]) -> str:
    """Add packages, given as name, version and dependencies, to a channel; return its URL."""
    for name, version, depends in packages:
        CondaPackage(name, version, noarch="generic", depends=depends).write(root)
    (root / native_platform()).mkdir(exist_ok=True)
    index_channel(root)
    return root.as_uri()


def make_records(root: Path, platform: str, *records: tuple[str, str, tuple[str, ...]]) -> str:
    """Write a channel of another platform: its index alone, as that is all that a solve reads."""
    for subdir in (platform, "noarch"):
        (root / subdir).mkdir(parents=True, exist_ok=True)
    packages = {
        f"{name}-{version}-0.conda": {
            "name": name, "version": version, "build": "0", "build_number": 0, "subdir": platform, "depends": list(depends),
            "sha256": hashlib.sha256(name.encode()).hexdigest(), "size": 10, "timestamp": 1700000000000,
        }
        for name, version, depends in records
    }  # fmt: skip
    empty: dict[str, object] = {"packages": {}, "packages.conda": {}, "repodata_version": 1}
    here = {**empty, "info": {"subdir": platform}, "packages.conda": packages}
    (root / platform / "repodata.json").write_text(json.dumps(here))
    (root / "noarch" / "repodata.json").write_text(json.dumps({**empty, "info": {"subdir": "noarch"}}))
    return root.as_uri()


def versions(lock: Lock) -> dict[str, str]:
    return {item.name: item.version for item in (*lock.conda, *lock.pip)}


# --- update ----------------------------------------------------------------------------------------------------------


def test_an_update_moves_one_conda_package_and_leaves_every_other_byte(means: Means, tmp_path: Path):
    url = make_channel(tmp_path / "c", ("one", "1.0", ()), ("two", "1.0", ("three",)), ("three", "1.0", ()))
    spec = Spec(channels=(url,), conda=("one", "two"))
    old = resolve_spec(spec, means=means, platform=native_platform())
    make_channel(tmp_path / "c", ("one", "2.0", ()), ("two", "2.0", ("three >=2", "four")), ("three", "2.0", ()))
    make_channel(tmp_path / "c", ("four", "1.0", ()), ("two", "1.5", ("three", "four")))
    new = update_lock(old, ["two"], spec=spec, means=means)
    assert lock_changes(old, new) == ("four (new) → 1.0 h0_0 (conda)", "two 1.0 h0_0 → 1.5 h0_0 (conda)")
    kept = {item.name: item for item in old.conda}
    assert all(item == kept[item.name] for item in new.conda if item.name in ("one", "three"))
    assert versions(update_lock(old, ["two", "three"], spec=spec, means=means))["two"] == "2.0"


def test_an_update_that_finds_nothing_newer_changes_nothing(means: Means, tmp_path: Path):
    url = make_channel(tmp_path / "c", ("one", "1.0", ()))
    spec = Spec(channels=(url,), conda=("one",))
    old = resolve_spec(spec, means=means, platform=native_platform())
    assert dumps(update_lock(old, ["one"], spec=spec, means=means)) == dumps(old)


def test_an_update_of_what_the_lock_does_not_hold_names_what_is_near(means: Means, tmp_path: Path):
    url = make_channel(tmp_path / "c", ("numpy", "1.0", ()))
    spec = Spec(channels=(url,), conda=("numpy",))
    lock = resolve_spec(spec, means=means, platform=native_platform())
    with pytest.raises(ResolveError, match="holds no nunpy") as caught:
        update_lock(lock, ["nunpy"], spec=spec, means=means)
    assert "numpy" in str(caught.value.hint)


def test_an_update_moves_one_pip_package_and_leaves_all_else(channel: Channel, wheels: Index, tmp_path: Path):
    cache = BuilderCache(tmp_path / "cache")
    means = Means(RattlerEngine(cache), cache)
    for name in ("alpha", "beta"):
        publish(wheels, name, ("1.0", "py3-none-any"))
    spec = Spec(channels=(channel.file_url,), conda=("python",), pip=("alpha", "beta"))
    old = resolve_spec(spec, means=means, platform=native_platform())
    for name in ("alpha", "beta"):
        publish(wheels, name, ("2.0", "py3-none-any"))
    fresh = Means(RattlerEngine(BuilderCache(tmp_path / "other")), BuilderCache(tmp_path / "other"))
    new = update_lock(old, ["Alpha"], spec=spec, means=fresh)
    assert lock_changes(old, new) == ("alpha 1.0 → 2.0 (pip)",)
    assert new.conda == old.conda
    assert versions(resolve_spec(spec, means=fresh, platform=native_platform()))["beta"] == "2.0"


def test_an_update_follows_a_pip_requirement_that_changed_and_leaves_all_else(
    channel: Channel, wheels: Index, tmp_path: Path
):
    means = Means(RattlerEngine(BuilderCache(tmp_path / "cache")), BuilderCache(tmp_path / "cache"))
    for name in ("gamma", "delta"):
        publish(wheels, name, ("1.0", "py3-none-any"), ("1.1", "py3-none-any"))
    spec = Spec(channels=(channel.file_url,), conda=("python",), pip=("gamma<1.1", "delta<1.1"))
    old = resolve_spec(spec, means=means, platform=native_platform())
    wanted = replace(spec, pip=("gamma==1.1", "delta<1.1"))
    assert lock_changes(old, update_lock(old, ["gamma"], spec=wanted, means=means)) == ("gamma 1.0 → 1.1 (pip)",)
    gone = update_lock(old, ["gamma"], spec=replace(spec, pip=("delta<1.1",)), means=means)
    assert lock_changes(old, gone) == ("gamma 1.0 → (gone) (pip)",)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({}, set()),
        ({"pip": ("Six>1", "./code")}, {"six"}),
        ({"pip": ("./code", "six")}, None),
        ({"pip": ("six",)}, None),
        ({"conda": ("conda-forge::root=6", "numpy")}, {"root"}),
        ({"conda": ("root", "numpy", "python=3.12")}, None),
        ({"python": "3.12"}, None),
        ({"channels": ("b", "a")}, None),
        ({"pinned": {"numpy": "1"}, "git": {}}, {"numpy", "CODE"}),
    ],
)
def test_the_names_in_which_specs_differ(changed: dict[str, Any], names: set[str] | None):
    locked = Spec(channels=("a",), conda=("root", "numpy"), pip=("six", "./code"), git={"CODE": GitSource("r")})
    assert changed_names(locked, replace(locked, **changed)) == names


def test_an_update_from_the_lock_alone_knows_where_local_code_is():
    spec = Spec(pip=("./code[extra]", "named", "six"), git={"R": GitSource("repository", ref="main")})
    pip = (
        LockedPip("code", "1", "/home/me/code", sha256="a" * 64),
        LockedPip("named", "1", "/home/me/elsewhere", sha256="b" * 64),
        LockedPip("six", "1.16", "six==1.16", sha256="c" * 64),
    )
    lock = Lock("linux-64", "d", pip=pip, git={"R": LockedGit("/home/me/repository", "d" * 40)})
    found = with_places(spec, lock)
    assert found.pip == ("/home/me/code[extra]", "named @ file:///home/me/elsewhere", "six")
    assert found.git["R"].remote == "/home/me/repository"


# --- another platform ------------------------------------------------------------------------------------------------


def test_another_platform_is_locked_with_its_virtual_packages_and_its_wheels(wheels: Index, tmp_path: Path):
    cache = BuilderCache(tmp_path / "cache")
    means = Means(RattlerEngine(cache), cache)
    records = [
        ("python", "3.11.7", ("__glibc >=2.17",)),
        ("pip", "24.0", ("python",)),
        ("numpy", "1.26.4", ("python >=3.11,<3.12.0a0",)),
        ("pyyaml", "6.0", ("python",)),
        ("yaml", "0.2.5", ()),
    ]
    url = make_records(tmp_path / "c", ARM, *records)
    publish(wheels, "fast", ("1.0", "cp311-cp311-manylinux_2_17_x86_64"), ("1.0", "cp311-cp311-manylinux_2_17_aarch64"))
    publish(wheels, "pure", ("1.0", "py3-none-any"), requires=("numpy>=1", "pyyaml", "fast"))
    spec = Spec(channels=(url,), conda=("python", "numpy", "pyyaml", "yaml"), pip=("pure",))
    lock = resolve_spec(spec, means=means, platform=ARM)
    assert lock.platform == ARM
    assert "__glibc=2.28=0" in lock.virtual_packages
    assert {item.subdir for item in lock.conda} == {ARM}
    assert {item.name: str(item.url).rsplit("/", 1)[-1] for item in lock.pip} == {
        "fast": "fast-1.0-cp311-cp311-manylinux_2_17_aarch64.whl",
        "pure": "pure-1.0-py3-none-any.whl",
    }
    assert dumps(resolve_spec(spec, means=means, platform=ARM)) == dumps(lock)


def test_a_pip_package_that_conda_has_in_another_version_there_is_refused(wheels: Index, tmp_path: Path):
    cache = BuilderCache(tmp_path / "cache")
    records = [("python", "3.11.7", ()), ("pip", "24.0", ("python",)), ("numpy", "1.26.4", ("python",))]
    url = make_records(tmp_path / "c", ARM, *records)
    publish(wheels, "numpy", ("2.0", "py3-none-any"))
    publish(wheels, "wants", ("1.0", "py3-none-any"), requires=("numpy>=2",))
    spec = Spec(channels=(url,), conda=("python", "numpy"), pip=("wants",))
    with pytest.raises(ResolveError, match=r"numpy 1\.26\.4"):
        resolve_spec(spec, means=Means(RattlerEngine(cache), cache), platform=ARM)


def test_the_interpreter_of_this_machine_is_no_base_for_another_platform(means: Means):
    with pytest.raises(ResolveError, match=r"names no conda channel.*not for osx-arm64"):
        resolve_spec(Spec(pip=("six",)), means=means, platform="osx-arm64")


def test_distributions_of_conda_packages_are_those_that_need_python():
    def conda(name: str, version: str, *depends: str, **record: object) -> LockedConda:
        url = f"https://h/c/linux-64/{name}-{version}-0.conda"
        return LockedConda(name, version, "0", "linux-64", "c", url, record={"depends": depends, **record})

    found = [
        conda("numpy", "1.26", "python_abi 3.11.*"),
        conda("pytorch", "2.1", "python >=3.11"),
        conda("yaml", "0.2.5", "libgcc-ng >=12"),
        conda("odd", "2024a_1x", "python"),
        conda("six", "1.16", noarch="python"),
    ]
    assert dict(distributions(found)) == {"numpy": "1.26", "torch": "2.1", "six": "1.16"}


# --- ready to be built -----------------------------------------------------------------------------------------------


def test_a_lock_for_another_platform_is_refused_in_one_line(means: Means):
    with pytest.raises(ResolveError) as caught:
        installable(Lock("osx-arm64", "d"), means=means)
    assert str(caught.value) == f"the lock is for osx-arm64, and this machine is {native_platform()}"


def test_the_base_of_the_lock_is_found_again(means: Means):
    lock = resolve_spec(Spec(), means=means, platform=native_platform())
    lock = replace(lock, conda=lock.conda)
    read = loads(dumps(lock))
    assert [item.url.split("/")[0] for item in read.conda] == ["base:noarch", f"base:{native_platform()}"][
        2 - len(read.conda) :
    ]
    ready = installable(read, means=means)
    assert {item.name: item.url for item in ready.conda} == {item.name: item.url for item in lock.conda}


def test_another_build_of_the_locked_interpreter_is_refused(means: Means):
    lock = loads(dumps(resolve_spec(Spec(), means=means, platform=native_platform())))
    assert lock.base is not None
    other = replace(lock, base=replace(lock.base, sha256="0" * 64))
    with pytest.raises(ResolveError, match=f"interpreter {lock.base.version} differs from the locked one"):
        installable(other, means=means)


def test_a_locked_interpreter_that_is_not_here_is_named(means: Means):
    python = LockedConda("python", "3.9.99", "0", "linux-64", "base:", "base:linux-64/python-3.9.99-0.conda")
    lock = Lock(native_platform(), "d", base=LockedBase("3.9.99", "source", "0" * 64), conda=(python,))
    with pytest.raises(ResolveError, match=r"base is Python 3\.9\.99"):
        installable(lock, means=means)


def test_local_code_is_checked_against_its_digest(means: Means, tmp_path: Path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "pyproject.toml").write_text("[project]\n")
    item = LockedPip("code", "1", str(tmp_path / "code"), sha256=tree_digest(tmp_path / "code"))
    lock = Lock(native_platform(), "d", pip=(item,))
    assert installable(lock, means=means) == lock
    (tmp_path / "code" / "more.py").touch()
    with pytest.raises(ResolveError, match="has changed since it was locked") as caught:
        installable(lock, means=means)
    assert "--update code" in str(caught.value.hint)
    with pytest.raises(ResolveError, match="is not here"):
        installable(replace(lock, pip=(replace(item, requirement=str(tmp_path / "gone")),)), means=means)


def test_a_repository_that_was_on_the_locking_machine_is_named(means: Means, tmp_path: Path):
    lock = Lock(native_platform(), "d", git={"CODE": LockedGit(str(tmp_path / "gone"), "a" * 40)})
    with pytest.raises(ResolveError, match=r"CODE: the git repository .*gone"):
        installable(lock, means=means)


# --- what changed ----------------------------------------------------------------------------------------------------


def test_what_changed_in_a_spec_is_said_part_by_part():
    old = Spec(channels=("a", "b"), conda=("numpy=1.24",), pip=("six",), python="3.11")
    new = Spec(channels=("b", "a"), conda=("numpy=1.24", "scipy"), pip=("seven",), git={"R": GitSource("https://h/r")})
    assert spec_changes(old, new) == (
        "channels: in another order",
        "conda: +scipy",
        "pip: +seven, -six",
        "python: 3.11 → any",
        "git: +R",
    )
    assert spec_changes(old, old) == ()
