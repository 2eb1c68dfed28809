"""What libmamba leaves in a prefix becomes what py-rattler leaves there."""

from __future__ import annotations

import hashlib
import json

import pytest

from poncho.engine import SolveRequest
from poncho.engine.command_records import settle_records
from poncho.engine.platforms import native_platform
from poncho.engine.rattler import RattlerEngine
from poncho.pack.scrub import conda_record
from poncho.store import BuilderCache


def as_libmamba_has_it(record):
    """Return a record in the form that micromamba 2.8.1 was seen to write."""
    changed = {
        **record,
        "build_string": record["build"],
        "constrains": [],
        "requested_spec": "x",
        "timestamp": 1700000000,
    }
    changed["channel"] = record["channel"].rstrip("/")
    changed["files"] = list(reversed(record["files"]))
    for item in record["paths_data"]["paths"]:
        for key in ("prefix_placeholder", "file_mode"):
            item.pop(key, None)
        if item["path_type"] == "softlink":
            del item["sha256"], item["size_in_bytes"]
            item["sha256_in_prefix"] = "0" * 64
    changed["paths_data"]["paths"].reverse()
    return changed


@pytest.fixture
def installed(channel, tmp_path):
    names = ["greet", "text-prefix", "oddities"]
    engine = RattlerEngine(BuilderCache(tmp_path / "cache"))
    request = SolveRequest((channel.file_url,), (f"python={channel.python}", *names), native_platform())
    records = engine.solve(request, reporter=lambda event: None)
    prefix = tmp_path / "env"
    engine.install(records, prefix, platform=native_platform(), offline=False, reporter=lambda event: None)
    return prefix, records


def test_its_records_and_entry_points_become_those_of_py_rattler(installed, tmp_path):
    prefix, records = installed
    wanted = {path: conda_record(path.read_bytes()) for path in prefix.glob("conda-meta/*.json")}
    script = prefix / "bin/greet"
    entry_point = script.read_bytes()
    script.write_bytes(entry_point.replace(b"\n\t", b"\n    "))
    for path in wanted:
        path.write_text(json.dumps(as_libmamba_has_it(json.loads(path.read_text()))))
    assert script.read_bytes() != entry_point
    settle_records(prefix, records, tmp_path / "none")
    assert script.read_bytes() == entry_point
    assert {path: conda_record(path.read_bytes()) for path in wanted} == wanted
    [item] = [
        item
        for item in json.loads(next(prefix.glob("conda-meta/greet-*.json")).read_text())["paths_data"]["paths"]
        if item["_path"] == "bin/greet"
    ]
    assert item["sha256_in_prefix"] == hashlib.sha256(entry_point).hexdigest()


def test_records_of_a_package_that_is_not_in_the_cache_any_more_keep_what_they_say(installed, tmp_path):
    prefix, records = installed
    path = next(prefix.glob("conda-meta/greet-*.json"))
    record = json.loads(path.read_text())
    del record["extracted_package_dir"]
    path.write_text(json.dumps(record))
    settle_records(prefix, records, tmp_path / "none")
    assert sorted(json.loads(path.read_text())["files"]) == sorted(record["files"])
