"""The bill of materials is valid CycloneDX, says what is known, and is the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poncho.look.purl import purl
from poncho.look.sbom import bill_of_materials, licences
from poncho.pack import PackedPackage
from poncho.package.unpack import unpack
from tests.look.conftest import COMMIT, full_package, full_prefix
from tests.support.handmade import foreign


def check_schema(value: dict) -> None:
    """Validate against the schema that CycloneDX publishes."""
    schema = pytest.importorskip("cyclonedx.schema")
    validation = pytest.importorskip("cyclonedx.validation.json")
    try:
        problem = validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(json.dumps(value))
    except Exception as error:
        if type(error).__name__ != "MissingOptionalDependencyException":
            raise
        pytest.skip("cyclonedx-python-lib lacks its validation extra")
    assert problem is None, str(problem)


def test_it_keeps_the_schema_and_is_the_same_each_time(full: PackedPackage) -> None:
    found = bill_of_materials(full.path)
    check_schema(found)
    again = full_package(full.path.parent, "another name.tar.gz")
    assert bill_of_materials(again.path) == found
    assert "timestamp" not in found["metadata"]


def test_the_serial_number_is_of_the_content(full: PackedPackage, tmp_path: Path) -> None:
    full_package(tmp_path)
    (tmp_path / "env/share/zeros").write_bytes(b"other")
    other = bill_of_materials(full_package(tmp_path, "other.tar.gz").path)
    assert other["serialNumber"] != bill_of_materials(full.path)["serialNumber"]


def test_components_have_purls_licences_and_hashes(full: PackedPackage) -> None:
    found = {component["name"]: component for component in bill_of_materials(full.path)["components"]}
    tools = found["thing-tools"]
    assert tools["purl"] == "pkg:conda/thing-tools@2?build=h1_0&channel=mine&subdir=linux-64&type=conda"
    assert {"alg": "SHA-256", "content": "1" * 64} in tools["hashes"]
    assert found["thing"]["purl"] == "pkg:pypi/thing@1.0"
    other = found["Other.One"]
    assert other["purl"] == "pkg:pypi/other.one@3.1"
    assert other["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    assert other["description"] == "Another one"
    assert {"type": "website", "url": "https://other.example"} in other["externalReferences"]
    assert found["CALIBRATION"]["type"] == "data"
    assert COMMIT in found["CALIBRATION"]["purl"]
    assert found["EVENTS"]["hashes"] == [{"alg": "SHA-256", "content": "4" * 64}]


def test_dependencies_are_those_that_hold_here(full: PackedPackage) -> None:
    value = bill_of_materials(full.path)
    names = {component["bom-ref"]: component["name"] for component in value["components"]} | {
        "environment": "environment"
    }
    edges = {names[edge["ref"]]: [names[one] for one in edge["dependsOn"]] for edge in value["dependencies"]}
    assert edges["Other.One"] == ["thing"]
    assert "thing" not in edges["environment"]
    assert {"Other.One", "mine", "CALIBRATION"} <= set(edges["environment"])


def test_archives_of_others_and_directories_have_one_too(full: PackedPackage, tmp_path: Path) -> None:
    record = {
        "name": "say",
        "version": "1",
        "build": "0",
        "files": ["bin/say"],
        "license": "Some Words",
        "depends": "nonsense",
    }
    foreign(tmp_path / "env.tar.gz", files={"conda-meta/say-1-0.json": json.dumps(record)})
    value = bill_of_materials(tmp_path / "env.tar.gz")
    check_schema(value)
    assert value["components"][0]["licenses"] == [{"license": {"name": "Some Words"}}]
    value = bill_of_materials(full_prefix(tmp_path / "env"))
    check_schema(value)
    assert "serialNumber" not in value
    unpack(full.path, tmp_path / "unpacked")
    one, two = bill_of_materials(full.path), bill_of_materials(tmp_path / "unpacked")
    assert one["serialNumber"] == two["serialNumber"]
    for left, right in zip(one["components"], two["components"], strict=True):
        left["properties"] = right["properties"] = []  # relocated files have other sizes
        assert left == right


def test_purls_are_what_the_reference_library_makes() -> None:
    packageurl = pytest.importorskip("packageurl").PackageURL
    cases = [
        ("pypi", "Foo_Bar.baz", "1.0+local", {}),
        ("pypi", "x", "1!2.0.dev1", {}),
        (
            "conda",
            "Absl-Py",
            "0.4.1",
            {"build": "py36_0", "channel": "main", "subdir": "linux-64", "type": "tar.bz2", "empty": ""},
        ),
        ("generic", "A name", "", {"vcs_url": f"git+https://git.example/a b?c=d&e.git@{COMMIT}"}),
        ("generic", "ünï", "", {"download_url": "https://files.example/x%20y", "checksum": "sha256:" + "0" * 64}),
    ]
    for kind, name, version, qualifiers in cases:
        expected = packageurl(kind, None, name, version or None, qualifiers or None)
        made = purl(kind, name, version, qualifiers)
        assert packageurl.from_string(made) == expected, (made, expected.to_string())


def test_licences_are_expressions_only_where_they_are() -> None:
    assert licences(["mit"]) == [{"expression": "MIT"}]
    assert licences(["GPL-3.0-or-later WITH GCC-exception-3.1"]) == [
        {"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}
    ]
    assert licences(["BSD"]) == [{"license": {"name": "BSD"}}]
    assert licences(["MIT License", "BSD License"]) == [
        {"license": {"name": "MIT License"}},
        {"license": {"name": "BSD License"}},
    ]
    assert licences([]) == []
