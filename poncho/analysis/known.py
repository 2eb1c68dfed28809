"""What is known about names without an environment: the trap table, projects on PyPI, their conda-forge names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from poncho.analysis.editable import canonical
from poncho.analysis.traps import REMOVED, TRAPS

_DATA = Path(__file__).with_name("data")
# Imports below these are distributions of their own, named after the whole path.
_NAMESPACES = frozenset({"azure", "backports", "google", "jaraco", "opentelemetry", "ruamel", "sphinxcontrib", "zope"})
# Names that people give their own modules. Projects of these names exist, and are hardly ever what is meant.
_OWN = frozenset(
    """
    app apps api base client common conf config configs constants core data db example examples file files func
    functions global_vars helper helpers input job jobs lib local main manager misc model models module modules my
    mylib mymodule output params parser path plot plots plotting plugin plugins process processor run runner script
    scripts server settings setup shared src task tasks test testing tests tool tools types user util utilities
    utility utils version worker workflow
    """.split()  # noqa: SIM905 (read as words)
)


def trap(dotted: str) -> tuple[str, str | None, str | None] | None:
    """Return ``(import, PyPI name, conda-forge name)`` of the longest part of ``dotted`` in the trap table."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in TRAPS:
            return name, *TRAPS[name]
    return None


def stand_in(top: str, version: tuple[int, int]) -> str | None:
    """Return the project that stands in for a standard module which Python ``version`` has no more."""
    removed = REMOVED.get(top)
    return removed[1] if removed and version >= removed[0] else None


def project(dotted: str) -> tuple[str, str, str | None] | None:
    """Return ``(import, PyPI name, conda-forge name)`` of a known project that has the import's own name."""
    parts = dotted.split(".")
    lengths = range(min(3, len(parts)), 1, -1) if parts[0] in _NAMESPACES else ()
    for length in (*lengths, 1):
        name = canonical("-".join(parts[:length]))
        if length == 1 and (parts[0].startswith("_") or parts[0].lower() in _OWN or parts[0] in _NAMESPACES):
            return None
        if (conda := _conda_name(name)) is not None:
            return ".".join(parts[:length]), name, conda or None
    return None


def mapped(top: str) -> str | None:
    """Return the project that one public map alone gives for an import; asked last."""
    found = _row("imports.tsv", top)
    return found if found and top.lower() not in _OWN else None


def conda_name(name: str) -> str | None:
    """Return the conda-forge name of a PyPI project, None when it is not known."""
    return _conda_name(canonical(name)) or None


def pypi_name(conda: str) -> str | None:
    """Return the PyPI project (canonical) whose conda-forge name is ``conda``; None when no project is known by it."""
    text = _text("projects.tsv")
    end = text.find(f"\t{conda}\n")
    if end >= 0:
        return text[text.rindex("\n", 0, end) + 1 : end]
    return canonical(conda) if conda_name(conda) == conda else None


def only_on_conda(name: str) -> bool:
    """Tell whether a conda package has no PyPI project that is its own."""
    return any(conda == name and pypi is None for pypi, conda in TRAPS.values())


def _conda_name(name: str) -> str | None:
    """Return the conda-forge name, empty when it is not known, None when the project itself is not."""
    found = _row("projects.tsv", name)
    if found is None:
        return None
    return "" if found == "-" else found or name


def _row(file: str, key: str) -> str | None:
    """Return the second column of the row of ``key`` (empty when there is none), None without such a row."""
    text = _text(file)
    start = text.find(f"\n{key}\t")
    if start < 0:
        return "" if f"\n{key}\n" in text else None
    return text[start + len(key) + 2 : text.index("\n", start + 1)]


@lru_cache(maxsize=4)
def _text(file: str) -> str:
    return "\n" + (_DATA / file).read_text("utf-8")
