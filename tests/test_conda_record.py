"""A record of conda-meta has the types that everybody relies on, or is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from poncho import _conda_record

GOOD: dict[str, Any] = {
    "name": "tool",
    "version": "1.0",
    "build": "0",
    "files": ["bin/tool", "bin/caf\udce9"],
    "paths_data": {"paths": [{"_path": "bin/tool", "path_type": "hardlink"}, {"_path": "bin/caf\udce9"}]},
    "summary": "ünï \U0001f600",
}

BAD = {
    "no UTF-8": b"\xff{}",
    "no JSON": b"{",
    "no JSON object": b"[]",
    "its name is no text": {"name": 5},
    "its name has": {"name": "\ud800"},
    "its version is no text": {"version": ["1"]},
    "its version has": {"version": "1\0"},
    "its build has": {"build": "\udfff"},
    "its list of files is none": {"files": 5},
    "its list of files": {"files": "bin/tool"},
    "its list": {"paths_data": 5},
    "its list of": {"paths_data": {"paths": 5}},
    "a path in it is no text": {"files": ["bin/tool", 5]},
    "a path in it is no": {"paths_data": {"paths": [{"_path": ["x"]}]}},
    "a path in it has": {"files": ["a\0b"]},
    "a path in it has characters": {"paths_data": {"paths": [{"_path": "\ud800"}]}},
}


def written(changes: Any) -> bytes:
    return changes if isinstance(changes, bytes) else json.dumps(GOOD | changes).encode()


def test_a_good_one_is_what_it_says_and_is_written_as_text_again() -> None:
    assert _conda_record.loads(written({})) == GOOD
    again = _conda_record.dumps(GOOD)
    assert again.decode().endswith("}\n")
    assert _conda_record.loads(again) == GOOD


@pytest.mark.parametrize("absent", ["name", "version", "build", "files", "paths_data", "summary"])
def test_what_is_missing_or_null_is_no_fault(absent: str) -> None:
    assert absent not in _conda_record.loads(json.dumps({k: v for k, v in GOOD.items() if k != absent}).encode())
    if absent != "name":
        assert _conda_record.loads(written({absent: None}))[absent] is None


@pytest.mark.parametrize(("said", "changes"), BAD.items(), ids=map(str, range(len(BAD))))
def test_what_nobody_could_use_is_refused_in_words(said: str, changes: Any) -> None:
    with pytest.raises(ValueError, match=said):
        _conda_record.loads(written(changes))


def test_half_a_character_in_a_text_is_shown_as_one_that_is_missing() -> None:
    found = _conda_record.loads(written({"license": "MIT \ud83d", "more": {"\ud83d": ["\ud83d"]}}))
    assert found["license"] == "MIT \ufffd"
    assert found["more"] == {"\ufffd": ["\ufffd"]}


@pytest.mark.parametrize("depth", [400, 900, 100_000])
def test_one_that_is_nested_deeply_is_read_or_refused(depth: int) -> None:
    data = b'{"name": "tool", "deep": ' + b"[" * depth + b"]" * depth + b"}"
    try:
        assert _conda_record.loads(data)["name"] == "tool"
    except ValueError as error:
        assert str(error)  # noqa: PT017 (both are right)
