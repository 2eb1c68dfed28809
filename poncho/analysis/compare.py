"""What a project declares beside what it imports: missing, misplaced and unused requirements."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from poncho.analysis import known
from poncho.analysis.choose import Choice, meant
from poncho.analysis.declared import Declared
from poncho.analysis.editable import canonical
from poncho.analysis.model import ASIDE, GUARDED, Finding, Place, Reason, Tier, Unresolved
from poncho.analysis.naming import Namer
from poncho.analysis.project import Dependency, Project, plain_flavour

_STUBS = re.compile(r"types-.+|.+-stubs|.+-types")


@dataclass(frozen=True, slots=True)
class Difference:
    """One requirement that is declared otherwise than it is used; ``message`` says how, ``places`` where."""

    kind: Literal["missing", "misplaced", "unused"]
    name: str
    message: str
    tier: Tier | None
    imports: tuple[str, ...]
    places: tuple[Place, ...]
    declared: tuple[Dependency, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "message": self.message,
            "tier": self.tier.label if self.tier is not None else None,
            "imports": list(self.imports),
            "places": [str(place) for place in self.places],
            "declared": [one.to_json() for one in self.declared],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a project declares in ``files`` and what it imports; no differences: they agree."""

    name: str
    root: Path
    files: tuple[str, ...]
    dependencies: tuple[Dependency, ...]
    differences: tuple[Difference, ...]

    def of_kind(self, kind: str) -> tuple[Difference, ...]:
        """Return the differences of one kind."""
        return tuple(one for one in self.differences if one.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "root": str(self.root),
            "files": list(self.files),
            "dependencies": [one.to_json() for one in self.dependencies],
            "differences": [one.to_json() for one in self.differences],
        }


@dataclass(frozen=True, slots=True)
class _Use:
    """What a project imports of one distribution, under all the names that this one may be declared by."""

    name: str
    names: frozenset[str]
    imports: tuple[str, ...]
    tier: Tier
    run: tuple[Reason, ...]
    aside: tuple[Reason, ...]


def compare(
    project: Project, findings: Sequence[Finding], unresolved: Sequence[Unresolved], namer: Namer, choice: Choice
) -> Comparison:
    """Compare what ``project`` declares with what was found in its files; what ``choice`` refuses is left out."""
    main = _main_package(project)
    uses = list(_uses(project, findings, unresolved, namer))
    differences: list[Difference] = []
    matched: set[str] = set()
    for use in uses:
        declared = tuple(
            one for one in project.dependencies if one.name in use.names or plain_flavour(one.name) in use.names
        )
        matched |= {one.name for one in declared}
        if not meant(choice.refused, use.name, use.imports):
            differences += _of_use(use, declared, main)
    for one in project.dependencies:
        idle = one.role == "run time" and one.here and one.name not in matched and not _STUBS.fullmatch(one.name)
        if idle and not meant(choice.refused, one.name, ()):
            said = f"declared in {one.place}, imported nowhere{_what_else(one.name, namer)}"
            differences.append(Difference("unused", one.name, said, None, (), (one.place,), (one,)))
    order = {"missing": 0, "misplaced": 1, "unused": 2}
    differences.sort(key=lambda one: (order[one.kind], one.tier or 0, one.name))
    return Comparison(
        project.name or project.root.resolve().name,
        project.root,
        tuple(dict.fromkeys(project.files)),
        tuple(project.dependencies),
        tuple(dict.fromkeys(differences)),
    )


def script_projects(declared: Iterable[Declared]) -> Iterator[Project]:
    """Yield each script with a PEP 723 block as a project of one file."""
    by_file: dict[str, Project] = {}
    for one in declared:
        if not one.evidence.endswith("(PEP 723)"):
            continue
        script = by_file.setdefault(one.place.file, Project(Path(one.place.file), files=["its PEP 723 block"]))
        name = canonical(re.split(r"[\s\[<>=!~;@(]", one.requirement.strip(), maxsplit=1)[0])
        script.dependencies.append(Dependency(name, one.requirement, "run time", "", one.place))
    yield from by_file.values()


def _uses(
    project: Project, findings: Sequence[Finding], unresolved: Sequence[Unresolved], namer: Namer
) -> Iterator[_Use]:
    root = os.path.abspath(project.root)
    found: list[Finding | Unresolved] = [*findings, *unresolved]
    for one in found:
        here = [reason for reason in one.reasons if _is_below(reason.place.file, root)]
        if not here:
            continue
        imports = one.imports if isinstance(one, Finding) else (one.name,)
        beside = {reason.place for reason in here if _is_aside(reason, project)}
        run = tuple(reason for reason in here if reason.place not in beside)
        # A distribution's tier can come of several places together, or be less than that of each.
        least = min((reason.tier for reason in run), default=one.tier)
        # What no package is known for can be left out of a spec; a project declares it all the same.
        tier = max(one.tier, least) if isinstance(one, Finding) else least
        yield _Use(
            one.name,
            frozenset(_names(one, imports, namer)),
            imports,
            tier,
            run,
            tuple(reason for reason in here if reason.place in beside),
        )


def _is_aside(reason: Reason, project: Project) -> bool:
    """Tell whether a place is in a file that is not installed with the project."""
    if reason.why == ASIDE:
        return True
    if project.installed is None:
        return False
    file = os.path.abspath(reason.place.file)
    return not any(_is_below(file, os.path.abspath(one)) for one in project.installed)


def _names(one: Finding | Unresolved, imports: Iterable[str], namer: Namer) -> Iterator[str]:
    """Yield the names by which a project may declare what it uses, normalised, flavours taken off."""
    names = {canonical(name.replace(".", "-")) for name in imports} | {
        canonical(name.partition(".")[0]) for name in imports
    }
    if isinstance(one, Finding):
        names |= {canonical(one.name), *map(canonical, one.rivals)}
        if one.manager == "conda" and (project := known.pypi_name(one.name)):
            names.add(project)
        if one.installed:
            for name in imports:
                names |= {found.key for found in namer.installed.providers(name)[1]}
    for name in names:
        yield name
        yield plain_flavour(name)


def _main_package(project: Project) -> str:
    """Return the directory of the package that is called as the project is; the project's where there is none.

    Others that are installed beside it may need an extra.
    """
    name = re.sub(r"[-.]", "_", project.name).lower()
    named = [one for one in project.installed or () if one.stem.lower() == name]
    return os.path.abspath(named[0] if named else project.root)


def _of_use(use: _Use, declared: tuple[Dependency, ...], main: str) -> Iterator[Difference]:
    roles = {one.role for one in declared}
    sure = tuple(reason for reason in use.run if reason.tier <= Tier.CONDITIONAL and reason.why != GUARDED)
    places = tuple(dict.fromkeys(reason.place for reason in sure))
    where = ", ".join(
        sorted({f"{'extra' if one.role == 'extra' else 'group'} {one.group}" for one in declared if one.group})
    )
    if sure and use.tier <= Tier.CONDITIONAL and "run time" not in roles:
        if not declared:
            said = f"imported at run time ({places[0]}{_more(places)}), declared nowhere"
            yield Difference("missing", use.name, said, use.tier, use.imports, places)
        elif roles == {"development"} or (
            use.tier is Tier.REQUIRED and any(_is_below(reason.place.file, main) for reason in sure)
        ):
            said = f"imported at run time ({places[0]}{_more(places)}), declared in {where} only"
            yield Difference("misplaced", use.name, said, use.tier, use.imports, places, declared)
    elif "run time" in roles and use.aside and not use.run:
        places = tuple(dict.fromkeys(reason.place for reason in use.aside))
        said = f"declared for run time ({declared[0].place}), imported by tests, docs or tools only ({places[0]}{_more(places)})"
        yield Difference("misplaced", use.name, said, use.tier, use.imports, places, declared)


def _what_else(name: str, namer: Namer) -> str:
    """Say what an unused distribution may be good for."""
    here = namer.installed.get(name)
    if here is None:
        return ""
    if not here.modules:
        return " (it has no module: data, a command or a set of requirements)"
    return " (it has entry points: a plugin or a command)" if here.read("entry_points.txt").strip() else ""


def _is_below(file: str, root: str) -> bool:
    path = os.path.abspath(file)
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _more(places: Sequence[Place]) -> str:
    return f" and {len(places) - 1} more" if len(places) > 1 else ""
