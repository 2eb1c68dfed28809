"""The schema in specs/ and the codec accept the same documents; the samples are valid for both."""

import json
from pathlib import Path

import jsonschema
import pytest

from poncho.errors import SpecError
from poncho.spec import load_spec, parse
from poncho.spec.codec import GIT_KEYS, HTTP_KEYS, TOP_KEYS

SPECS = Path(__file__).resolve().parents[2] / "specs"
SCHEMA = json.loads((SPECS / "spec.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SAMPLES = sorted(path for path in SPECS.glob("*.json") if path.name != "spec.schema.json")


def test_the_schema_itself_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_key_is_described_for_editors():
    def undescribed(node, where):
        for name, value in node.get("properties", {}).items():
            if "description" not in value and "$ref" not in value:
                yield f"{where}/{name}"
            yield from undescribed(value, f"{where}/{name}")

    missing = [*undescribed(SCHEMA, "")]
    for name, definition in SCHEMA["$defs"].items():
        missing += undescribed(definition, f"$defs/{name}")
    assert [m for m in missing if not m.endswith("/pip")] == []


def test_schema_and_codec_know_the_same_keys():
    assert set(TOP_KEYS) <= set(SCHEMA["properties"])
    assert set(SCHEMA["$defs"]["git"]["properties"]) == set(GIT_KEYS)
    assert set(SCHEMA["$defs"]["http"]["properties"]) == set(HTTP_KEYS)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_sample_specs_validate_and_load(path):
    VALIDATOR.validate(json.loads(path.read_text()))
    assert load_spec(path)


DOCUMENTS = [
    {},
    {"pip": ["numpy"]},
    {"pip": "numpy"},
    {"pip": ["-e ."]},
    {"conda": ["a"]},
    {"conda": {"channels": ["a"], "dependencies": ["b", {"pip": ["c"]}]}},
    {"conda": {"chanels": []}},
    {"conda": 5},
    {"conda": {"dependencies": [5]}},
    {"git": {"A": {"remote": "r"}}},
    {"git": {"A": {"remote": "r", "ref": 5}}},
    {"git": {"A": {"ref": "r"}}},
    {"git": {"A;B": {"remote": "r"}}},
    {"git": {"LD_PRELOAD": {"remote": "r"}}},
    {"git": {"A": {"remote": "r", "depth": 0}}},
    {"http": {"A": {"url": "https://h/x", "type": "tar", "compression": "xz"}}},
    {"http": {"A": {"url": "ftp://h/x"}}},
    {"http": {"A": {"url": "https://h/x", "compression": "rar"}}},
    {"http": {"A": {"url": "https://h/x", "sha256": "0" * 64}}},
    {"http": {"A": {"url": "https://h/x", "sha256": "0" * 63}}},
    {"http": {"A": {"url": "https://h/x", "headers": {"X": "NAME"}}}},
    {"http": {"A": {"url": "https://h/x", "headers": {"X": "Bearer z"}}}},
    {"pinned": {"conda": {"a": "1"}}},
    {"pinned": {"pip": {"a": "1"}}},
    {"python": "3.11"},
    {"python": 3.11},
    {"unknown": 1},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=json.dumps)
def test_schema_and_codec_agree(document):
    try:
        parse(document)
        accepted = True
    except SpecError:
        accepted = False
    assert VALIDATOR.is_valid(document) == accepted
