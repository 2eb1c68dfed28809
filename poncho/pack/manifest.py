"""``poncho/manifest.json`` and ``poncho/contents``: what the package is, and every byte that it holds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from poncho.pack.model import Findings, Member
from poncho.pack.owners import Installed
from poncho.pack.relocation import escape

MANIFEST = "poncho/manifest.json"
CONTENTS = "poncho/contents"


def manifest(
    *,
    python: str | None,
    packages: Iterable[Installed],
    variables: Mapping[str, str],
    members: Iterable[Member],
    findings: Findings,
    epoch: int,
) -> dict[str, Any]:
    """Return the manifest as a JSON object. No time of building, host or path is in it.

    ``totals`` counts every member but the manifest and the contents themselves.
    """
    listed = list(members)
    installed = list(packages)
    platform = platform_of(findings)
    return {
        "format": 1,
        "platform": platform,
        "python": python,
        "requires": {
            "platform": platform,
            "glibc": version(findings.glibc) or None,
            "cpu": cpu_level(installed) or None,
        },
        "packages": [{"name": p.name, "version": p.version, "build": p.build, "kind": p.kind} for p in installed],
        "variables": dict(sorted(variables.items())),
        "epoch": epoch,
        "relocation": {
            "text": sum(member.text is not None for member in listed),
            "binary": sum(bool(member.slots) for member in listed),
        },
        "totals": {
            "files": sum(bool(member.sha256) for member in listed),
            "links": sum(member.link is not None for member in listed),
            "bytes": sum(member.size for member in listed),
        },
    }


def encode(value: Mapping[str, Any]) -> bytes:
    """Return the manifest's text."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def contents(members: Iterable[Member]) -> bytes:
    """Return the text of ``poncho/contents``: one line for each member, sorted by path."""
    lines: list[bytes] = sorted((member.line or member_line(member) for member in members), key=_path)
    return b"".join(lines)


def member_line(member: Member) -> bytes:
    """Return the line of ``poncho/contents`` for one member."""
    path = escape(os.fsencode(member.path))
    if member.link is not None:
        return b"link\t%b\t%b\n" % (escape(os.fsencode(member.link)), path)
    if member.directory:
        return b"directory\t%b\n" % path
    return b"%b\t%04o\t%d\t%b\n" % (member.sha256.encode(), member.mode, member.size, path)


def _path(line: bytes) -> bytes:
    return line[line.rindex(b"\t") + 1 : -1]


def digest(contents_data: bytes, manifest_data: bytes) -> str:
    """Return the package's digest, 64 hexadecimal digits."""
    return hashlib.sha256(contents_data + manifest_data).hexdigest()


def platform_of(findings: Findings) -> str:
    """Return the conda subdir that most ELF files are for; ``noarch`` when there are none."""
    return max(findings.machines, key=lambda name: (findings.machines[name], name), default="noarch")


def cpu_level(packages: Iterable[Installed]) -> str:
    """Return the x86-64 level that the packages were built for (``x86-64-v3``), "" for any.

    conda-forge's builds for a level depend on ``_x86_64-microarch-level``, whose version is the level.
    """
    levels = [p.version.split(".")[0] for p in packages if p.name == "_x86_64-microarch-level" and p.kind == "conda"]
    return f"x86-64-v{max(levels)}" if levels and max(levels) > "1" else ""


def version(numbers: tuple[int, ...]) -> str:
    """Return ``2.28`` for (2, 28)."""
    return ".".join(map(str, numbers))
