"""Which files of a program an import stands for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from poncho.analysis import disk
from poncho.analysis.model import Import
from poncho.analysis.sources import Unit

EXTENSIONS = (".so", ".pyd")
INIT = "__init__.py"


@dataclass(frozen=True, slots=True)
class Outside:
    """What the walk asks: is a dotted name in the standard library, do the tables know a top-level name, does the
    environment have it; is a file the environment's, is it the code of an editable install."""

    standard: Callable[[str], bool]
    known: Callable[[str], bool]
    installed: Callable[[str], bool]
    owns: Callable[[Path], bool]
    editable: Callable[[str, str], bool]


def relative(folder: str, one: Import) -> tuple[str, ...]:
    """Return the files that a relative import in a module of ``folder`` runs."""
    for _ in range(one.level - 1):
        folder = os.path.dirname(folder)
    return _files(folder, one.module, one.names, True)


class Finder:
    """Finds the files of absolute imports, for all units that look into the same directories.

    Modules beside the program hide standard and installed ones, as they do when it runs; a bare directory does not.
    """

    def __init__(self, unit: Unit, outside: Outside) -> None:
        self._places = [(root, False) for root in unit.roots] + [(root, True) for root in unit.near]
        self._inside = unit.inside
        self._outside = outside
        self._roots: dict[str, list[tuple[str, str]]] = {}
        self._found: dict[tuple[str, tuple[str, ...]], tuple[str, ...] | None] = {}
        self._editable: dict[str, bool] = {}

    def find(self, one: Import, top: str) -> tuple[str, ...] | None:
        """Return the local files that an import runs, ``top`` the first part of its name; None when it leaves the
        program."""
        roots = self._roots.get(top)
        if roots is None:
            roots = self._roots[top] = list(self._roots_of(top))
        if not roots:
            return None
        key = (one.module, one.names)
        if key not in self._found:
            self._found[key] = _below(roots, one)
        return self._found[key]

    def is_editable(self, top: str, file: str) -> bool:
        """Tell whether a file that was found is the code of an editable install."""
        known = self._editable.get(file)
        if known is None:
            known = self._editable[file] = self._outside.editable(top, file)
        return known

    def _roots_of(self, top: str) -> Iterator[tuple[str, str]]:
        """Yield the directories in which a top-level name is found, each with what it is there."""
        outside = self._outside
        for root, last in self._places:
            if outside.owns(root):
                continue
            kind = _kind(str(root), top)
            if not kind or ((kind == "directory" or last) and (outside.standard(top) or outside.installed(top))):
                continue
            if last and self._inside and outside.known(top):
                continue  # inside a package an absolute import does not mean the file beside it
            if kind == "module" and outside.standard(top) and _is_frozen(top):
                continue
            yield str(root), kind


def _below(roots: list[tuple[str, str]], one: Import) -> tuple[str, ...] | None:
    depth = one.module.count(".") + 1
    for root, kind in roots:
        found = _files(root, one.module, one.names)
        shared = (depth > 1 or kind == "directory") and all(map(_is_namespace, found))
        if shared and (not found or found[-1].removeprefix(root).strip("/").count("/") < depth):
            continue  # another distribution's part of a namespace that the program has a part of
        return found
    return None


@disk.once
def _is_namespace(path: str) -> bool:
    """Tell whether an ``__init__`` shares its package with other distributions (pkgutil, pkg_resources)."""
    file = Path(path)
    try:
        text = file.read_text("utf-8", "replace") if file.name == INIT and file.stat().st_size < 4096 else ""
    except OSError:
        return False
    return "extend_path" in text or "declare_namespace" in text


def _is_frozen(name: str) -> bool:
    # Loaded before any program starts, so no file of the same name ever hides them.
    return name in (
        "sys",
        "os",
        "io",
        "abc",
        "codecs",
        "site",
        "stat",
        "posixpath",
        "genericpath",
        "builtins",
        "time",
        "zipimport",
    )


@disk.once
def _files(root: str, module: str, names: tuple[str, ...], in_package: bool = False) -> tuple[str, ...]:
    """Return the files that importing ``module`` below ``root``, and then ``names`` from it, runs.

    ``in_package``: ``root`` is the package that the import begins in.
    """
    return tuple(_walk_files(root, tuple(module.split(".")) if module else (), names, in_package))


def _walk_files(root: str, parts: tuple[str, ...], names: tuple[str, ...], in_package: bool) -> Iterator[str]:
    folder = root
    if in_package and INIT in disk.listing(root):
        yield f"{root}/{INIT}"
    for part in parts:
        kind, path = _place(folder, part)
        if kind == "module":
            yield path
        if kind in ("module", ""):
            return
        folder = f"{folder}/{part}"
        if kind == "package":
            yield path
    for name in names:
        kind, path = _place(folder, name)
        if kind in ("module", "package"):
            yield path


@disk.once
def _kind(root: str, top: str) -> str:
    """Return what ``_place`` does; an empty directory is nothing."""
    kind, _ = _place(root, top)
    if kind == "directory":
        folder = f"{root}/{top}"
        return kind if any(name.endswith(".py") or is_a != "f" for name, is_a in disk.listing(folder).items()) else ""
    return kind


def _place(folder: str, name: str) -> tuple[str, str]:
    """Return ``package``, ``module``, ``directory`` or nothing for a name in a directory, and the file that runs."""
    entries = disk.listing(folder)
    is_a = entries.get(name, "f")
    if is_a != "f" and disk.listing(f"{folder}/{name}").get(INIT) == "f":
        return "package", f"{folder}/{name}/{INIT}"
    for suffix in (".py", ".pyw"):
        if entries.get(name + suffix) == "f":
            return "module", f"{folder}/{name}{suffix}"
    for entry in _extensions(folder):
        if entry.startswith(f"{name}."):
            return "module", f"{folder}/{entry}"
    return ("directory", "") if is_a != "f" else ("", "")


@disk.once
def _extensions(folder: str) -> tuple[str, ...]:
    return tuple(sorted(entry for entry in disk.listing(folder) if entry.endswith(EXTENSIONS)))
