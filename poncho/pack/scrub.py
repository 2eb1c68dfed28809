"""Keep credentials and paths of the build machine out of the package, file by file of the kinds that hold them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from poncho import _conda_record, _json
from poncho._installer_notes import NOTES
from poncho._redact import strip_credentials

# Files whose purpose is to hold credentials or settings of a person or a machine.
PRIVATE_NAMES = frozenset(
    {
        ".condarc",
        "condarc",
        ".mambarc",
        "mambarc",
        "pip.conf",
        ".netrc",
        "_netrc",
        ".pypirc",
        ".git-credentials",
        ".condatoken",
    }
)
# Of no use in the environment, and other bytes in every build.
INSTALLER_NOTES = NOTES

_ENTRY_POINTS = ("unix_python_entry_point", "windows_python_entry_point_script")
_LOCAL_KEYS = ("extracted_package_dir", "package_tarball_full_path")
_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>\\]+")
_GIT_SECRET = re.compile(
    rb"(?im)^[ \t]*(?:extraheader|helper|password|cookiefile|sslkey|sslcert|proxy)[ \t]*=.*(?:\n|\Z)"
)


def strip_text(text: str) -> str:
    """Return ``text`` with the credentials taken out of every URL in it."""
    return _URL.sub(lambda match: strip_credentials(match[0]), text) if "://" in text else text


def conda_record(data: bytes) -> bytes:
    """Return a conda-meta record without credentials, local paths, and hashes of files that depend on the prefix.

    What is no record (``_conda_record``) is returned empty: nobody could use it.
    """
    try:
        record = _conda_record.loads(data)
    except ValueError:
        return b"{}\n"
    try:
        return _conda_record.dumps(_scrubbed(record))
    except RecursionError:
        return b"{}\n"


def _scrubbed(record: dict[str, Any]) -> dict[str, Any]:
    for key in _LOCAL_KEYS:
        record.pop(key, None)
    record = _strip(record)
    if str(record.get("url", "")).startswith("file:"):
        name = str(record.get("fn") or str(record["url"]).rsplit("/", 1)[-1])
        record["url"] = f"file:///{record.get('subdir', 'noarch')}/{name}"
    if _is_local(record.get("channel")):
        record["channel"] = "local"
    if isinstance(record.get("link"), dict):
        record["link"] = {"source": "", "type": 1}
    for key in ("requested_spec", "requested_specs"):
        record[key] = _without_local(record[key]) if key in record else None
        if not record[key]:
            del record[key]
    paths = record.get("paths_data")
    for path in (paths.get("paths") or ()) if isinstance(paths, dict) else ():
        if not isinstance(path, dict):
            continue
        if path.get("path_type") in _ENTRY_POINTS:
            # Written by the engine, with the prefix in the first line; packed with another first line.
            path.pop("sha256", None)
        elif "prefix_placeholder" not in path and not replaced(path):
            continue
        for key in ("sha256_in_prefix", "size_in_bytes"):
            path.pop(key, None)
    return record


def replaced(path: Mapping[str, Any]) -> bool:
    """Tell from an entry of ``paths_data`` whether linking changed the file: all that libmamba records of a placeholder."""
    found = path.get("sha256"), path.get("sha256_in_prefix")
    return path.get("path_type") == "hardlink" and all(found) and found[0] != found[1]


def direct_url(data: bytes) -> bytes | None:
    """Return pip's ``direct_url.json`` (PEP 610) without credentials; None when it names a place on this machine."""
    try:
        record = _json.loads(data)
    except ValueError:
        return None
    if not isinstance(record, dict) or _is_local(record.get("url")):
        return None
    try:
        return (json.dumps(_strip(record), sort_keys=True) + "\n").encode()
    except RecursionError:
        return None


def git_file(data: bytes) -> bytes:
    """Return a text file from inside ``.git`` without credentials."""
    if b"\0" in data:
        return data
    text = _GIT_SECRET.sub(b"", data).decode("utf-8", "surrogateescape")
    return strip_text(text).encode("utf-8", "surrogateescape")


def _strip(value: Any) -> Any:
    if isinstance(value, str):
        return strip_text(value)
    if isinstance(value, dict):
        return {key: _strip(item) for key, item in value.items()}
    return [_strip(item) for item in value] if isinstance(value, list) else value


def _is_local(value: object) -> bool:
    return isinstance(value, str) and (value.startswith(("file:", "/")) or value == "")


def _without_local(value: Any) -> Any:
    if isinstance(value, list):
        return [item for item in value if not _names_a_path(item)]
    return None if _names_a_path(value) else value


def _names_a_path(value: object) -> bool:
    return isinstance(value, str) and ("file:" in value or value.startswith("/") or "[url=" in value)
