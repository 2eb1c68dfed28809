"""From an import to the distribution that provides it, with the evidence.

The order: what the user says; the environment; the trap table; what was found in wheels where the project of the
import's own name does not hold it; a project of that name that the public maps confirm, or that nothing contradicts;
two public maps that agree; the project of the same name; a single map. With an index to ask, a project counts whose own
wheel provides the import, wherever these know nothing or disagree. What none of them knows is not guessed, and what
they disagree on is reported (``Named.rivals``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from poncho.analysis import known
from poncho.analysis.conda import CondaMeta, CondaRecord
from poncho.analysis.editable import canonical, local_requirement
from poncho.analysis.environment import Environment
from poncho.analysis.installed import Distribution, Installed
from poncho.analysis.inventory import Inventory
from poncho.errors import AnalysisError

if TYPE_CHECKING:
    from poncho.analysis.online import Online
    from poncho.analysis.project import Project

_NAME = re.compile(
    r"(?:(?P<channel>[^\s:]+(?:/[^\s:]+)*)::)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<rest>.*)", re.DOTALL
)

# Versions and builds as conda and pip write them: =1.2, ==1.2=py_0, >=1,<2, "1.2.* py_0".
_CONDA_REST = re.compile(r"[=<>!~][\w.*+!=<>~,|\s-]*|\d[\w.*+!]*(?:\s+[\w.*]+)?")


@dataclass(frozen=True, slots=True)
class Named:
    """A distribution, and what a spec says to get it. An empty ``requirement`` means that nothing has to be got."""

    name: str
    requirement: str
    manager: str
    imported: str
    evidence: str
    version: str | None = None
    version_evidence: str = ""
    installed: bool = False
    local: Path | None = None
    rivals: tuple[str, ...] = ()
    said: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """An import that stays without a name, and what to do about it."""

    imported: str
    advice: str = ""


class Namer:
    """Names the imports of one program for one environment."""

    def __init__(
        self,
        environment: Environment,
        mapping: Mapping[str, str],
        online: Online | None = None,
        projects: Sequence[Project] = (),
    ) -> None:
        self._environment = environment
        self._mapping = mapping
        self._online = online
        self._projects = projects
        site = (*environment.paths, *environment.site)
        self.installed = Installed(site, Inventory.of(site))

    @cached_property
    def conda(self) -> CondaMeta | None:
        """Return what conda recorded, or None where conda packages cannot be asked for.

        An environment whose only conda packages are the interpreter and pip, out of a local folder, was made by
        PONCHO without any channel, and is named without one again.
        """
        if not self._environment.is_conda:
            return None
        meta = CondaMeta(self._environment.prefix)
        return None if meta.is_base_only else meta

    def name(self, dotted: str) -> Named | Unknown:
        """Return the distribution that provides an import (``google.cloud.storage``)."""
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            if prefix in self._mapping:
                return self._said(prefix, self._mapping[prefix])
        return self._from_environment(dotted) or self._from_tables(dotted)

    def has(self, top: str) -> bool:
        """Tell whether the environment has a module, by looking for its file."""
        return any(True for _ in self._module_files(top))

    def is_installed(self, project: str) -> bool:
        """Tell whether the environment has a distribution of that name, or the conda package of that project."""
        conda = self.conda
        if conda is not None and conda.get(known.conda_name(project) or project) is not None:
            return True
        return self.installed.get(project) is not None

    def package(self, project: str, evidence: str) -> Named:
        """Return what a project on PyPI is here: as it is installed, else as conda or else pip gets it."""
        conda = known.conda_name(project) if self.conda is not None else None
        if here := self._installed_as(conda or project, "", evidence):
            return here
        return (
            Named(_bare(conda), conda, "conda", "", evidence) if conda else Named(project, project, "pip", "", evidence)
        )

    def editable(self, top: str, file: Path | str) -> bool:
        """Tell whether a local file is the code of a distribution that is installed from its directory."""
        return any(
            top in one.tops and one.origin.path is not None and Path(file).is_relative_to(one.origin.path.resolve())
            for one in self._editables
        )

    @cached_property
    def _editables(self) -> list[Distribution]:
        return [one for one in self.installed.by_key.values() if one.origin.editable]

    def extra(self, text: str, evidence: str = "asked for") -> Named:
        """Return what a package named by a person means: exact when it is installed, else as it is written.

        Raises AnalysisError for text that is no package name, and for conda packages where there is no conda.
        """
        if not isinstance(text, str):
            raise _no_package(repr(text))
        text = text.strip()
        found = _NAME.fullmatch(text)
        if not found:
            if re.match(r"(\.{0,2}/|~/|[a-z+]+://)", text):
                return Named(text, text, "pip", "", evidence)
            raise _no_package(text)
        name, rest = found["name"], found["rest"].strip()
        if rest and not _CONDA_REST.fullmatch(rest) and not rest.startswith(("[", "@", ";")):
            raise _no_package(text)
        if found["channel"]:
            return Named(name, text, "conda", "", evidence)
        if not rest and (here := self._installed_as(name, "", evidence)):
            return here
        if self.conda is not None and not rest.startswith(("[", "@", "~=")):
            return Named(name, text, "conda", "", evidence)
        if known.only_on_conda(name):
            raise AnalysisError(
                f"{name} is not on PyPI (a project of that name there is another one)",
                hint=f"analyse in a conda environment that has it, or name its channel: conda-forge::{name}",
            )
        if re.match(r"=[^=]", rest):
            text = f"{name}={rest}"  # conda's single = is pip's ==
        if rest:
            _check(text)
        return Named(canonical(name), text, "pip", "", evidence)

    def declared(self, requirement: str, evidence: str) -> Named:
        """Return what a PEP 508 requirement in a script means: the installed version if that satisfies it."""
        found = _NAME.fullmatch(requirement)
        name = found["name"] if found else requirement
        here = self._installed_as(name, "", evidence) if found else None
        if here and here.version and self._satisfies(requirement, here.version):
            return here
        return Named(canonical(name), requirement, "pip", "", evidence)

    @staticmethod
    def _satisfies(requirement: str, version: str) -> bool:
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            parsed = Requirement(requirement)
        except InvalidRequirement:
            return False
        return not parsed.extras and parsed.url is None and parsed.specifier.contains(version, prereleases=True)

    def _said(self, imported: str, value: str) -> Named:
        if value in ("", "-"):
            return Named(imported, "", "none", imported, "the mapping leaves it out")
        named = self.extra(value, f"the mapping says {imported} = {value}")
        return replace(named, imported=imported, said=True)

    def _from_environment(self, dotted: str) -> Named | Unknown | None:
        top = dotted.partition(".")[0]
        trapped = known.trap(dotted)
        likely = (*((trapped[1],) if trapped and trapped[1] else ()), top)
        if trapped and "." in trapped[0]:
            likely = ()
        part, found = self.installed.providers(dotted, likely=likely)
        if found:
            chosen = _choose(found, top, trapped)
            if chosen is None:
                others = ", ".join(one.key for one in found)
                return Unknown(part, f"several distributions share the namespace {part}: {others}")
            rivals = ", ".join(one.key for one in found if one is not chosen)
            evidence = f"installed, provides {part}" + (f" (as do {rivals})" if rivals else "")
            return self._named(chosen, part, evidence)
        if self.conda is None:
            return None
        for path in self._module_files(top):
            likely_conda = tuple(name for name in (trapped[2] if trapped else None, top.lower()) if name)
            if record := self.conda.owner(path, likely=likely_conda):
                return self._of_record(record, top, f"the conda package installed {path}")
        if trapped and trapped[2] and (record := self.conda.get(trapped[2])):
            return self._of_record(record, trapped[0], "installed under that name")
        return None

    def _from_project(self, dotted: str, found: known.Answer | None) -> Named | None:
        """Return what the project itself declares for an import, where the tables' answer allows that name for it."""
        if not self._projects or self.conda is not None:
            return None
        from poncho.analysis.project import declared_as

        top = dotted.partition(".")[0]
        allowed = (found.pypi or "", *found.rivals) if found else ()
        one = declared_as(self._projects, [*(name for name in allowed if name), canonical(dotted), canonical(top)])
        if one is None:
            return None
        return Named(one.name, one.plain, "pip", found.part if found else top, f"declared in {one.place}")

    def _from_tables(self, dotted: str) -> Named | Unknown:
        top = dotted.partition(".")[0]
        found = known.answer(dotted, self._environment.version)
        if (named := self._from_project(dotted, found)) is not None:
            return named
        if self._online is not None and (found is None or not found.sure) and not self.has(top):
            found = self._online.settle(dotted, found)
        if found is not None and self.conda is not None and found.conda:
            conda = found.conda
            return Named(_bare(conda), conda, "conda", found.part, found.evidence, rivals=found.rivals)
        if found is not None and found.pypi is not None:
            return Named(_bare(found.pypi), found.pypi, "pip", found.part, found.evidence, rivals=found.rivals)
        if found is not None:
            there = f"{found.part} is not on PyPI; on conda-forge it is {found.conda}"
            return Unknown(found.part, f"{there}: --pkg-mapping {found.part}=conda-forge::{found.conda}")
        if self.has(top):
            return Unknown(top, f"{top} lies in the environment, but no distribution has it in its records")
        return Unknown(top)

    def _installed_as(self, name: str, part: str, evidence: str) -> Named | None:
        """Return the installed package of that name, conda's own names first where there is conda."""
        if self.conda is not None and (record := self.conda.get(name)):
            return self._of_record(record, part, evidence)
        distribution = self.installed.get(name)
        return self._named(distribution, part, evidence) if distribution else None

    def _named(self, one: Distribution, part: str, evidence: str) -> Named:
        if self.conda is not None and one.metadata.is_relative_to(self._environment.prefix):
            inside = one.metadata.relative_to(self._environment.prefix).as_posix()
            likely = tuple(name for name in (one.key, known.conda_name(one.key)) if name)
            if record := self.conda.owner(f"{inside}/" if one.metadata.is_dir() else inside, likely=likely):
                return self._of_record(record, part, evidence)
        origin = one.origin
        if origin.path is not None:
            said = "an editable install of" if origin.editable else "installed from"
            evidence_of_version = f"{said} {origin.path}"
            requirement = local_requirement(one.name, origin.path)
            return Named(
                one.key, requirement, "pip", part, evidence, one.version, evidence_of_version, True, origin.path
            )
        if origin.url is not None:
            return Named(
                one.key, f"{one.key} @ {origin.url}", "pip", part, evidence, one.version, "direct_url.json", True
            )
        if self._environment.is_foreign:
            return Named(one.key, one.key, "pip", part, evidence, None, self._environment.foreign_note, True)
        return Named(one.key, f"{one.key}=={one.version}", "pip", part, evidence, one.version, one.metadata.name, True)

    def _of_record(self, record: CondaRecord, part: str, evidence: str) -> Named:
        if self._environment.is_foreign:
            return Named(record.name, record.name, "conda", part, evidence, None, self._environment.foreign_note, True)
        source = f"conda-meta/{record.file.name}"
        return Named(record.name, record.match, "conda", part, evidence, record.version, source, True)

    @cached_property
    def _sites(self) -> list[tuple[Path, frozenset[str] | None]]:
        """Return the directories of the environment's modules with what is in them, None where that cannot be told."""
        found: list[tuple[Path, frozenset[str] | None]] = []
        for site in (*self._environment.paths, *self._environment.site):
            try:
                found.append((site, frozenset(os.listdir(site))))
            except OSError:
                found.append((site, None))
        return found

    def _module_files(self, top: str) -> Iterator[str]:
        """Yield where the environment has a module, relative to the prefix if possible (directories end in ``/``)."""
        for site, entries in self._sites:
            if entries is not None and top not in entries and f"{top}.py" not in entries:
                continue
            for suffix in ("/__init__.py", ".py", "/"):
                path = site / f"{top}{suffix}"
                if path.is_dir() if suffix == "/" else path.is_file():
                    text = (
                        path.relative_to(self._environment.prefix).as_posix()
                        if path.is_relative_to(self._environment.prefix)
                        else path.as_posix()
                    )
                    yield f"{text}/" if suffix == "/" else text
                    break


def _choose(
    found: tuple[Distribution, ...], top: str, trapped: tuple[str, str | None, str | None] | None
) -> Distribution | None:
    """Return the one of several providers that is meant; None when they only share a namespace."""
    if len(found) == 1:
        return found[0]
    wanted = [canonical(top), *((trapped[1],) if trapped and trapped[1] else ())]
    for name in wanted:
        for one in found:
            if one.key == name:
                return one
    whole = [one for one in found if top in one.modules]
    return whole[0] if whole else None


def _no_package(text: str) -> AnalysisError:
    return AnalysisError(
        f"{text!r} is no package name", hint="write a name such as numpy, numpy==1.26 or conda-forge::root"
    )


def _check(requirement: str) -> None:
    """Raise AnalysisError unless pip would take the text."""
    from poncho.spec.requirements import check_requirement

    def fail(message: str, *, hint: str | None = None) -> NoReturn:
        raise AnalysisError(message, hint=hint)

    check_requirement(requirement, fail)


def _bare(requirement: str) -> str:
    return re.split(r"[<>=]", requirement)[0]
