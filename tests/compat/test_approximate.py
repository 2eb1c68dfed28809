"""Which package satisfies a spec that it was not made for: told by its spec and lock alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from poncho._types import Event, silent
from poncho.compat.approximate import Approximation, find_superset
from poncho.compat.identity import Today
from poncho.lock.codec import dumps as lock_text
from poncho.lock.model import Lock, LockedConda, LockedGit, LockedHttp, LockedPip
from poncho.lock.portable import portable
from poncho.pack import pack
from poncho.resolution.local import locked_directory
from poncho.spec import Spec, dumps, spec_digest
from poncho.spec import portable as portable_spec
from poncho.spec.model import GitSource, HttpSource
from poncho.store import BuilderCache

PLATFORM = "linux-64"
ONE, TWO = "1" * 40, "2" * 40
NOW = Today({}, {}, None)
# Who asks for a pip package asks for a Python.
PYTHON = LockedConda("python", "3.11.4", "0", PLATFORM, "c", "file:///c/linux-64/python-3.11.4-0.conda")
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Return a function that puts a package of a spec and its lock into the directory ``kept``; nothing is built."""
    (tmp_path / "kept").mkdir()

    def put(
        name: str,
        spec: Spec,
        *pip: LockedPip,
        conda: tuple[LockedConda, ...] = (),
        platform: str = PLATFORM,
        ballast: int = 0,
        **more: object,
    ) -> Path:
        prefix = tmp_path / f"{name}.prefix"
        (prefix / "share").mkdir(parents=True)
        # What does not compress.
        (prefix / "share" / "ballast").write_bytes(b"".join(n.to_bytes(4, "big") for n in range(ballast)))
        lock = Lock(
            platform=platform,
            spec_digest=spec_digest(portable_spec(spec)),
            spec=spec,
            pip=pip,
            conda=(PYTHON, *conda),
            **more,
        )  # type: ignore[arg-type]
        target = tmp_path / "kept" / f"{name}.tar.gz"
        pack(prefix, target, spec_text=dumps(spec), lock_text=lock_text(portable(lock)))
        return target

    return put


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., Approximation | None]:
    def find(spec: Spec, now: Today = NOW, said: list[Event] | None = None) -> Approximation | None:
        reporter = silent if said is None else said.append
        cache = BuilderCache(tmp_path / "cache")
        return find_superset(spec, now, [tmp_path / "kept"], platform=PLATFORM, cache=cache, reporter=reporter)

    return find


Find = Callable[..., "Approximation | None"]


def locked(name: str, version: str, **more: str) -> LockedPip:
    return LockedPip(name, version, f"{name}=={version}", **more)


def test_a_version_that_is_allowed_is_enough_and_the_rest_is_named(put: Put, find: Find) -> None:
    there = put("big", Spec(pip=("Six", "attrs>=23", "idna")), locked("six", "1.16.0"), locked("attrs", "23.2"))
    for wanted in ("six", "SIX>=1.10,<2", "six==1.16", "six!=1.15"):
        found = find(Spec(pip=(wanted,)))
        assert found is not None, wanted
        assert (found.path, found.extra, found.packages) == (there, ("attrs", "idna"), 3)
    for wanted in ("six<1.16", "six==1.16.0.post1", "numpy", "attrs @ https://example.invalid/attrs.whl"):
        assert find(Spec(pip=(wanted,))) is None, wanted


def test_the_nearest_is_said_where_none_is_enough(put: Put, find: Find) -> None:
    put("far", Spec(pip=("six",)), locked("six", "1.0"))
    put("near", Spec(pip=("six", "idna")), locked("six", "1.0"), locked("idna", "3"))
    said: list[Event] = []
    assert find(Spec(pip=("idna", "six>=1.1")), said=said) is None
    assert [event.message for event in said] == [
        "no package in the cache satisfies the spec; the nearest lacks six>=1.1"
    ]


def test_the_smallest_of_several_is_taken(put: Put, find: Find) -> None:
    put("large", Spec(pip=("six",)), locked("six", "1.0"), ballast=30_000)
    small = put("small", Spec(pip=("six",)), locked("six", "1.0"))
    found = find(Spec(pip=("six",)))
    assert found is not None
    assert found.path == small
    assert "made for nothing else" in found.words()


def test_extras_must_have_been_asked_for_and_markers_that_do_not_hold_ask_for_nothing(put: Put, find: Find) -> None:
    put("one", Spec(pip=("requests[socks]",)), locked("requests", "2.31"))
    assert find(Spec(pip=("requests[socks]>=2",))) is not None
    assert find(Spec(pip=("requests[security]",))) is None
    assert find(Spec(pip=("requests", "tomli; python_version < '3.11'"))) is not None
    assert find(Spec(pip=("requests", "tomli; python_version >= '3.11'"))) is None


def test_a_conda_package_of_that_name_satisfies_a_pip_requirement(put: Put, find: Find) -> None:
    conda = LockedConda("PyYAML", "6.0.1", "0", PLATFORM, "c", "file:///c/linux-64/pyyaml-6.0.1-0.conda")
    put("one", Spec(channels=("c",), conda=("pyyaml",)), conda=(conda,))
    assert find(Spec(pip=("pyyaml>=6",))) is not None
    assert find(Spec(pip=("pyyaml>=7",))) is None


def test_local_code_must_have_the_same_content(put: Put, find: Find, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "pyproject.toml").write_text("[project]\nname = 'code'\nversion = '1'\n")
    wanted = f"code @ {code.as_uri()}"
    put("one", Spec(pip=(wanted,)), locked_directory("code", "1", code))
    assert find(Spec(pip=(wanted,))) is not None
    (code / "more.py").write_text("x = 1\n")
    assert find(Spec(pip=(wanted,))) is None


def test_repositories_and_files_must_be_those_of_today(put: Put, find: Find) -> None:
    spec = Spec(
        pip=("six",),
        git={"CODE": GitSource("https://example.invalid/code.git")},
        http={"TABLE": HttpSource("https://example.invalid/table.csv")},
    )
    put(
        "one",
        spec,
        locked("six", "1.0"),
        git={"CODE": LockedGit("https://example.invalid/code.git", ONE)},
        http={"TABLE": LockedHttp("https://example.invalid/table.csv", "ab" * 32, 2)},
    )
    assert find(spec, Today({"CODE": ONE}, {"TABLE": "ab" * 32}, None)) is not None
    assert find(spec, Today({"CODE": TWO}, {"TABLE": "ab" * 32}, None)) is None
    assert find(spec, Today({"CODE": ONE}, {"TABLE": "cd" * 32}, None)) is None
    found = find(Spec(pip=("six",)))
    assert found is not None
    assert found.extra == ("CODE", "TABLE")


def test_other_platforms_and_what_is_no_package_are_passed_over(put: Put, find: Find, tmp_path: Path) -> None:
    put("other", Spec(pip=("six",)), locked("six", "1.0"), platform="linux-aarch64")
    (tmp_path / "kept" / "damaged.tar.gz").write_bytes(b"no package")
    (tmp_path / "kept" / "directory.tar.gz").mkdir()
    assert find(Spec(pip=("six",))) is None
    assert find(Spec()) is None
