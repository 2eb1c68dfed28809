"""Index pages are read all at once, and the answer is the one that a resolver would give that reads them in turn."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from poncho.engine.pip_tools import run_tool
from poncho.errors import PonchoError
from poncho.resolution import pip_with_uv, resolve_pip
from poncho.resolution.pages import absent_pages, consulted_names, missing_versions, wanted_network
from poncho.store import BuilderCache
from tests.resolution.conftest import Index, serve_index, write_wheel


@pytest.fixture
def own_index(tmp_path: Path):
    root = tmp_path / "own-index"
    (root / "simple").mkdir(parents=True)
    with serve_index(root) as server:
        for name, version, requires in (("alpha", "1.0", ("beta",)), ("beta", "1.0", ("gamma",)), ("gamma", "1.0", ())):
            publish(server, name, version, requires)
        yield server


def publish(index: Index, name: str, version: str, requires: tuple[str, ...] = ()) -> None:
    folder = index.root / name
    folder.mkdir(exist_ok=True)
    write_wheel(folder, name, version, requires)
    links = (
        f'<a href="{file.name}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}">{file.name}</a>'
        for file in sorted(folder.glob("*.whl"))
    )
    (folder / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>")


@pytest.fixture
def resolve(conda_python: Path, own_index: Index, tmp_path: Path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    environ = {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": own_index.url}

    def run(*requirements: str, cache: str = "cache", links: Path | None = None) -> dict[str, str]:
        own_index.requests.clear()
        more = {"PIP_FIND_LINKS": str(links)} if links else {}
        kept = BuilderCache(tmp_path / cache)
        found = resolve_pip(requirements, python=conda_python, environ=environ | more, cache=kept, root=tmp_path)
        return {one.name: one.version for one in found}

    return run


def test_a_new_release_is_seen_also_of_a_dependency(resolve, own_index) -> None:
    assert resolve("alpha") == resolve("alpha") == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    publish(own_index, "gamma", "2.0")
    assert resolve("alpha") == {"alpha": "1.0", "beta": "1.0", "gamma": "2.0"}
    publish(own_index, "beta", "2.0", ("gamma<2", "delta"))
    publish(own_index, "delta", "1.0", ("epsilon",))
    publish(own_index, "epsilon", "1.0")
    expected = {"alpha": "1.0", "beta": "2.0", "delta": "1.0", "epsilon": "1.0", "gamma": "1.0"}
    assert resolve("alpha") == expected == resolve("alpha", cache="empty")


def test_each_page_is_asked_for_each_time(resolve, own_index) -> None:
    for _ in range(3):
        resolve("alpha")
        asked = {path.strip("/").split("/")[1] for path in own_index.requests if path.endswith("/")}
        assert asked == {"alpha", "beta", "gamma"}


def test_one_more_requirement_and_one_less_are_resolved_as_from_nothing(resolve, own_index) -> None:
    publish(own_index, "extra", "3.0", ("gamma",))
    resolve("alpha")
    assert resolve("alpha", "extra") == resolve("alpha", "extra", cache="empty")
    assert resolve("extra") == {"extra": "3.0", "gamma": "1.0"}


def test_a_package_that_is_gone_from_the_index_is_an_error_that_names_it(resolve, own_index) -> None:
    resolve("alpha")
    for file in (own_index.root / "gamma").iterdir():
        file.unlink()
    (own_index.root / "gamma").rmdir()
    with pytest.raises(PonchoError, match="gamma") as caught:
        resolve("alpha")
    assert "DEBUG" not in str(caught.value.context.get("tail"))


def test_what_uv_says_is_understood() -> None:
    log = (
        "DEBUG Searching for a compatible version of Foo_bar[x] (>=1, <2)\n"
        "WARN `foo-bar==1.5` needs to be downloaded from a registry\n"
        "WARN foo-bar needs to be downloaded from a registry\n"
    )
    assert consulted_names(log) == {"foo-bar"}
    assert missing_versions(log) == {"foo-bar": "1.5"}
    assert wanted_network(log)
    assert not wanted_network("DEBUG Searching for a compatible version of foo (*)\n")


def test_a_page_that_an_index_does_not_have_is_told_by_what_it_keeps_of_others() -> None:
    log = (
        "DEBUG Found stale response for: https://one.invalid/simple/foo/\n"
        "DEBUG Sending revalidation request for: https://one.invalid/simple/foo/\n"
        "DEBUG No cache entry for: https://one.invalid/simple/bar/\n"
        "DEBUG Sending fresh GET request for: https://one.invalid/simple/bar/\n"
        "DEBUG Sending fresh GET request for: https://keeps-nothing.invalid/simple/bar/\n"
    )
    absent = absent_pages(log)
    assert absent == {"https://one.invalid/simple/bar/"}
    again = "DEBUG Sending fresh GET request for: https://one.invalid/simple/bar/\n"
    assert not wanted_network(again, absent=absent)
    assert wanted_network(again)
    assert wanted_network(
        again + "DEBUG Sending fresh GET request for: https://one.invalid/simple/baz/\n", absent=absent
    )
    assert wanted_network(
        again + "DEBUG Sending revalidation request for: https://one.invalid/simple/foo/\n", absent=absent
    )


def test_what_is_in_a_folder_only_is_resolved_without_the_network_once_the_pages_are_read(
    resolve, own_index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online: list[list[str]] = []

    def counted(argv: list[str], **how: Any) -> Any:
        if "UV_OFFLINE" not in how["env"]:
            online.append(argv[2:4])
        return run_tool(argv, **how)

    monkeypatch.setattr(pip_with_uv, "run_tool", counted)
    folder = tmp_path / "folder"
    folder.mkdir()
    write_wheel(folder, "local", "1.0", ("alpha",))
    expected = {"alpha": "1.0", "beta": "1.0", "gamma": "1.0", "local": "1.0"}
    assert resolve("local", links=folder) == expected
    for version in ("2.0", "3.0"):
        write_wheel(folder, "local", version, ("alpha",))
        online.clear()
        assert resolve("local", links=folder) == expected | {"local": version}
        assert [words[0] for words in online] == ["compile"]
    # It was not there a moment ago, and counts as soon as it is.
    publish(own_index, "local", "4.0")
    assert resolve("local", links=folder) == {"local": "4.0"}
