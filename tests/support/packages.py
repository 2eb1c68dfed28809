"""Make packages with the real commands and look at them with tools that know nothing of poncho."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.cli import Finished, run_cli


def create(spec: Mapping[str, Any] | list[Any], output: Path, *options: str, **how: Any) -> Finished:
    """Run ``poncho_package_create`` on a spec written beside ``output``."""
    written = output.with_name(output.name + ".spec")
    written.write_text(json.dumps(spec))
    return run_cli("poncho_package_create", written, output, *options, **how)


def run_in(package: Path, *command: str | os.PathLike[str], **how: Any) -> Finished:
    """Run a command in a package with ``poncho_package_run``."""
    return run_cli("poncho_package_run", "-e", package, "--", *command, **how)


def members(package: Path) -> dict[str, tarfile.TarInfo]:
    """Return the members of a package by name."""
    with tarfile.open(package) as archive:
        return {member.name: member for member in archive}


def read_member(package: Path, name: str) -> bytes:
    """Return the content of one file in a package."""
    with tarfile.open(package) as archive:
        stream = archive.extractfile(name)
        assert stream is not None, f"{name} is no file"
        return stream.read()


def unpack(package: Path, directory: Path) -> Path:
    """Unpack as TaskVine does: GNU tar without options of its own."""
    directory.mkdir(parents=True)
    subprocess.run(["tar", "xf", str(package), "-C", str(directory)], check=True)
    return directory


def installed(package: Path) -> set[str]:
    """Return ``name-version`` of the conda packages and ``name==version`` of the distributions in a package."""
    found = set()
    for name in members(package):
        path = Path(name)
        if path.parent.name == "conda-meta" and path.suffix == ".json":
            found.add(path.stem.rsplit("-", 1)[0])
        elif path.name == "METADATA" and path.parent.name.endswith(".dist-info"):
            project, _, version = path.parent.name.removesuffix(".dist-info").partition("-")
            found.add(f"{project.lower().replace('_', '-')}=={version}")
    return found


def tree_state(root: Path) -> dict[str, tuple[int, int, str]]:
    """Return mode, modification time and content (or link target) of everything below ``root``."""
    state = {}
    for directory, names, filenames in os.walk(root):
        for name in (*names, *filenames):
            path = Path(directory, name)
            facts = path.lstat()
            if path.is_symlink():
                content = os.readlink(path)
            else:
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            state[str(path.relative_to(root))] = (facts.st_mode, facts.st_mtime_ns, content)
    return state
