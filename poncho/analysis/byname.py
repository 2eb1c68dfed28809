"""Modules of a program that it loads by name: no import leads to them, but text does.

Frameworks write ``"package.commands"`` or ``"package.handlers.http.Handler"`` into their settings, walk through all modules of
a package that they name, and look for plug-ins in packages whose names begin with theirs (the naming convention that the
packaging guide describes).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from poncho.analysis import disk

# What a module imports that looks for plug-ins.
_SEEKERS = ("importlib.metadata", "importlib_metadata", "pkg_resources", "pkgutil", "stevedore")
_INIT = "__init__.py"
_DOTTED = re.compile(r"""(['"])(\w+(?:\.\w+)+)\1""")


class Walked(NamedTuple):
    """A module that names a package, the files of that package, and the modules that may walk through it."""

    namer: str
    files: list[str]
    walkers: list[str]


@dataclass(slots=True)
class ByName:
    """What the modules of a program name, as far as they were read.

    ``_packages`` are the packages named, with the module that does (any key), by the program's top-level package;
    ``_walkers`` the modules that walk through packages (``pkgutil``), by the same.
    """

    _packages: dict[Path, list[tuple[str, str]]] = field(default_factory=dict)
    _walkers: dict[Path, list[str]] = field(default_factory=dict)

    def read(self, key: str, text: str, package: Path, imported: Sequence[str]) -> list[str]:
        """Return the files of the program that the text of its module ``key`` names.

        ``package`` is the directory of the top-level package in which the module is, ``imported`` what it imports.
        """
        found: list[str] = []
        if f'"{package.name}.' in text or f"'{package.name}." in text:
            for _, dotted in _DOTTED.findall(text):
                if dotted.startswith(f"{package.name}."):
                    files, folder = _files(str(package), dotted.split(".")[1:])
                    found += files
                    if folder:
                        self._packages.setdefault(package, []).append((key, folder))
        if any(one.startswith(_SEEKERS) for one in imported):
            found += _beside(str(package.parent), package.name)
        if "pkgutil" in imported:
            self._walkers.setdefault(package, []).append(key)
        return list(dict.fromkeys(found))

    def walked(self) -> list[Walked]:
        """Return the modules of packages that were named since, where the program walks through packages."""
        found = []
        for package in sorted(self._walkers.keys() & self._packages.keys()):
            for key, folder in self._packages.pop(package):
                inside = sorted(disk.listing(folder).items())
                names = [name for name, is_a in inside if is_a == "f" and name.endswith(".py")]
                found.append(Walked(key, [f"{folder}/{name}" for name in names], self._walkers[package]))
        return found


def _files(folder: str, parts: list[str]) -> tuple[list[str], str]:
    """Return the files that importing a dotted name runs (an attribute may follow), and its directory if it is a package."""
    found: list[str] = []
    for part in parts:
        if disk.listing(folder).get(f"{part}.py") == "f":
            return [*found, f"{folder}/{part}.py"], ""
        if not disk.has(f"{folder}/{part}", _INIT):
            return found, ""
        folder = f"{folder}/{part}"
        found.append(f"{folder}/{_INIT}")
    return found, folder


def _beside(folder: str, name: str) -> list[str]:
    entries = sorted(disk.listing(folder).items())
    names = (one for one, is_a in entries if is_a != "f" and one.startswith(f"{name}_"))
    return [f"{folder}/{one}/{_INIT}" for one in names if disk.has(f"{folder}/{one}", _INIT)]
