"""What is known about names without an environment: the trap table, projects on PyPI, their conda-forge names."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from poncho.analysis.editable import canonical
from poncho.analysis.traps import BACKPORTS, REMOVED, TRAPS

_DATA = Path(__file__).with_name("data")
# Imports below these are distributions of their own, named after the whole path.
_NAMESPACES = frozenset(
    """
    amazon azure backports collective databricks dogpile google jaraco keyrings keystoneauth1 openinference
    opentelemetry paste plone repoze ruamel snowflake sphinxcontrib zope
    """.split()  # noqa: SIM905 (read as words)
)
# Projects that are named like a part of a namespace and hold nothing any more.
_EMPTY = frozenset({"azure-mgmt", "google-cloud", "google-api"})
# An import for which the maps name more than this many projects is a namespace.
_MOST_NAMED = 3
_VERSIONED = re.compile(r"_v\d\w*$")
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


def stand_in(dotted: str, version: tuple[int, int]) -> str | None:
    """Return the project that stands in for a standard module which Python ``version`` has no more, or not yet."""
    if (removed := REMOVED.get(dotted.partition(".")[0])) and version >= removed[0]:
        return removed[1]
    later = later_module(dotted)
    return BACKPORTS[later][1] if later and version < BACKPORTS[later][0] else None


def later_module(dotted: str) -> str | None:
    """Return the longest part of an import that is a standard module of newer Pythons only, with a backport."""
    parts = dotted.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in BACKPORTS), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tables say: ``part`` of the import is provided by the project ``pypi``, ``conda`` on conda-forge.

    ``pypi`` is None for what only conda has. ``rivals`` are projects that another source names for it; ``sure`` is
    False as long as nobody looked into the project.
    """

    part: str
    pypi: str | None
    conda: str | None
    evidence: str
    rivals: tuple[str, ...] = ()
    sure: bool = True


def answer(dotted: str, version: tuple[int, int]) -> Answer | None:
    """Return what the tables say about an import that is not installed, by the order told in ``naming``."""
    trapped = trap(dotted)
    below = _in_namespace(dotted)
    if below and (trapped is None or len(below.part) > len(trapped[0])):
        return below
    if trapped:
        return Answer(*trapped, "the trap table")
    if replacement := stand_in(dotted, version):
        top = dotted.partition(".")[0]
        return Answer(
            top, replacement, conda_name(replacement), "stands in for a module that this Python does not have"
        )
    return _by_name_or_map(dotted)


def is_own_name(top: str) -> bool:
    """Tell whether a name is one that people give their own modules, or a bare namespace."""
    return top.startswith("_") or top.lower() in _OWN or top in _NAMESPACES


def _in_namespace(dotted: str) -> Answer | None:
    parts = dotted.split(".")
    if parts[0] not in _NAMESPACES:
        return None
    for length in range(min(5, len(parts)), 1, -1):
        for last in dict.fromkeys((parts[length - 1], _VERSIONED.sub("", parts[length - 1]))):
            name = canonical("-".join((*parts[: length - 1], last)))
            if name not in _EMPTY and (conda := _conda_name(name)) is not None:
                return Answer(".".join(parts[:length]), name, conda or None, "a known project of this name")
    return None


def _by_name_or_map(dotted: str) -> Answer | None:
    top = dotted.partition(".")[0]
    if is_own_name(top):
        return _mapped(dotted, minimum=2)
    own = canonical(top)
    mapped, held = _mapped(dotted), _held(dotted)
    if mapped and "." in mapped.part:
        return mapped
    named = {mapped.pypi, *mapped.rivals} if mapped else set()
    if held and not (mapped and mapped.pypi in (held.pypi, *held.rivals)):
        # A row there says, too, that the project of the import's own name does not hold it.
        rivals = tuple(sorted({one for one in (*held.rivals, *named) if one} - {own}))
        return replace(held, rivals=rivals, sure=not rivals)
    known_project = not held and _conda_name(own) is not None
    if known_project and (not mapped or own in named):
        said = ", as the public maps say" if mapped else ""
        return Answer(top, own, conda_name(own), f"a known project of this name{said}")
    if known_project and mapped and (mapped.evidence != AGREED or _conda_name(own) == own):
        # A project of the import's own name counts for more than one map, and for more than two where conda-forge
        # has it under that name, too: maps err, and copy each other's errors.
        rivals = tuple(sorted(one for one in named if one))
        return Answer(top, own, conda_name(own), "a known project of this name", rivals, sure=False)
    if mapped and known_project:
        return Answer(top, mapped.pypi, mapped.conda, AGREED, (own,), sure=False)
    return mapped


AGREED = "two public maps agree"


def _mapped(dotted: str, *, minimum: int = 1) -> Answer | None:
    """Return what the two public maps say about the longest part of an import that they know."""
    parts = dotted.split(".")
    for length in range(len(parts), minimum - 1, -1):
        part = ".".join(parts[:length])
        row = _table("imports.tsv").row(part)
        if not row:
            continue
        first, second = (set() if cell == "-" else set(cell.split(",")) for cell in row.split("\t"))
        both = first & second
        if len(both) != 1 and len(first | second) > _MOST_NAMED:
            continue
        # The one that the most maps name; of several the one whose name says the most about the import.
        own = canonical(part)
        ranked = sorted(
            first | second, key=lambda name: (name not in both, name != own, own not in name, len(name), name)
        )
        evidence = AGREED if len(both) == 1 else "one public map" if not both else "public maps name several"
        chosen = ranked[0]
        rivals = tuple(ranked[1:]) if evidence != AGREED else ()
        return Answer(part, chosen, conda_name(chosen), evidence, rivals, sure=not rivals)
    return None


def _held(dotted: str) -> Answer | None:
    """Return what was found in the wheels of known projects: who holds the longest part of an import that is told."""
    parts = dotted.split(".")
    for length in range(min(2, len(parts)), 0, -1):
        part = ".".join(parts[:length])
        if row := _table("modules.tsv").row(part):
            chosen, *rivals = row.split(",")
            evidence = f"a wheel of {chosen} holds {part}"
            return Answer(part, chosen, conda_name(chosen), evidence, tuple(rivals), sure=not rivals)
    return None


def conda_name(name: str) -> str | None:
    """Return the conda-forge name of a PyPI project, None when it is not known."""
    return _conda_name(canonical(name)) or None


def pypi_name(conda: str) -> str | None:
    """Return the PyPI project (canonical) whose conda-forge name is ``conda``; None when no project is known by it."""
    text = _table("projects.tsv").text
    end = text.find(f"\t{conda}\n")
    if end >= 0:
        return text[text.rindex("\n", 0, end) + 1 : end]
    return canonical(conda) if conda_name(conda) == conda else None


def extra_row(module: str) -> str | None:
    """Return what the table of extras says about a module: its distribution, the extra, what that brings."""
    return _table("extras.tsv").row(module)


def is_project(name: str) -> bool:
    """Tell whether a project of that name is in the table."""
    return _conda_name(canonical(name)) is not None


def only_on_conda(name: str) -> bool:
    """Tell whether a conda package has no PyPI project that is its own."""
    return any(conda == name and pypi is None for pypi, conda in TRAPS.values())


def _conda_name(name: str) -> str | None:
    """Return the conda-forge name, empty when it is not known, None when the project itself is not."""
    found = _table("projects.tsv").row(name)
    if found is None:
        return None
    return "" if found == "-" else found or name


class _Table:
    """The rows of a file of two columns, sorted by code points: searched in the text for few keys, in a list for many."""

    _MANY = 200

    def __init__(self, file: str) -> None:
        self.text = (_DATA / file).read_text("utf-8")
        self._asked = 0
        self._rows: list[str] = []

    def row(self, key: str) -> str | None:
        """Return the second column of the row of ``key`` (empty when there is none), None without such a row."""
        self._asked += 1
        if self._asked > self._MANY:
            self._rows = self._rows or self.text.splitlines()
            # A tab comes before all that a key can go on with, so a row stands where its key would.
            index = bisect_left(self._rows, key)
            name, _, rest = self._rows[index].partition("\t") if index < len(self._rows) else ("", "", "")
            return rest if name == key and key else None
        low, high = 0, len(self.text)
        while low < high:
            # Half of the rows can be left out at each step.
            start = max(low, self.text.rfind("\n", low, (low + high) // 2) + 1)
            end = self.text.index("\n", start)
            name, _, rest = self.text[start:end].partition("\t")
            if name == key:
                return rest
            low, high = (end + 1, high) if name < key else (low, start)
        return None


@lru_cache(maxsize=4)
def _table(file: str) -> _Table:
    return _Table(file)
