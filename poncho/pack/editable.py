"""Editable installs: code that lies outside of the prefix, which therefore cannot travel."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from poncho import _json, _regular

_EDITABLE = re.compile(r"__editable__[._](?P<name>.+?)[-_]\d[^/]*(?:\.pth|_finder\.py)\Z")
_IGNORED_PTH = frozenset({"distutils-precedence.pth"})


@dataclass(slots=True)
class Editables:
    """What was found: distributions by name with where their code lies, the files that go with them, odd ``.pth``
    lines.

    ``rewritten`` is the content of ``easy-install.pth`` files without the lines that point outside.
    """

    found: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    rewritten: dict[str, bytes] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)


def find(
    prefix: Path, prefixes: Sequence[str], files: Collection[str], owned: Mapping[str, Sequence[str]]
) -> Editables:
    """Look for editable installs.

    ``files`` are the prefix's files, relative; ``owned`` maps each dist-info directory to the files in its RECORD.
    Code that lies inside the prefix is no problem. Names are normalised as PEP 503 does.
    """
    result = Editables()
    telling = sorted([path for path in files if path.endswith((".dist-info/direct_url.json", ".egg-link", ".pth"))])
    for path in telling:
        if path.endswith(".pth"):
            continue
        if path.endswith(".json"):
            _direct_url(prefix, prefixes, path, owned, result)
            continue
        target = _first_line(prefix / path)
        if not _inside(target, prefixes):
            name = posixpath.basename(path).removesuffix(".egg-link")
            result.found.setdefault(normalise(name), target)
            result.files.add(path)
    for path in telling:
        if path.endswith(".pth") and posixpath.basename(path) not in _IGNORED_PTH:
            _pth(prefix, prefixes, path, result)
    for path in files if result.found else ():
        match = _EDITABLE.match(posixpath.basename(path))
        if match and normalise(match["name"]) in result.found:
            result.files.add(path)
    return result


def normalise(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _direct_url(
    prefix: Path, prefixes: Sequence[str], path: str, owned: Mapping[str, Sequence[str]], result: Editables
) -> None:
    try:
        record = _json.loads(_regular.read_bytes(prefix / path))
        editable = record["dir_info"]["editable"] is True
        url = str(record["url"])
        target = unquote(urlsplit(url).path) if url.startswith("file:") else url
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not editable or _inside(target, prefixes):
        return
    directory = posixpath.dirname(path)
    result.found[normalise(posixpath.basename(directory).split("-", 1)[0])] = target
    result.files.update(owned.get(directory, ()))
    result.files.add(directory + "/")


def _pth(prefix: Path, prefixes: Sequence[str], path: str, result: Editables) -> None:
    try:
        text = _regular.read_text(prefix / path, "surrogateescape")
    except OSError:
        return
    lines = text.splitlines()
    outside = [line for line in lines if os.path.isabs(line.strip()) and not _inside(line.strip(), prefixes)]
    if not outside or path in result.files:
        return
    name = posixpath.basename(path)
    editable = _EDITABLE.match(name)
    if editable:
        result.found.setdefault(normalise(editable["name"]), outside[0])
        result.files.add(path)
        return
    # Directories that hold code (conda develop, a line of one's own) are local code; what is not there does no harm.
    for line in map(str.strip, outside):
        if not _inside(line, [*result.found.values()]) and os.path.isdir(line):
            result.found.setdefault(posixpath.basename(line.rstrip("/")), line)
    known = [line for line in outside if _inside(line.strip(), [*result.found.values()])]
    if known:
        kept = [line for line in lines if line not in known]
        result.rewritten[path] = "".join(line + "\n" for line in kept).encode("utf-8", "surrogateescape")
    result.outside += [f"{path}: {line.strip()}" for line in outside if line not in known]


def _first_line(path: Path) -> str:
    try:
        return _regular.read_text(path, "surrogateescape").split("\n", 1)[0].strip()
    except OSError:
        return ""


def _inside(target: str, prefixes: Sequence[str]) -> bool:
    return any(target == prefix or target.startswith(prefix + "/") for prefix in prefixes)
