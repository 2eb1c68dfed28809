"""``poncho/manifest.json`` and ``poncho/contents``: what the package is, and every byte that it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from poncho.pack.members import Members
from poncho.pack.model import Findings
from poncho.pack.owners import Installed

MANIFEST = "poncho/manifest.json"
CONTENTS = "poncho/contents"


def manifest(
    *,
    python: str | None,
    packages: Iterable[Installed],
    variables: Mapping[str, str],
    members: Members,
    findings: Findings,
    epoch: int,
) -> dict[str, Any]:
    """Return the manifest as a JSON object. No time of building, host or path is in it.

    ``totals`` counts every member but the manifest and the contents themselves.
    """
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
            "text": sum(member.text is not None for member in members.looked),
            "binary": sum(bool(member.slots) for member in members.looked),
        },
        "totals": members.totals(),
    }


def encode(value: Mapping[str, Any]) -> bytes:
    """Return the manifest's text."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def contents(lines: Iterable[bytes]) -> bytes:
    """Return the text of ``poncho/contents``: the lines of all members, given without newlines, sorted by path."""
    return b"\n".join((*sorted(lines, key=_path), b""))


def _path(line: bytes) -> bytes:
    return line[line.rindex(b"\t") + 1 :]


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
