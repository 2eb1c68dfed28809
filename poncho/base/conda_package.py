"""Write conda packages and the index of a channel, the same bytes for the same content.

Formats: conda's documentation, "Conda packages" (``.conda``, ``info/paths.json`` version 1) and "Channels"
(``repodata.json``).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

# 1980-01-01, the first day that a zip file knows.
_TIME = 315532800
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
# The packages stay on this machine, and are read once: speed counts, size does not.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One file or link of a conda package. ``placeholder`` marks text in which the prefix is to be filled in."""

    path: str
    data: bytes = b""
    link: str | None = None
    executable: bool = False
    placeholder: str | None = None


def content_digest(members: Sequence[Member], index: Mapping[str, Any]) -> str:
    """Return the sha256 of what a package holds and says of itself, whatever its compression."""
    described = json.dumps([_paths(members), dict(index)], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()


def write_conda_package(
    directory: Path, members: Sequence[Member], index: Mapping[str, Any], *, link: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write ``directory/<name>-<version>-<build>.conda`` and return its repodata record, file name under ``fn``.

    ``index`` is ``info/index.json``; ``link`` is ``info/link.json``, which noarch Python packages have.
    """
    members = sorted(members, key=lambda member: member.path)
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    about = {"summary": "made by PONCHO from what is installed on this machine"}
    info = [
        Member("info/about.json", _json(about)),
        Member("info/files", "".join(f"{member.path}\n" for member in members).encode()),
        Member("info/index.json", _json(index)),
        Member("info/paths.json", _json(_paths(members))),
    ]
    if link is not None:
        info.append(Member("info/link.json", _json(link)))
    target = directory / f"{stem}.conda"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{stem}.tar.zst", _tar(members)),
            (f"info-{stem}.tar.zst", _tar(sorted(info, key=lambda member: member.path))),
        ):
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content)
    data = target.read_bytes()
    return {
        **index,
        "fn": target.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "size": len(data),
    }


def write_repodata(directory: Path, subdir: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Write ``directory/repodata.json`` for packages that lie in ``directory``."""
    packages = {record["fn"]: {k: v for k, v in record.items() if k != "fn"} for record in records}
    document = {
        "info": {"subdir": subdir},
        "packages": {},
        "packages.conda": packages,
        "removed": [],
        "repodata_version": 1,
    }
    (directory / "repodata.json").write_bytes(_json(document))


def _paths(members: Sequence[Member]) -> dict[str, Any]:
    return {"paths": [_path(member) for member in members], "paths_version": 1}


def _path(member: Member) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "_path": member.path,
        "path_type": "hardlink" if member.link is None else "softlink",
        "sha256": hashlib.sha256(member.data).hexdigest(),
        "size_in_bytes": len(member.data),
    }
    if member.placeholder is not None:
        entry.update(prefix_placeholder=member.placeholder, file_mode="text")
    return entry


def _tar(members: Sequence[Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            entry = tarfile.TarInfo(member.path)
            entry.mtime = _TIME
            entry.mode = 0o755 if member.executable else 0o644
            if member.link is None:
                entry.size = len(member.data)
                archive.addfile(entry, io.BytesIO(member.data))
            else:
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, member.link, 0o777
                archive.addfile(entry)
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(buffer.getvalue())


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
