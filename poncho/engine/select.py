"""Choose the conda engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from poncho._home import expanded
from poncho.engine.base import CondaEngine
from poncho.engine.command import CommandEngine
from poncho.engine.rattler import RattlerEngine
from poncho.engine.worker import rattler_directory
from poncho.errors import BuildError
from poncho.store import BuilderCache


def select_engine(
    executable: str | None, *, cache: BuilderCache, environ: Mapping[str, str] | None = None
) -> CondaEngine:
    """Return the engine for ``--conda-executable EXECUTABLE`` (a name on PATH or a path), py-rattler when that is None.

    ``CONDA_EXE`` and ``MAMBA_EXE`` count only where py-rattler is not installed: they are set in every shell in which
    conda is activated, where they say nothing about what this build wants. Raises BuildError when there is no such
    command, or no engine at all.
    """
    environ = os.environ if environ is None else environ
    if executable:
        return CommandEngine(find_executable(executable, environ), cache, environ)
    if rattler_directory() is not None:
        return RattlerEngine(cache, environ)
    for variable in ("CONDA_EXE", "MAMBA_EXE"):
        if environ.get(variable):
            return CommandEngine(find_executable(environ[variable], environ), cache, environ)
    raise BuildError(
        "there is nothing to install conda packages with",
        hint="pip install py-rattler, or name a conda command: --conda-executable micromamba",
    )


def find_executable(name: str, environ: Mapping[str, str]) -> Path:
    """Return the absolute path of a command given as a name on PATH or as a path. Raises BuildError."""
    found = shutil.which(str(expanded(name)) if name.startswith("~") else name, path=environ.get("PATH"))
    if found is None:
        raise BuildError(
            f"{name}: no such conda command",
            hint="give the path of conda, mamba or micromamba, or leave --conda-executable out: py-rattler needs none",
        )
    return Path(found).absolute()
