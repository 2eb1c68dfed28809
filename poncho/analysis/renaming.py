"""An analysis of archives, with every place called as people know it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from poncho.analysis.archives import Unpacked
from poncho.analysis.compare import Comparison
from poncho.analysis.model import Analysis, Finding, Place, Reason, Unresolved


def renamed(analysis: Analysis, names: Unpacked) -> Analysis:
    """Return the analysis with the private directories called as the archives that were unpacked there."""
    return replace(
        analysis,
        findings=tuple(_finding(one, names) for one in analysis.findings),
        problems=tuple(names.problem(one) for one in analysis.problems),
        unresolved=tuple(_unresolved(one, names) for one in analysis.unresolved),
        projects=tuple(_comparison(one, names) for one in analysis.projects),
    )


def _finding(one: Finding, names: Unpacked) -> Finding:
    return replace(
        one,
        places=_places(one.places, names),
        reasons=_reasons(one.reasons, names),
        evidence=names.text(one.evidence),
        because=names.text(one.because),
    )


def _unresolved(one: Unresolved, names: Unpacked) -> Unresolved:
    return replace(one, places=_places(one.places, names), reasons=_reasons(one.reasons, names))


def _comparison(one: Comparison, names: Unpacked) -> Comparison:
    return replace(
        one,
        root=Path(names.text(str(one.root))),
        name=one.name,
        dependencies=tuple(replace(each, place=names.place(each.place)) for each in one.dependencies),
        differences=tuple(
            replace(
                each,
                message=names.text(each.message),
                places=_places(each.places, names),
                declared=tuple(replace(said, place=names.place(said.place)) for said in each.declared),
            )
            for each in one.differences
        ),
    )


def _places(places: tuple[Place, ...], names: Unpacked) -> tuple[Place, ...]:
    return tuple(names.place(place) for place in places)


def _reasons(reasons: tuple[Reason, ...], names: Unpacked) -> tuple[Reason, ...]:
    return tuple(reason._replace(place=names.place(reason.place)) for reason in reasons)
