"""What the code says and what a recorded run loaded, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._home import working_directory
from poncho.analysis.conda import CondaMeta
from poncho.analysis.declared import Declared
from poncho.analysis.installed import Distribution
from poncho.analysis.model import SEEN, Finding, Need, Place, Tier
from poncho.analysis.naming import Named, Namer
from poncho.analysis.trace import Loaded, Trace

# What every environment has.
_BASE = frozenset({"python", "pip"})
# What installers leave in site-packages; no program asks for it.
_INSTALLERS = ("_distutils_hack", "_virtualenv", "__editable__", "distutils-precedence", "_rpds_loader")


@dataclass(frozen=True, slots=True)
class RunView:
    """What only one of the two saw.

    ``only_in_code``: distributions of the spec that the run did not load; ``only_in_run``: those that no text names and
    the run loaded, taken into the spec; ``along``: loaded ones that others of the spec bring along; ``files``: the
    program's own modules that were loaded and that no import leads to.
    """

    command: tuple[str, ...]
    only_in_code: tuple[str, ...]
    only_in_run: tuple[str, ...]
    both: tuple[str, ...]
    along: tuple[str, ...]
    files: tuple[str, ...]
    libraries: int
    data: int
    unfinished: int

    def to_json(self) -> dict[str, Any]:
        """Return the view as JSON values."""
        return {
            "command": list(self.command),
            "only_in_code": list(self.only_in_code),
            "only_in_run": list(self.only_in_run),
            "both": list(self.both),
            "along": list(self.along),
            "files": list(self.files),
            "libraries": self.libraries,
            "data": self.data,
            "unfinished": self.unfinished,
        }


@dataclass(slots=True)
class _Used:
    """One distribution of which a run loaded something."""

    named: Named
    modules: list[Loaded] = field(default_factory=list)
    direct: list[Loaded] = field(default_factory=list)


@dataclass
class Seen:
    """A run, weighed against what the code needs."""

    run: Trace
    namer: Namer
    prefix: Path
    used: dict[tuple[str, str], _Used] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    along: set[str] = field(default_factory=set)
    taken: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        tops: dict[str, Named | None] = {}
        for one in self.run.modules:
            top = one.name.partition(".")[0]
            if not self._is_installed(one.file):
                self.own.append(one.file)
                continue
            if top.startswith(_INSTALLERS):
                continue
            if top not in tops:
                tops[top] = self._whole(top)
            named = tops[top] or self._named(one.name)
            if named is None:
                continue
            used = self.used.setdefault((named.manager, named.name), _Used(named))
            used.modules.append(one)
        for used in self.used.values():
            used.direct = [one for one in used.modules if one.by and not self._is_installed(one.by.file)]

    def _whole(self, top: str) -> Named | None:
        """Return the distribution that has all of a top-level package; None where several share it."""
        _, found = self.namer.installed.providers(top)
        return self._named(top) if len(found) == 1 else None

    def _named(self, dotted: str) -> Named | None:
        answer = self.namer.name(dotted)
        return answer if isinstance(answer, Named) and answer.requirement else None

    def _is_installed(self, file: str) -> bool:
        return any(f"{os.sep}{site}{os.sep}" in file for site in ("site-packages", "dist-packages"))

    def needs(self, findings: Sequence[Finding]) -> list[Need]:
        """Return a need for each distribution that the program itself imported in the run, or that nothing else brings.

        ``findings`` are those of the code alone.
        """
        sure = {(one.manager, one.name) for one in findings if one.included}
        direct = {key for key, used in self.used.items() if used.direct}
        brought = self._brought(sure | direct)
        loose = {
            key for key, used in self.used.items() if key not in sure | direct and not self._keys(used.named) & brought
        }
        # Of what is left, that which others of it bring comes along with them; of a circle, all is named.
        for key in sorted(loose):
            others = loose - {key}
            if self._keys(self.used[key].named) & self._brought(others):
                loose = others
        brought |= self._brought(loose)
        found: list[Need] = []
        for key, used in sorted(self.used.items()):
            if key in sure or key[1] in _BASE:
                continue
            if key not in direct | loose and self._keys(used.named) & brought:
                self.along.add(key[1])
                continue
            self.taken.add(key)
            for one in used.direct[:20] or used.modules[:1]:
                place = _short(one.by) if one.by else Place(_shortened(one.file), 1)
                found.append(Need(one.name, Tier.CONDITIONAL, place, SEEN))
        return found

    def owners(self, findings: Sequence[Finding], place: Place) -> list[Declared]:
        """Return the packages that libraries, data and programs of the run belong to, and nothing else brings."""
        known = {(one.manager, one.name) for one in findings if one.included} | self.taken
        brought = self._brought(known | set(self.used))
        found: dict[str, Declared] = {}
        for path in (*self.run.programs, *self.run.libraries, *self.run.data):
            owner = self._owner(path)
            if owner is None or owner in _BASE or owner in brought or any(owner == name for _, name in known):
                continue
            shown = os.path.relpath(path, self.prefix)
            found.setdefault(owner, Declared(owner, place, f"{SEEN}: it used {shown}"))
        return list(found.values())

    def _owner(self, path: str) -> str | None:
        if self._meta is not None:
            record = self._meta.owner(os.path.relpath(path, self.prefix))
            if record is not None:
                return record.name
        return self._files.get(os.path.normpath(path))

    @cached_property
    def _meta(self) -> CondaMeta | None:
        return self.namer.conda

    @cached_property
    def _files(self) -> dict[str, str]:
        """Return the distribution of each file that the RECORDs name."""
        found: dict[str, str] = {}
        for one in self.namer.installed.by_key.values():
            for row in one.read("RECORD").splitlines():
                name = row.rsplit(",", 2)[0].strip('"')
                found.setdefault(os.path.normpath(os.path.join(one.site, name)), one.key)
        return found

    def _keys(self, named: Named) -> set[str]:
        """Return the names by which metadata may mean a distribution."""
        keys = {named.name}
        if named.imported:
            keys |= {one.key for one in self.namer.installed.providers(named.imported)[1]}
        return keys

    def _brought(self, keys: Iterable[tuple[str, str]]) -> set[str]:
        """Return everything that some distributions ask for, directly or not, in the names of pip and of conda."""
        todo: list[tuple[str, frozenset[str]]] = []
        for key in keys:
            names = {key[1]} | (self._keys(self.used[key].named) if key in self.used else set())
            todo += [(name, frozenset()) for name in names]
        if self._meta is not None:
            todo += [("python", frozenset()), ("pip", frozenset())]
        done: set[tuple[str, frozenset[str]]] = set()
        while todo:
            name, extras = todo.pop()
            if (name, extras) in done:
                continue
            done.add((name, extras))
            distribution = self.namer.installed.get(name)
            if distribution is not None:
                todo += _requires(distribution, extras)
            record = self._meta.get(name) if self._meta is not None else None
            if record is not None:
                todo += [(depend, frozenset()) for depend in _depends(record.data)]
        return {name for name, _ in done}

    def seen_of(self, findings: Sequence[Finding]) -> list[Finding]:
        """Return the findings with what the run says about each."""
        taken = {name for _, name in self.taken}
        return [
            replace(
                one,
                seen=(one.manager, one.name) in self.used or SEEN in one.because,
                evidence=f"{SEEN}; {one.evidence}"
                if one.name in taken and all(r.why == SEEN for r in one.reasons)
                else one.evidence,
            )
            for one in findings
        ]

    def told(self, findings: Sequence[Finding], modules: Iterable[Path], sources: Iterable[str]) -> RunView:
        """Return what only one of the two saw; ``modules`` are the program's own files that imports lead to."""
        included = [one for one in self.seen_of(findings) if one.included]
        by_run = [
            one for one in included if SEEN in one.because or (one.reasons and all(r.why == SEEN for r in one.reasons))
        ]
        given = list(sources)
        known = {os.path.realpath(path) for path in [*map(str, modules), *given]}
        files = [one for one in dict.fromkeys(self.own) if os.path.realpath(one) not in known and os.path.isfile(one)]
        beside = tuple(os.path.realpath(one) + os.sep for one in given if os.path.isdir(one))
        return RunView(
            command=self.run.command,
            only_in_code=tuple(one.name for one in included if not one.seen),
            only_in_run=tuple(one.name for one in by_run),
            both=tuple(one.name for one in included if one.seen and one not in by_run),
            along=tuple(sorted(self.along - {one.name for one in included})),
            files=tuple(_shortened(one) for one in files if not os.path.realpath(one).startswith(beside)),
            libraries=len(self.run.libraries),
            data=len(self.run.data),
            unfinished=self.run.unfinished,
        )


def _requires(one: Distribution, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """Return what a distribution's metadata asks for on this machine."""
    from packaging.requirements import InvalidRequirement, Requirement

    from poncho.analysis.editable import canonical

    found: list[tuple[str, frozenset[str]]] = []
    for line in (one.read("METADATA") or one.read("PKG-INFO")).split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        if key != "Requires-Dist":
            continue
        try:
            requirement = Requirement(value.strip())
            holds = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            )
        except (InvalidRequirement, ValueError):
            continue
        if holds:
            found.append((canonical(requirement.name), frozenset(requirement.extras)))
    return found


def _depends(data: bytes) -> list[str]:
    try:
        return [str(one).split()[0] for one in _json.loads(data).get("depends", ()) if str(one).strip()]
    except (ValueError, AttributeError, TypeError):
        return []


def _short(place: Place) -> Place:
    return place._replace(file=_shortened(place.file))


def _shortened(file: str) -> str:
    path, here = Path(file), working_directory()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file
