"""Find the files that travel inside every package: PONCHO's run-time and conda-pack's activation scripts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from poncho.errors import BuildError

RUNNER = "poncho_package_run"


def runtime_file(name: str) -> bytes:
    """Return the content of one of ``poncho/runtime``'s files. Raises BuildError when the installation lacks it."""
    try:
        return files("poncho").joinpath("runtime").joinpath(name).read_bytes()
    except OSError as error:
        raise _incomplete(f"poncho/runtime/{name}") from error


def runtime_path(name: str) -> Path:
    """Return where one of ``poncho/runtime``'s files lies. Raises BuildError when the installation lacks it."""
    path = Path(__file__).resolve().parents[1] / "runtime" / name
    if not path.is_file():
        raise _incomplete(f"poncho/runtime/{name}")
    return path


def runner_path() -> Path:
    """Return the runner: beside the other run-time files where PONCHO is installed, in ``bin/`` of a checkout.

    Raises BuildError when there is none.
    """
    package = Path(__file__).resolve().parents[1]
    for path in (package / "runtime" / RUNNER, package.parent / "bin" / RUNNER):
        if path.is_file():
            return path
    raise _incomplete(RUNNER)


def activation_script(name: str) -> bytes:
    """Return one of conda-pack's scripts: ``activate``, ``deactivate``, ``activate.fish``."""
    try:
        return files("conda_pack").joinpath("scripts").joinpath("posix").joinpath(name).read_bytes()
    except (OSError, ModuleNotFoundError) as error:
        raise _incomplete(f"conda_pack's {name}") from error


def _incomplete(name: str) -> BuildError:
    return BuildError(
        f"{name} is missing from this installation of PONCHO",
        hint="install PONCHO again: pip install --force-reinstall poncho",
    )
