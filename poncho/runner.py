"""Where the runner is: the one shell file that is installed as a command and travels in every package."""

from __future__ import annotations

from pathlib import Path

from poncho.errors import BuildError

RUNNER = "poncho_package_run"


def runner_path() -> Path:
    """Return the runner: beside the other run-time files where PONCHO is installed, in ``bin/`` of a checkout.

    Raises BuildError when there is none.
    """
    package = Path(__file__).resolve().parent
    for path in (package / "runtime" / RUNNER, package.parent / "bin" / RUNNER):
        if path.is_file():
            return path
    raise missing(RUNNER)


def missing(name: str) -> BuildError:
    """Return the error for an installation that lacks a file."""
    return BuildError(
        f"{name} is missing from this installation of PONCHO",
        hint="install PONCHO again: pip install --force-reinstall poncho",
    )
