"""Keep pip's RECORD files true: what was rewritten has another hash, what was left out has no line."""

from __future__ import annotations

import base64
import csv
import io
import posixpath
from collections.abc import Collection, Mapping


def update(data: bytes, path: str, changed: Mapping[str, tuple[str, int]], dropped: Collection[str]) -> bytes:
    """Return the RECORD at ``path`` with the hashes and sizes of ``changed`` files and without ``dropped`` ones.

    ``changed`` maps a path relative to the prefix to (sha256 in hexadecimal, size). The format is PyPA's "Recording
    installed projects": path, ``sha256=`` and the digest in URL-safe base64 without padding, size.
    """
    site = posixpath.dirname(posixpath.dirname(path))
    text = data.decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True)
    touched = False
    kept: list[str] = []
    for line in lines:
        name = next(csv.reader([line]))[0] if line.startswith('"') else line.partition(",")[0]
        where = f"{site}/{name}"
        if ".." in name:
            where = posixpath.normpath(where)
        if where in dropped:
            touched = True
        elif where in changed and not line.rstrip().endswith(",,"):
            touched = True
            kept.append(_row(name, *changed[where]))
        else:
            kept.append(line)
    return "".join(kept).encode("utf-8", "surrogateescape") if touched else data


def _row(name: str, sha256: str, size: int) -> str:
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([name, f"sha256={digest}", size])
    return buffer.getvalue()
