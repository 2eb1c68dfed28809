"""The distributions of a prefix by their RECORD files, read fast: what is installed, which files belong to it, taking it out.

RECORD: the core metadata specification "Recording installed projects" (PyPA).
"""

from __future__ import annotations

import csv
import os
import posixpath
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from poncho._regular import opener
from poncho.install.distributions import site_packages

# What follows the name of a module in that of its bytecode (PEP 3147, PEP 488).
_COMPILED = re.compile(r"[^.]+(\.opt-[^.]+)?\.pyc")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A distribution: its canonical name, its ``.dist-info`` and the files of its RECORD, relative to the prefix."""

    name: str
    version: str
    directory: str
    files: tuple[str, ...]


def recorded_distributions(
    prefix: Path, *, but: Container[str] = (), only: Container[str] | None = None
) -> list[Recorded]:
    """Return the distributions of ``prefix``, sorted by name, without those whose directory is in ``but``.

    ``only``: those with these canonical names.
    """
    root = os.path.realpath(prefix)
    found = []
    for site in site_packages(prefix):
        relative = os.path.relpath(site, root)
        for entry in sorted(os.listdir(site)):
            if entry.endswith(".dist-info") and f"{relative}/{entry}" not in but:
                name, _, version = entry.removesuffix(".dist-info").partition("-")
                if only is None or canonicalize_name(name) in only:
                    directory = f"{relative}/{entry}"
                    files = tuple(_record(f"{root}/{directory}/RECORD", relative))
                    found.append(Recorded(canonicalize_name(name), version, directory, files))
    return sorted(found, key=lambda one: (one.name, one.directory))


def _record(path: str, site: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="", opener=opener) as stream:
            for line in stream:
                # Most lines are plain, and there are tens of thousands of them.
                name = next(csv.reader([line]))[0] if line.startswith('"') else line.partition(",")[0].rstrip("\r\n")
                if name:
                    plain = "./" not in name and "//" not in name and not name.startswith("/")
                    yield f"{site}/{name}" if plain else posixpath.normpath(posixpath.join(site, name))
    except (OSError, csv.Error, StopIteration):
        return


def remove_files(prefix: Path, files: Iterable[str]) -> set[str]:
    """Delete files (relative to ``prefix``), what was compiled from them, and directories that are empty then.

    Returns the directories that were changed, also those that are gone. Raises ValueError for a file outside.
    """
    root = os.path.realpath(prefix)
    changed: set[str] = set()
    for file in files:
        if file.startswith(("/", "../")) or file == "..":
            raise ValueError(file)
        directory, _, name = file.rpartition("/")
        _unlink(f"{root}/{file}")
        if name.endswith(".py"):
            compiled = f"{root}/{directory}/__pycache__"
            stem = name[:-2]
            for entry in os.listdir(compiled) if os.path.isdir(compiled) else ():
                # Of six.py: six.cpython-311.pyc, six.cpython-311.opt-1.pyc; six.more.cpython-311.pyc is of six.more.py.
                if entry.startswith(stem) and _COMPILED.fullmatch(entry, len(stem)):
                    _unlink(f"{compiled}/{entry}")
                    changed.add(f"{directory}/__pycache__")
        changed.add(directory)
    for directory in sorted(changed, key=len, reverse=True):
        _remove_empty(root, directory)
    return with_parents(changed)


def with_parents(directories: Iterable[str]) -> set[str]:
    """Return directories (relative) with all that they lie in; the empty string is the prefix itself."""
    found = {""}
    for directory in directories:
        while directory and directory not in found:
            found.add(directory)
            directory = directory.rpartition("/")[0]
    return found


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _remove_empty(root: str, directory: str) -> None:
    while directory:
        try:
            os.rmdir(f"{root}/{directory}")
        except OSError:
            return  # not empty, or gone
        directory = directory.rpartition("/")[0]
