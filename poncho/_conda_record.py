"""A record in ``conda-meta``, with the types that everybody relies on: what has others is no record."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from poncho import _json
from poncho._regular import is_name

# Half of a pair: JSON can say it, UTF-8 cannot, so no text with one in it can be written down.
_LONE = re.compile("[\ud800-\udfff]")
_PATHS = ("files", "paths_data")


def loads(data: bytes) -> dict[str, Any]:
    r"""Return the JSON object of a record. Raises ValueError that says what is wrong with it.

    ``name`` is a text, ``files`` and the ``_path`` of the entries of ``paths_data`` are paths that files can have; all three
    may be missing. Characters that no text can have (``"\ud83d"`` alone) are ``\ufffd``, but for bytes in paths (PEP 383).
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError("no UTF-8") from error
    try:
        record = _json.loads(text)
    except ValueError as error:
        raise ValueError("no JSON") from error
    if not isinstance(record, dict):
        raise ValueError("no JSON object")
    _check_names(record)
    _check_paths(record)
    return _plain(record)


def dumps(record: Mapping[str, Any]) -> bytes:
    """Return a record as it is packed: on one line, its keys sorted. Bytes in a path that are no UTF-8 are escaped."""
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace") + b"\n"


def _check_names(record: Mapping[str, Any]) -> None:
    for key in ("name", "version", "build"):
        value = record.get(key, "")
        if isinstance(value, (list, dict)) or (key == "name" and not isinstance(value, str)):
            raise ValueError(f"its {key} is no text")
        if "\0" in str(value) or _LONE.search(str(value)):
            raise ValueError(f"its {key} has characters that no text has")


def _check_paths(record: Mapping[str, Any]) -> None:
    files, data = record.get("files") or [], record.get("paths_data") or {}
    entries = (data.get("paths") or []) if isinstance(data, dict) else None
    if not isinstance(files, list) or not isinstance(entries, list):
        raise ValueError("its list of files is none")
    try:
        # All at once: there are tens of thousands.
        paths = "\n".join([*files, *(one["_path"] for one in entries if isinstance(one, dict) and "_path" in one)])
    except TypeError as error:
        raise ValueError("a path in it is no text") from error
    if paths and not is_name(paths):
        raise ValueError("a path in it has characters that no path has")


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    try:
        return {key: value if key in _PATHS else _replaced(value) for key, value in record.items()}
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_LONE.sub("\ufffd", key): _replaced(item) for key, item in value.items()}
    return [_replaced(item) for item in value] if isinstance(value, list) else value
