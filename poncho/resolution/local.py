"""Lock entries of code that lies on this machine: by the digest of its content."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from poncho._trees import walk
from poncho.errors import ResolveError
from poncho.lock.model import LockedPip

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What lies in a project's directory and is no part of it: written by version control, builds, tests and editors.
_SKIPPED = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".nox",
        ".eggs",
        "build",
    }
)
_SKIPPED_ENDS = (".pyc", ".egg-info", ".dist-info", "~", ".swp")


def locked_directory(name: str, version: str, path: Path) -> LockedPip:
    """Return the lock entry of a project's directory; the version may stand in its ``pyproject.toml``."""
    return LockedPip(name, version or _static_version(path), str(path), url=path.as_uri(), sha256=tree_digest(path))


def locked_file(name: str, version: str, path: Path) -> LockedPip:
    """Return the lock entry of a wheel or source archive on this machine."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ResolveError(f"{path}: cannot be read ({error.strerror})") from error
    return LockedPip(name, version, str(path), url=path.as_uri(), sha256=digest)


def tree_digest(root: Path) -> str:
    """Return the sha256 (hexadecimal) of a directory's content: names, executable bits, bytes, link targets.

    Version control, caches, build output, pipes and sockets are left out. Raises ResolveError when something cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for directory, folders, files in walk(root):
            folders[:] = sorted(name for name in folders if not _is_skipped(name))
            for name in sorted(name for name in files if not _is_skipped(name)):
                path = Path(directory, name)
                relative = path.relative_to(root).as_posix()
                if path.is_symlink():
                    kind, content = "link", os.fsencode(path.readlink())
                elif not path.is_file():
                    continue  # a pipe or socket: nothing to build from
                else:
                    kind, content = ("exec" if os.access(path, os.X_OK) else "file"), path.read_bytes()
                digest.update(f"{kind}\0{relative}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
                digest.update(content)
    except OSError as error:
        raise ResolveError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def _is_skipped(name: str) -> bool:
    return name in _SKIPPED or name.endswith(_SKIPPED_ENDS)


def _static_version(path: Path) -> str:
    try:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8")).get("project")
    except (OSError, ValueError, RecursionError):
        return ""
    return str(project.get("version", "")) if isinstance(project, dict) else ""
