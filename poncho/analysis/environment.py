"""Which environment is analysed, its Python, the directories of its modules. Nothing of it is executed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from poncho.errors import AnalysisError

_PYTHON_DIRECTORY = re.compile(r"python(\d+)\.(\d+)$")


@dataclass(frozen=True)
class Environment:
    """A prefix to take names and versions from.

    ``site`` is where its distributions lie, in order; ``paths`` are the caller's PYTHONPATH directories, which come
    before.
    """

    prefix: Path
    python: str
    site: tuple[Path, ...]
    paths: tuple[Path, ...] = ()
    own_python: str | None = None

    @property
    def is_foreign(self) -> bool:
        """Tell whether what is installed here was installed for another Python than the target."""
        return self.own_python is not None

    @property
    def foreign_note(self) -> str:
        """Say why no version is taken from here."""
        return f"installed for Python {self.own_python}, so not pinned for {self.python}"

    def for_python(self, python: str | None) -> Environment:
        """Return the environment with ``python`` (``3.9``, ``3.9.18``) as the target that is analysed for.

        Raises AnalysisError for what is no version of Python 3.
        """
        if python is None:
            return self
        if not re.fullmatch(r"3\.\d{1,2}(?:\.\d{1,2})?", python):
            raise AnalysisError(f"{python!r} is no version of Python 3", hint="write it as 3.9 or 3.9.18")
        if self.python == python or self.python.startswith(f"{python}."):
            return self
        target = replace(self, python=python)
        return target if target.version == self.version else replace(target, own_python=self.python)

    @cached_property
    def version(self) -> tuple[int, int]:
        """Return ``(major, minor)``."""
        major, minor = self.python.split(".")[:2]
        return int(major), int(minor)

    @cached_property
    def is_conda(self) -> bool:
        """Tell whether conda packages are recorded here."""
        return next((self.prefix / "conda-meta").glob("*.json"), None) is not None

    def holds(self, path: Path) -> bool:
        """Tell whether a file belongs to the environment (or to an interpreter) and so is no part of the program."""
        return f"{path}/".startswith(self._site_starts) or _in_site_packages(path)

    @cached_property
    def _site_starts(self) -> tuple[str, ...]:
        return tuple(f"{directory}/" for directory in self.site)


def find_environment(
    prefix: Path | None = None, *, environ: Mapping[str, str] | None = None, running: bool = False
) -> Environment:
    """Return the environment to analyse.

    In this order: ``prefix``; the active environment, which is of ``VIRTUAL_ENV`` and ``CONDA_PREFIX`` the one
    whose ``bin`` comes first on PATH; the virtual or conda environment of the first ``python3`` on PATH; the
    environment of the running interpreter (one that pipx or uv made for a single tool never counts). ``running``
    asks for the running interpreter's at once (live functions can have come from nowhere else). Raises
    AnalysisError when ``prefix`` holds no Python.
    """
    environ = os.environ if environ is None else environ
    if prefix is None:
        prefix = Path(sys.prefix) if running else _active(environ) or _of_this_process(environ)
    else:
        prefix = prefix.absolute()
        try:
            is_directory = prefix.is_dir()
        except OSError as error:  # a name that is too long, or a directory that may not be entered
            raise AnalysisError(f"{prefix}: cannot be looked at ({error.strerror})") from error
        if not is_directory:
            raise AnalysisError(f"{prefix} is no directory, so no environment to analyse")
    python = _python_version(prefix)
    if python is None:
        raise AnalysisError(
            f"{prefix} holds no Python",
            hint="name the top directory of a conda or virtual environment, with bin/python in it",
        )
    major, minor = python.split(".")[:2]
    paths = _python_path(environ)
    site = tuple(dict.fromkeys(_site_directories(prefix, f"{major}.{minor}", environ)))
    return Environment(prefix, python, site, tuple(path for path in paths if path not in site))


def _active(environ: Mapping[str, str]) -> Path | None:
    active = [
        Path(value)
        for name in ("VIRTUAL_ENV", "CONDA_PREFIX")
        if (value := environ.get(name)) and os.path.isabs(value) and _python_version(Path(value))
    ]
    for directory in environ.get("PATH", "").split(os.pathsep):
        for prefix in active:
            if directory and Path(directory) == prefix / "bin":
                return prefix
    return active[0] if active else None


def _of_this_process(environ: Mapping[str, str]) -> Path:
    """Return the running interpreter's prefix, or that of the environment that the user's ``python3`` belongs to."""
    prefix = Path(sys.prefix)
    is_tool = any((prefix / receipt).exists() for receipt in ("pipx_metadata.json", "uv-receipt.toml"))
    for directory in environ.get("PATH", "").split(os.pathsep):
        candidate = Path(directory).parent
        # Not Path.exists: PATH may name directories of others, and that raises where it may not look.
        if not os.path.isabs(directory) or not os.path.exists(f"{directory}/python3"):
            continue
        if candidate == prefix and not is_tool:
            break
        is_environment = os.path.isfile(candidate / "pyvenv.cfg") or os.path.isdir(candidate / "conda-meta")
        if candidate != prefix and (is_environment or is_tool) and _python_version(candidate):
            return candidate
        if not is_tool:
            break
    return prefix


def _python_version(prefix: Path) -> str | None:
    """Return the version of a prefix's Python: in full where a file says so, else ``major.minor``."""
    if prefix == Path(sys.prefix):
        return ".".join(map(str, sys.version_info[:3]))
    for record in sorted(prefix.glob("conda-meta/python-[0-9]*.json")):
        return record.name.removesuffix(".json").split("-")[1]
    configuration = _pyvenv_cfg(prefix)
    for key in ("version", "version_info"):
        if found := re.match(r"\d+\.\d+(\.\d+)?", configuration.get(key, "")):
            return found.group()
    for header in sorted(prefix.glob("include/python3*/patchlevel.h")):
        if found := re.search(r'PY_VERSION\s+"(\d+\.\d+\.\d+)', header.read_text("utf-8", "replace")):
            return found.group(1)
    versions = [
        (int(f[1]), int(f[2])) for path in prefix.glob("lib/python3.*") if (f := _PYTHON_DIRECTORY.search(path.name))
    ]
    return "{}.{}".format(*max(versions)) if versions else None


def _pyvenv_cfg(prefix: Path) -> dict[str, str]:
    try:
        lines = (prefix / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _site_directories(prefix: Path, version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the site directories of a prefix, each followed by what its ``.pth`` files name.

    The user's own site directory comes last: it only fills gaps, because what runs in a package never sees it.
    """
    major = version.partition(".")[0]
    for pattern in (
        f"lib/python{version}/site-packages",
        f"lib64/python{version}/site-packages",
        f"local/lib/python{version}/dist-packages",
        f"lib/python{version}/dist-packages",
        f"lib/python{major}/dist-packages",
    ):
        directory = prefix / pattern
        if directory.is_dir():
            yield directory
            yield from _pth_directories(directory)
    configuration = _pyvenv_cfg(prefix)
    if not configuration or configuration.get("include-system-site-packages", "").lower() == "true":
        home = configuration.get("home")
        if home:
            yield from _site_directories(Path(home).parent, version, environ)
        elif (user := _user_site(version, environ)).is_dir():
            yield user
            yield from _pth_directories(user)


def _user_site(version: str, environ: Mapping[str, str]) -> Path:
    if environ.get("PYTHONNOUSERSITE"):
        return Path("/nonexistent")
    base = environ.get("PYTHONUSERBASE") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local")
    return Path(base) / f"lib/python{version}/site-packages"


def _pth_directories(directory: Path) -> Iterator[Path]:
    """Yield the directories that plain lines of ``.pth`` files add (their ``import`` lines are never run)."""
    for file in sorted(directory.glob("*.pth")):
        try:
            lines = file.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        for line in lines:
            entry = line.strip()
            if entry and not entry.startswith(("#", "import ", "import\t")) and "\0" not in entry:
                path = Path(os.path.normpath(directory / entry))
                if path.is_dir() and _in_site_packages(path):
                    yield path


def _python_path(environ: Mapping[str, str]) -> tuple[Path, ...]:
    entries = environ.get("PYTHONPATH", "").split(os.pathsep)
    return tuple(dict.fromkeys(Path(os.path.abspath(entry)) for entry in entries if entry and os.path.isdir(entry)))


def _in_site_packages(path: Path) -> bool:
    text = f"/{path}/"
    return "/site-packages/" in text or "/dist-packages/" in text
