"""Local code that a lock names by its path: a project directory, a wheel or a source archive."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from poncho.errors import BuildError

# What tools leave in a project's directory, and no build reads. Version control stays: build back ends ask it for the
# version.
_LITTER = (
    "__pycache__",
    "*.pyc",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "node_modules",
)
_READABLE = (
    "all of a project must be readable, and fit below PONCHO_CACHE_DIR: or build a wheel of it, and name that one"
)


def local_source(requirement: str) -> Path | None:
    """Return the path that ``requirement`` names (``/path``, ``/path[extra]``, ``name @ file:///path``), or None."""
    if requirement.startswith("/"):
        path = Path(requirement)
        return path if path.exists() or not requirement.endswith("]") else Path(requirement.rpartition("[")[0])
    try:
        url = urlsplit(Requirement(requirement).url or "")
    except (InvalidRequirement, ValueError):
        return None
    return Path(unquote(url.path)) if url.scheme == "file" else None


def stage_local(source: Path, target: Path) -> Path:
    """Copy local code below ``target`` and return the copy: building writes into its tree, and the user's is not ours.

    Raises BuildError when the source is missing, or is neither an archive nor a project.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_file():
            target.mkdir()
            return Path(shutil.copy2(source, target))
        if not source.is_dir():
            raise BuildError(f"{source}: no such file or directory", hint="the spec names it as local code")
        if not any((source / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise BuildError(
                f"{source}: is not a Python project", hint="it needs a pyproject.toml or setup.py to be built"
            )
        shutil.copytree(source, target, symlinks=True, ignore=_left_out)
        return target
    except shutil.Error as error:
        first = error.args[0][0] if error.args and error.args[0] else (source, "", "")
        raise BuildError(f"{first[0]}: cannot be copied to build it: {first[2]}", hint=_READABLE) from error
    except RecursionError as error:
        raise BuildError(
            f"{source}: its directories lie too deep in each other to be copied",
            hint="build a wheel of it, and install that",
        ) from error
    except OSError as error:
        raise BuildError(
            f"{error.filename or source}: cannot be copied to build it: {error.strerror}", hint=_READABLE
        ) from error


def _left_out(directory: str, names: list[str]) -> set[str]:
    """Return the litter among ``names``, and pipes, sockets and devices, which are nothing to build from."""
    gone = shutil.ignore_patterns(*_LITTER)(directory, names)
    return gone | {name for name in names if not os.path.islink(path := f"{directory}/{name}") and not _is_plain(path)}


def _is_plain(path: str) -> bool:
    return os.path.isfile(path) or os.path.isdir(path)
