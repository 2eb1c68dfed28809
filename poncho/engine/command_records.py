"""Bring what a conda command leaves in a prefix to what py-rattler writes: the same lock gives the same bytes.

libmamba also leaves out of ``conda-meta`` which files had a placeholder, and without its length no binary can be relocated
(``LinkPackage::execute`` in ``libmamba/src/core/link.cpp``). The package itself says so, in ``info/paths.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._noarch import in_prefix
from poncho.engine.conda_meta import read_records
from poncho.engine.records import record_from_locked
from poncho.lock.model import LockedConda
from poncho.store import atomic_file

_ENTRY_POINT = "unix_python_entry_point"
# What rattler keeps of a repodata record.
_KNOWN = frozenset(
    """
    arch build build_number channel constrains depends extra_depends features fn indexed_timestamp license license_family
    md5 name noarch platform purls python_site_packages_path sha256 size subdir timestamp track_features url version
    """.split()  # noqa: SIM905 (words read better)
)
# What only the package says where the lock was made from an explicit list.
_OF_PACKAGE = _KNOWN - {"channel", "fn", "md5", "name", "sha256", "size", "subdir", "url", "version"}


def package_directory(record: Mapping[str, Any], packages: Path) -> Path:
    """Return where a record's package lies unpacked; its archive lies beside it, under its own name."""
    extracted = record.get("extracted_package_dir")
    name = str(record.get("fn") or "").removesuffix(".conda").removesuffix(".tar.bz2")
    return Path(extracted) if isinstance(extracted, str) and extracted else packages / name


def settle_records(prefix: Path, records: Sequence[LockedConda], packages: Path) -> None:
    """Rewrite ``conda-meta/*.json`` and the entry points of ``records``; ``packages`` is the command's package cache."""
    locked = {record.name: record for record in records}
    # conda's note of the time, which no two builds have in common.
    (prefix / "conda-meta/created_at").unlink(missing_ok=True)
    for path, record in read_records(prefix):
        found = locked.get(str(record.get("name")))
        if found is not None:
            settled = _settled(prefix, record, found, package_directory(record, packages) / "info")
            with atomic_file(path) as private:
                private.write_text(json.dumps(settled, indent=2) + "\n", encoding="utf-8")


def _settled(prefix: Path, record: Mapping[str, Any], locked: LockedConda, info: Path) -> dict[str, Any]:
    facts = {key: value for key, value in record_from_locked(locked).items() if key in _KNOWN}
    # rattler leaves out what is empty, but writes what a package says of itself as it stands there.
    facts = {key: value for key, value in facts.items() if value or key not in ("constrains", "track_features")}
    if "depends" not in facts:
        index = _read(info / "index.json") or record
        facts |= {key: index[key] for key in _OF_PACKAGE if key in index}
    declared = {str(item.get("_path")): item for item in _items(_read(info / "paths.json"))}
    files = [str(file) for file in record.get("files") or ()]
    paths = sorted(
        (
            _path(prefix, item, declared.get(_in_package(str(item.get("_path")), declared), {}))
            for item in in_prefix(_items(record.get("paths_data")), files)
        ),
        key=lambda item: (item.get("path_type") == "pyc_file", str(item.get("_path")).split("/")),
    )
    order = {item["_path"]: place for place, item in enumerate(paths)}
    files.sort(key=lambda file: (order.get(file, len(order)), file.split("/")))
    kept = {key: record[key] for key in ("extracted_package_dir", "link", "package_tarball_full_path") if key in record}
    return {**facts, **kept, "files": files, "paths_data": {"paths": paths, "paths_version": 1}}


def _path(prefix: Path, item: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of ``paths_data`` with what the package declared of the file."""
    if item.get("path_type") == "pyc_file":
        return {"_path": item["_path"], "path_type": "pyc_file"}
    path = prefix / str(item.get("_path"))
    settled = {**item, **{key: declared[key] for key in ("file_mode", "prefix_placeholder") if declared.get(key)}}
    if item.get("path_type") == "softlink":
        if path.is_symlink():
            target = os.fsencode(os.readlink(path))
            settled["sha256_in_prefix"] = hashlib.sha256(target).hexdigest()
        settled |= {key: declared[key] for key in ("sha256", "size_in_bytes") if key in declared}
    elif item.get("path_type") == _ENTRY_POINT and path.is_file():
        found = path.read_bytes()
        data = _with_tabs(found)
        if data != found:
            path.write_bytes(data)
        settled |= {"sha256_in_prefix": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
    return settled


def _with_tabs(script: bytes) -> bytes:
    """Return an entry point as rattler writes it: there the only difference is how the last lines are indented."""
    return script.replace(b"\n    sys.", b"\n\tsys.")


def _in_package(path: str, declared: Mapping[str, Any]) -> str:
    """Return where a file of the prefix lies in its package: a ``noarch: python`` one has places of its own."""
    if path in declared:
        return path
    _, found, rest = path.partition("/site-packages/")
    return f"site-packages/{rest}" if found else f"python-scripts/{path.removeprefix('bin/')}"


def _items(document: object) -> list[Mapping[str, Any]]:
    paths = document.get("paths") if isinstance(document, dict) else None
    return [item for item in paths if isinstance(item, dict)] if isinstance(paths, list) else []


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = _json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
