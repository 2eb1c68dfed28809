"""What workflow engines need: a package for their workers, and a program of their user's, run as a process of its own.

The distribution ``uncertainties`` stands for what the user's functions need. It is in the packages only: that an answer comes
back proves that it was made inside.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.support import packages
from tests.support.cli import command_path, environment

PACKED_ONLY = "uncertainties"

# The function that every engine is given, and its answer: (3.0 +- 0.1) * (2.0 +- 0.1), and where it was computed.
FUNCTION = """
def area(width, height):
    import sys
    from uncertainties import ufloat
    product = ufloat(*width) * ufloat(*height)
    return round(product.nominal_value, 6), round(product.std_dev, 6), sys.prefix
"""
ARGUMENTS = "(3.0, 0.1), (2.0, 0.1)"
AREA = [6.0, 0.360555]


def engine_package(shared: Path, *distributions: str) -> Path:
    """Return a package, made once a session: this Python version, ``distributions`` in the versions installed here."""
    assert importlib.util.find_spec(PACKED_ONLY) is None, f"the tests' interpreter must not have {PACKED_ONLY}"
    package = shared / f"engine-{'-'.join(distributions)}.tar.gz"
    with FileLock(package.with_suffix(".lock")):
        if not package.exists():
            pip = [PACKED_ONLY, *(f"{name}=={version(name)}" for name in distributions)]
            packages.create({"python": platform.python_version(), "pip": pip}, package).ok()
    return package


def run_program(
    text: str,
    directory: Path,
    *arguments: str | os.PathLike[str],
    env: Mapping[str, str | os.PathLike[str] | None] | None = None,
    timeout: float = 240,
) -> Any:
    """Run a program with the project's commands first on PATH; return what it wrote to ``answer.json`` in ``directory``."""
    program = directory / "program.py"
    program.write_text(text)
    commands = environment(env)
    commands["PATH"] = os.pathsep.join([str(command_path("poncho_package_run").parent), commands["PATH"]])
    run = subprocess.run(
        [sys.executable, str(program), *map(os.fspath, arguments)],
        cwd=directory,
        env=commands,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout[-3000:]}\n{run.stderr[-6000:]}"
    return json.loads((directory / "answer.json").read_text())
