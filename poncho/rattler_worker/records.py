"""Records of conda packages, to JSON and back. py-rattler writes and reads them only as conda-meta files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import rattler
from rattler.prefix import PrefixPaths

from poncho.rattler_worker.failure import Failure


def to_json(record: rattler.RepoDataRecord) -> dict[str, Any]:
    """Return a record as JSON. py-rattler writes records only as conda-meta files, so that is the way."""
    with tempfile.TemporaryDirectory(prefix="poncho-") as scratch:
        path = Path(scratch, "record.json")
        rattler.PrefixRecord(record, PrefixPaths(), requested_specs=[], files=[]).write_to_path(path, False)
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for key in ("files", "paths_data", "requested_spec", "requested_specs", "link"):
        document.pop(key, None)
    return document


def from_json(document: dict[str, Any]) -> rattler.RepoDataRecord:
    with tempfile.TemporaryDirectory(prefix="poncho-") as scratch:
        path = Path(scratch, "record.json")
        whole = {**document, "files": [], "paths_data": {"paths_version": 1, "paths": []}}
        path.write_text(json.dumps(whole), encoding="utf-8")
        try:
            return rattler.PrefixRecord.from_path(path)
        except Exception as error:
            name = document.get("name")
            raise Failure("install", f"its record in the lock cannot be read: {error}", package=name) from error
