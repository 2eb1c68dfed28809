"""Find a conda environment by its name, without running conda."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from poncho._home import expanded, home
from poncho.errors import SpecError

_USUAL_ROOTS = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "micromamba", ".local/share/mamba")


def find_environment(name: str, environ: Mapping[str, str] | None = None) -> Path:
    """Return the prefix of the conda environment called ``name``; ``base`` is an installation's root.

    Looked for in this order: the activated environment, ``CONDA_ENVS_DIRS``/``CONDA_ENVS_PATH``, the ``envs`` of the
    installations that ``CONDA_EXE``, ``MAMBA_EXE``, ``MAMBA_ROOT_PREFIX``, PATH and the home directory show,
    ``~/.conda/envs``, ``~/.conda/environments.txt``. Raises SpecError that lists the names that exist.
    """
    known = known_environments(environ)
    if name in known:
        return known[name]
    hint = (
        f"environments on this machine: {', '.join(sorted(known))}"
        if known
        else "no conda environment was found on this machine"
    )
    raise SpecError(f"{name}: neither a file, a directory nor the name of a conda environment", hint=hint)


def known_environments(environ: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Return all conda environments that can be found, by name; of two with the same name the first found."""
    found: dict[str, Path] = {}
    for name, prefix in _candidates(os.environ if environ is None else environ):
        if name not in found and prefix.joinpath("conda-meta").is_dir():
            found[name] = prefix
    return found


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    own = home(environ)
    active, active_name = environ.get("CONDA_PREFIX"), environ.get("CONDA_DEFAULT_ENV")
    if active and active_name and os.sep not in active_name:
        yield active_name, Path(active)
    for variable in ("CONDA_ENVS_DIRS", "CONDA_ENVS_PATH"):
        for directory in environ.get(variable, "").split(os.pathsep):
            if directory:
                yield from _children(expanded(directory))
    for root in _roots(environ, own):
        yield "base", root
        yield from _children(root / "envs")
    yield from _children(own / ".conda" / "envs")
    try:
        lines = (own / ".conda" / "environments.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        if line.strip():
            yield Path(line.strip()).name, Path(line.strip())


def _roots(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield the roots of conda installations; a command lies in ROOT/bin or ROOT/condabin."""
    if environ.get("MAMBA_ROOT_PREFIX"):
        yield Path(environ["MAMBA_ROOT_PREFIX"])
    commands = [Path(environ[variable]) for variable in ("CONDA_EXE", "MAMBA_EXE") if environ.get(variable)]
    for directory in environ.get("PATH", "").split(os.pathsep):
        if directory and Path(directory).name in ("bin", "condabin"):
            commands += [path for path in (Path(directory, name) for name in ("conda", "mamba")) if path.exists()]
    for command in commands:
        yield command.parent.parent
    for name in _USUAL_ROOTS:
        yield home / name


def _children(directory: Path) -> Iterator[tuple[str, Path]]:
    try:
        children = sorted(directory.iterdir())
    except OSError:
        return
    for child in children:
        yield child.name, child
