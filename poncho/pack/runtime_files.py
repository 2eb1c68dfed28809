"""Find the files that travel inside every package: PONCHO's run-time and conda-pack's activation scripts."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from poncho.runner import missing


def runtime_file(name: str) -> bytes:
    """Return the content of one of ``poncho/runtime``'s files. Raises BuildError when the installation lacks it."""
    try:
        return files("poncho").joinpath("runtime").joinpath(name).read_bytes()
    except OSError as error:
        raise missing(f"poncho/runtime/{name}") from error


def runtime_path(name: str) -> Path:
    """Return where one of ``poncho/runtime``'s files lies. Raises BuildError when the installation lacks it."""
    path = Path(__file__).resolve().parents[1] / "runtime" / name
    if not path.is_file():
        raise missing(f"poncho/runtime/{name}")
    return path


def activation_script(name: str) -> bytes:
    """Return one of conda-pack's scripts: ``activate``, ``deactivate``, ``activate.fish``."""
    spec = find_spec("conda_pack")  # which does not load it
    places = spec.submodule_search_locations if spec is not None else None
    try:
        return Path(next(iter(places or ())), "scripts", "posix", name).read_bytes()
    except (OSError, StopIteration) as error:
        raise missing(f"conda_pack's {name}") from error
