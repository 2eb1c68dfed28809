"""A package index is asked about what nothing else knows: on the loopback, as pip's settings name it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from poncho.analysis import Analysis
from poncho.analysis.index import Index
from poncho.cli.analyze import main
from poncho.errors import AnalysisError
from tests.support.httpserver import HttpServer
from tests.support.servers import http_server

Look = Callable[..., Analysis]


class SimpleIndex:
    """A simple repository (PEP 503 pages, or PEP 691 JSON) of wheels made on the spot."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self._files: dict[str, list[dict[str, object]]] = {}

    @property
    def url(self) -> str:
        return self.server.url("/simple/")

    def wheel(
        self,
        name: str,
        version: str,
        files: Mapping[str, str | bytes],
        *,
        metadata: str = "",
        beside: bool = False,
        json_page: bool = True,
        requires_python: str = "",
        ranges: bool = True,
        yanked: bool = False,
    ) -> str:
        """Publish a wheel; return its path. ``beside`` serves its METADATA next to it (PEP 658)."""
        stem = name.replace("-", "_")
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}\n"
        info = f"{stem}-{version}.dist-info"
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for path, content in {**files, f"{info}/METADATA": text, f"{info}/RECORD": ""}.items():
                archive.writestr(path, content)
        path = f"/files/{stem}-{version}-py3-none-any.whl"
        self.server.put(path, stream.getvalue(), ranges=ranges)
        if beside:
            self.server.put(f"{path}.metadata", text.encode())
        self._files.setdefault(name, []).append(
            {
                "filename": path.rpartition("/")[2], "url": f"../..{path}", "requires-python": requires_python,
                "core-metadata": beside, "yanked": yanked,
                "hashes": {"sha256": hashlib.sha256(stream.getvalue()).hexdigest()},
            }
        )  # fmt: skip
        self._page(name, json_page=json_page)
        return path

    def _page(self, name: str, *, json_page: bool) -> None:
        page = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": self._files[name]})
        if not json_page:
            page = "<!DOCTYPE html>" + "\n".join(
                f'<a href="{one["url"]}#sha256={one["hashes"]["sha256"]}"'  # type: ignore[index]
                + (f' data-requires-python="{one["requires-python"]}"'.replace(">", "&gt;"))
                + (' data-core-metadata="true"' if one["core-metadata"] else "")
                + (' data-yanked=""' if one["yanked"] else "")
                + f">{one['filename']}</a>"
                for one in self._files[name]
            )
        self.server.put(f"/simple/{name}/", page.encode())

    def asked(self) -> list[str]:
        return [seen.path for seen in self.server.requests]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleIndex]:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    # What other tests learnt about wheels of the same content is not to be known.
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    with http_server() as server:
        made = SimpleIndex(server)
        monkeypatch.setenv("PIP_INDEX_URL", made.url)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        yield made


def test_without_being_asked_to_no_index_is_asked(look: Look, index: SimpleIndex) -> None:
    look("import numpy\nimport zzz_thing\n", strict=False)
    assert index.asked() == []


@pytest.mark.parametrize("json_page", [True, False], ids=["json", "html"])
def test_a_project_counts_whose_wheel_provides_the_import(look: Look, index: SimpleIndex, json_page: bool) -> None:
    index.wheel("zzz-thing", "1.0", {"zzz_thing/__init__.py": ""}, json_page=json_page)
    analysis = look("import zzz_thing\nimport numpy\n", online=True)
    assert analysis.spec.pip == ("numpy", "zzz-thing")
    (found,) = [one for one in analysis.findings if one.name == "zzz-thing"]
    assert found.evidence == "the index: zzz-thing 1.0 provides zzz_thing"
    # What the tables are sure of is not asked about.
    assert not any("numpy" in path for path in index.asked())


def test_a_project_of_the_same_name_without_the_import_is_not_taken(look: Look, index: SimpleIndex) -> None:
    index.wheel("zzz-thing", "1.0", {"another/__init__.py": ""})
    with pytest.raises(AnalysisError, match="zzz_thing"):
        look("import zzz_thing\n", online=True)


def test_declared_import_names_count_without_opening_the_wheel(look: Look, index: SimpleIndex) -> None:
    path = index.wheel("zzz-thing", "1.0", {"a.py": ""}, metadata="Import-Name: zzz_thing\n", beside=True)
    assert look("import zzz_thing\n", online=True).spec.pip == ("zzz-thing",)
    assert f"{path}.metadata" in index.asked()
    assert path not in index.asked()


def test_of_a_big_wheel_only_its_end_is_read(look: Look, index: SimpleIndex) -> None:
    path = index.wheel("zzz-thing", "1.0", {"zzz_thing/__init__.py": "", "zzz_thing/data.bin": b"\0" * 4_000_000})
    look("import zzz_thing\n", online=True)
    ranges = [headers.get("Range") for headers in index.server.headers_of(path)]
    assert ranges
    assert all(ranges)
    assert index.server.bytes_sent < 200_000


def test_a_server_without_ranges_sends_the_whole_wheel(look: Look, index: SimpleIndex) -> None:
    index.wheel("zzz-thing", "1.0", {"zzz_thing/__init__.py": ""}, ranges=False)
    assert look("import zzz_thing\n", online=True).spec.pip == ("zzz-thing",)


def test_what_was_learnt_is_kept(look: Look, index: SimpleIndex) -> None:
    index.wheel("zzz-thing", "1.0", {"zzz_thing/__init__.py": ""})
    look("import zzz_thing\n", online=True)
    before = len(index.asked())
    assert look("import zzz_thing\n", online=True).spec.pip == ("zzz-thing",)
    assert len(index.asked()) == before


def test_a_part_of_a_namespace_is_a_project_of_its_own(look: Look, index: SimpleIndex) -> None:
    index.wheel("google-cloud-zzz", "2.0", {"google/cloud/zzz/__init__.py": ""})
    assert look("from google.cloud import zzz\n", online=True).spec.pip == ("google-cloud-zzz",)


def test_names_that_people_give_their_own_modules_are_not_asked_about(look: Look, index: SimpleIndex) -> None:
    index.wheel("utils", "1.0", {"utils/__init__.py": ""})
    analysis = look("import utils\nimport helpers\n", online=True, strict=False)
    assert analysis.spec.pip == ()
    assert index.asked() == []


def test_what_only_conda_has_is_not_asked_about(look: Look, index: SimpleIndex) -> None:
    index.wheel("root", "1.0", {"ROOT/__init__.py": ""})
    analysis = look("import ROOT\n", online=True, strict=False)
    assert [one.name for one in analysis.unresolved] == ["ROOT"]
    assert index.asked() == []


def test_where_maps_disagree_the_index_decides(look: Look, index: SimpleIndex) -> None:
    from tests.analysis.test_naming import _disagreements

    name, one, other = next(_disagreements())
    right = sorted(one | other)[-1]
    for project in one | other:
        index.wheel(project, "1.0", {f"{name}/__init__.py": ""} if project == right else {"nothing.py": ""})
    analysis = look(f"import {name}\n", online=True)
    assert analysis.spec.pip == (right,)
    assert analysis.problems == ()


def test_versions_come_from_the_index_as_asked(look: Look, index: SimpleIndex, env: object) -> None:
    for version in ("1.9", "2.4.1", "3.0rc1"):
        index.wheel("numpy", version, {"numpy/__init__.py": ""})
    index.wheel("numpy", "2.9", {"numpy/__init__.py": ""}, requires_python=">=3.99")
    index.wheel("numpy", "2.8", {"numpy/__init__.py": ""}, yanked=True)
    assert look("import numpy\n", pin="latest").spec.pip == ("numpy==2.4.1",)
    assert look("import numpy\n", pin="compatible").spec.pip == ("numpy~=2.4",)
    assert look("import numpy\n", pin="none").spec.pip == ("numpy",)
    (found,) = look("import numpy\n", pin="latest").findings
    assert (found.version, found.version_evidence) == ("2.4.1", "the newest in the index is 2.4.1")


def test_the_newest_is_the_newest_for_the_python_analysed_for(look: Look, index: SimpleIndex) -> None:
    index.wheel("numpy", "1.24", {"numpy/__init__.py": ""}, requires_python=">=3.8")
    index.wheel("numpy", "2.4", {"numpy/__init__.py": ""}, requires_python=">=3.11", json_page=False)
    assert look("import numpy\n", pin="latest", python="3.9").spec.pip == ("numpy==1.24",)
    assert look("import numpy\n", pin="latest", python="3.12").spec.pip == ("numpy==2.4",)


def test_what_is_installed_stays_exact(look: Look, index: SimpleIndex, env: object) -> None:
    index.wheel("yamlish", "9.0", {"yamlish.py": ""})
    env.install("yamlish", "1.2", {"yamlish.py": ""})  # type: ignore[attr-defined]
    assert look("import yamlish\n", pin="latest", online=True).spec.pip == ("yamlish==1.2",)
    assert index.asked() == []


def test_conda_packages_are_left_to_their_solver(look: Look, index: SimpleIndex, conda_env: object) -> None:
    prefix: Path = conda_env.prefix  # type: ignore[attr-defined]
    (found,) = look("import numpy\n", pin="latest", prefix=prefix).findings
    assert (found.manager, found.requirement) == ("conda", "numpy")
    assert "the channel's solver" in found.version_evidence


def test_further_indexes_and_passwords_are_pip_s(
    look: Look, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server() as server:
        second = SimpleIndex(server)
        second.wheel("zzz-thing", "1.0", {"zzz_thing/__init__.py": ""})
        for resource in server.resources.values():
            resource.basic = ("me", "secret")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", server.url("/simple/", user="me:secret"))
        assert look("import zzz_thing\n", online=True).spec.pip == ("zzz-thing",)
        given = {headers.get("Authorization") for headers in server.headers_of("/simple/zzz-thing/")}
        assert "Basic " + base64.b64encode(b"me:secret").decode() in given
    assert "/simple/zzz-thing/" in index.asked()


@pytest.mark.parametrize("status", [401, 403, 500])
def test_an_index_that_cannot_be_asked_is_an_error_without_secrets(
    look: Look, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    index.server.put("/simple/zzz-thing/", b"", status=status)
    monkeypatch.setenv("PIP_INDEX_URL", index.server.url("/simple/", user="me:secret"))
    with pytest.raises(AnalysisError) as caught:
        look("import zzz_thing\n", online=True)
    assert str(status) in caught.value.message
    assert "secret" not in caught.value.message + (caught.value.hint or "")


@pytest.mark.parametrize(
    "page", [b"", b"{}", b"[]", b'{"files": 3}', b'{"files": [1, {"filename": 2}]}', b"\xff<a href="]
)
def test_a_page_that_is_none_gives_no_files(index: SimpleIndex, page: bytes) -> None:
    index.server.put("/simple/zzz-thing/", page)
    assert Index().files("zzz-thing") == ()


@pytest.mark.parametrize("damage", [b"", b"PK\x05\x06" + b"\0" * 18, b"no archive" * 100])
def test_a_damaged_wheel_provides_nothing(look: Look, index: SimpleIndex, damage: bytes) -> None:
    path = index.wheel("zzz-thing", "1.0", {"zzz_thing/__init__.py": ""})
    index.server.resources[path].content = damage
    assert [one.name for one in look("import zzz_thing\n", online=True, strict=False).unresolved] == ["zzz_thing"]


def test_without_any_index_nothing_is_found(look: Look, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert look("import zzz_thing\n", online=True, strict=False).spec.pip == ()


def test_a_way_to_pin_that_does_not_exist_is_refused(look: Look) -> None:
    with pytest.raises(AnalysisError, match="no way to pin"):
        look("import numpy\n", pin="exact")


def test_the_command_takes_the_options(
    index: SimpleIndex, env: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel("zzz-thing", "1.5", {"zzz_thing/__init__.py": ""})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("import zzz_thing\nimport tomllib\n")
    index.wheel("tomli", "2.0", {"tomli/__init__.py": ""})
    prefix = str(env.prefix)  # type: ignore[attr-defined]
    arguments = ["app.py", "spec.json", "--online", "--pin", "latest", "--python", "3.10", "--prefix", prefix]
    assert main(arguments) == 0
    depends = json.loads((tmp_path / "spec.json").read_text())["conda"]["dependencies"]
    assert {"pip": ["tomli==2.0", "zzz-thing==1.5"]} in depends
    # All of it where the interpreter that runs this is one of them.
    assert [one for one in depends if one == "python=3.10" or str(one).startswith("python=3.10.")]
