"""Keep pip's RECORD and conda's records true: what was rewritten has another hash, what was left out has no line."""

from __future__ import annotations

import base64
import csv
import io
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from poncho import _conda_record
from poncho._noarch import in_prefix
from poncho.pack.model import Member
from poncho.pack.pyc import source_of

_ODD = re.compile(r'[",\r\n]|\A\Z')  # what makes csv put a name into quotes; hardly one has it


def compiled_files(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the ``.pyc`` files among ``paths`` by the path of the source that they belong to."""
    found: dict[str, list[str]] = {}
    for path in paths:
        if path.endswith(".pyc"):
            found.setdefault(source_of(path) or "", []).append(path)
    return found


def update(
    data: bytes,
    path: str,
    changed: Mapping[str, tuple[str, int]],
    dropped: Collection[str],
    compiled: Mapping[str, Sequence[str]],
) -> bytes:
    """Return the RECORD at ``path`` with the hashes and sizes of ``changed`` files and without ``dropped`` ones.

    ``changed`` maps a path relative to the prefix to (sha256 in hexadecimal, size); ``compiled`` a source to its
    ``.pyc`` files, which get lines of their own (without a hash, as pip writes them). The format is PyPA's "Recording
    installed projects": path, ``sha256=`` and the digest in URL-safe base64 without padding, size.
    """
    site = posixpath.dirname(posixpath.dirname(path))
    start = f"{site}/"
    text = data.decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True)
    touched = False
    kept: list[str] = []
    places = [
        _place(start, line) if line[0] == '"' or ".." in line else start + line.partition(",")[0] for line in lines
    ]
    listed = set(places)
    for line, where in zip(lines, places, strict=True):
        if where in dropped:
            touched = True
        elif where in changed and not line.rstrip().endswith(",,"):
            touched = True
            kept.append(_row(_name(line), *changed[where]))
        else:
            kept.append(line)
        if where in compiled:
            more = [pyc for pyc in compiled[where] if pyc not in listed]
            if more:
                touched = True
                kept[-1:] = [kept[-1].rstrip("\r\n") + "\n"]
            for pyc in sorted(more) if len(more) > 1 else more:
                # posixpath.relpath asks the system for the working directory, twice for each file.
                inside = pyc.startswith(start)
                name = pyc[len(start) :] if inside else posixpath.relpath(f"/{pyc}", f"/{site}")
                kept.append(_line(name, "", "") if _ODD.search(name) else f"{name},,\n")
    return "".join(kept).encode("utf-8", "surrogateescape") if touched else data


def update_conda(data: bytes, members: Mapping[str, Member], compiled: Mapping[str, Sequence[str]]) -> bytes:
    """Return a scrubbed conda-meta record that says what is in the package: its files that are there, ``.pyc`` included.

    Hashes are those of the packed bytes; a file that depends on where the environment lies has none. ``pyc_file`` is
    conda's own word for what was compiled after an installation.
    """
    record = _conda_record.loads(data)
    if not record:
        return data
    files = [str(file) for file in record.get("files") or ()]
    paths_data = record.get("paths_data") or {}
    paths = list(in_prefix(paths_data.get("paths") or (), files))
    owned = {*files, *(str(item["_path"]) for item in paths)}
    added = sorted(pyc for file in owned if file in members for pyc in compiled.get(file, ()) if pyc not in owned)
    directories = {str(item["_path"]) for item in paths if item.get("path_type") == "directory"}
    if "files" in record:
        record["files"] = [file for file in files if file in members or file in directories] + added
    if paths:
        kept = [_true_path(item, members) for item in paths if item["_path"] in members or item["_path"] in directories]
        kept += [{"_path": pyc, "path_type": "pyc_file"} for pyc in added]
        record["paths_data"] = {**paths_data, "paths": kept}
    return _conda_record.dumps(record)


def _true_path(item: Mapping[str, Any], members: Mapping[str, Member]) -> dict[str, Any]:
    made = dict(item)
    member = members.get(str(item["_path"]))
    if member is None or not member.sha256:
        return made
    if member.text is not None or member.slots:
        made.pop("sha256_in_prefix", None)
        made.pop("size_in_bytes", None)
    elif made.get("path_type") != "pyc_file":
        made["sha256_in_prefix"], made["size_in_bytes"] = member.sha256, member.size
    return made


def _place(start: str, line: str) -> str:
    """Return the path in the prefix that a line of RECORD means; ``start`` is what its names follow on."""
    where = start + _name(line)
    return posixpath.normpath(where) if ".." in where else where


def _name(line: str) -> str:
    if not line.startswith('"'):
        return line.partition(",")[0]
    try:
        return next(csv.reader([line]))[0]
    except csv.Error:
        return ""  # too long to be the name of a file


def _row(name: str, sha256: str, size: int) -> str:
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
    return _line(name, f"sha256={digest}", size)


def _line(name: str, *fields: object) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow((name, *fields))
    return buffer.getvalue()
