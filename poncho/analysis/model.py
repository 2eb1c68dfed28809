"""The values of an analysis: where an import stands, how sure it is, what distribution it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from poncho.spec.model import Spec

if TYPE_CHECKING:
    from poncho.analysis.compare import Comparison
    from poncho.analysis.seen import RunView

# Why an import that only another version of Python or another system runs is not needed here.
ELSEWHERE = "only for other versions or systems"
# Why an import of a project's tests, docs, examples or tools is not one of the program.
ASIDE = "only in files beside the program: tests, docs, examples, tools"
# Why a function's import is an optional feature's: without it, the program says so and goes no further.
GUARDED = "inside a function that says so where it is missing"
# Where a function imports something, and where it does so only in a branch of it.
IN_FUNCTION = "inside a function"
IN_BRANCH = "inside a function, under if"
# Why an import counts that no text shows.
SEEN = "seen in a run"


class Tier(IntEnum):
    """How surely a program needs an import; a smaller value is surer."""

    REQUIRED = 0
    CONDITIONAL = 1
    OPTIONAL = 2
    TYPE_CHECKING = 3
    HINT = 4

    @property
    def label(self) -> str:
        """Return the word for people and JSON: ``required`` … ``type-checking``, ``hint``."""
        return self.name.lower().replace("_", "-")


# Of these four an analysis makes tens of thousands: a named tuple is made in a quarter of a dataclass's time.


class Place(NamedTuple):
    """A line of a source, as ``file:line`` (in a notebook ``file:cell N:line``)."""

    file: str
    line: int
    cell: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.cell is None else f"{self.file}:cell {self.cell}:{self.line}"


class Import(NamedTuple):
    """One import as the text says it.

    ``module`` is dotted (empty in ``from . import x``), ``names`` what ``from`` takes from it, ``level`` the leading
    dots. ``attempt`` numbers the ``try`` that guards it (0: none) and ``fallback`` marks its ``except`` branch;
    ``main`` what stands under ``if __name__ == "__main__"``; ``binds`` the names it defines; ``scope`` the qualified
    name of the function around it (empty at module level).
    """

    module: str
    names: tuple[str, ...]
    level: int
    tier: Tier
    line: int
    why: str = ""
    attempt: int = 0
    fallback: bool = False
    main: bool = False
    binds: tuple[str, ...] = ()
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one text says: its imports, the hints in its strings and calls, and the functions it defines."""

    imports: tuple[Import, ...]
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A source that could not be read as it should; the rest was analysed."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Need(NamedTuple):
    """One import that leaves the program's own code: its dotted name, where it stands, why it counts as it does.

    ``firm`` marks an unconditional one in a package's module that other modules of it import in turn; ``inside`` one
    in any module of a package.
    """

    name: str
    tier: Tier
    place: Place
    why: str = ""
    attempt: tuple[str, int] | None = None
    fallback: bool = False
    firm: bool = False
    inside: bool = False


class Reason(NamedTuple):
    """One place that asks for a distribution: the import as it stands there, how sure that one is, and why."""

    place: Place
    imported: str
    tier: Tier
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the reason as JSON values."""
        return {"place": str(self.place), "import": self.imported, "tier": self.tier.label, "why": self.why}


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An import that no distribution is known for."""

    name: str
    tier: Tier
    places: tuple[Place, ...]
    advice: str = ""
    reasons: tuple[Reason, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "import": self.name,
            "tier": self.tier.label,
            "places": [str(place) for place in self.places],
            "reasons": [reason.to_json() for reason in self.reasons],
            "advice": self.advice,
        }


@dataclass(slots=True)
class Graph:
    """All that was reached from the sources: needs that leave the program, its own files, what went wrong."""

    needs: list[Need] = field(default_factory=list)
    modules: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    missing: list[Unresolved] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Finding:
    """A distribution that the program needs, with all the reasons.

    ``requirement`` is what the spec says (a conda match spec if ``manager`` is ``conda``, else PEP 508). ``evidence``
    says how the import was given this name, ``version_evidence`` where the version comes from. ``included`` tells
    whether it is in the spec. ``rivals`` are other distributions that the public tables name for the import;
    ``comes_with`` those of the spec that bring this one along, so that it need not be named. ``reasons`` are all
    places with the tier of each, ``because`` says in plain words why it is in the spec or not. ``seen`` tells whether
    a recorded run loaded it; None without one.
    """

    name: str
    requirement: str
    manager: str
    tier: Tier
    imports: tuple[str, ...]
    places: tuple[Place, ...]
    evidence: str
    version: str | None
    version_evidence: str
    installed: bool
    included: bool
    rivals: tuple[str, ...] = ()
    comes_with: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    because: str = ""
    seen: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {
            "name": self.name,
            "requirement": self.requirement,
            "manager": self.manager,
            "tier": self.tier.label,
            "imports": list(self.imports),
            "places": [str(place) for place in self.places],
            "evidence": self.evidence,
            "version": self.version,
            "version_evidence": self.version_evidence,
            "installed": self.installed,
            "included": self.included,
            "rivals": list(self.rivals),
            "comes_with": list(self.comes_with),
            "reasons": [reason.to_json() for reason in self.reasons],
            "because": self.because,
            "seen_in_run": self.seen,
        }


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a program needs, and everything that was seen on the way.

    ``local_modules`` are the program's own files that were followed: they are not in the spec and must travel with
    the program, unless their names are in ``shipped``: then they are, as a wheel. ``editable`` maps distributions that are
    installed from a local directory to that directory. ``environment`` is the prefix whose versions were taken.
    ``projects`` compares what each project among the sources declares with what it imports, ``run`` what the code names
    with what a recorded run loaded.
    """

    spec: Spec
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    unresolved: tuple[Unresolved, ...]
    local_modules: tuple[Path, ...]
    editable: tuple[tuple[str, Path], ...]
    environment: Path
    shipped: tuple[str, ...] = ()
    projects: tuple[Comparison, ...] = ()
    run: RunView | None = None

    def document(self) -> dict[str, Any]:
        """Return the spec's JSON form, as ``poncho_package_analyze`` writes it.

        It is the conda dialect everywhere, also outside conda (there with an empty list of channels, which PONCHO
        builds from this machine's own interpreter), because the callers that post-process it look into
        ``["conda"]["dependencies"]``, and older tools of this family drop a ``pip`` that stands anywhere else.
        """
        from poncho.spec.codec import document

        return document(self.spec)

    def dumps(self) -> str:
        """Return the document as text: indent 4, sorted keys; the same program and environment give the same bytes."""
        from poncho.spec.codec import dumps

        return dumps(self.spec)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values: spec, findings, problems, unresolved, local modules, editable installs."""
        return {
            "spec": self.document(),
            "findings": [finding.to_json() for finding in self.findings],
            "problems": [str(problem) for problem in self.problems],
            "unresolved": [one.to_json() for one in self.unresolved],
            "shipped": list(self.shipped),
            "local_modules": [str(path) for path in self.local_modules],
            "editable": {name: str(path) for name, path in self.editable},
            "environment": str(self.environment),
            "projects": [one.to_json() for one in self.projects],
            "run": self.run.to_json() if self.run else None,
        }
