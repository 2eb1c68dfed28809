"""What an analysis found, for people: the table, one name explained, a project compared with its imports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from poncho._words import counted, shown

if TYPE_CHECKING:
    from poncho.analysis import Analysis, Finding
    from poncho.analysis.compare import Comparison, Difference
    from poncho.analysis.explain import Explanation
    from poncho.analysis.model import Place, Reason

_WIDE = 240
_PLACES = 2
_WHAT = {
    "missing": "missing: imported at run time, declared nowhere",
    "misplaced": "misplaced: declared for another purpose than it is imported for",
    "unused": "unused: declared for run time, imported nowhere",
}


def table(analysis: Analysis, stream: TextIO) -> str:
    """Return what is in the spec and what was left out, fit for ``stream``: with the reasons, cut to its width."""
    paper = _Paper(stream)
    inside = [one for one in analysis.findings if one.included]
    outside = [one for one in analysis.findings if not one.included]
    if inside:
        paper.head(f"in the spec ({len(inside)})")
        paper.rows([(one.requirement, one.tier.label, _imports(one), _where(one.places), _ran(one)) for one in inside])
    if outside:
        paper.head(f"left out ({len(outside)})")
        paper.rows([(one.name, one.tier.label, _imports(one), _where(one.places), _after(one)) for one in outside])
        tiers = ",".join(dict.fromkeys(one.tier.label for one in sorted(outside, key=lambda one: one.tier)))
        paper.line(f"  take them in: --include {tiers}, or by name: --include {outside[0].name}")
    if nameless := analysis.unresolved:
        paper.head(f"without a package ({len(nameless)})")
        paper.rows([(one.name, one.tier.label, "", _where(one.places), one.advice) for one in nameless])
        paper.line(f"  name it: --pkg-mapping {nameless[0].name}=PACKAGE")
    if analysis.run is not None:
        _run(paper, analysis)
    return paper.text()


def explained(explanation: Explanation, stream: TextIO) -> str:
    """Return everything about one name as text."""
    paper = _Paper(stream)
    if explanation.said:
        paper.line(f"{explanation.name}: {explanation.said}")
    for one in explanation.findings:
        state = (
            f"in the spec as {one.requirement} ({one.manager})" if one.included else f"not in the spec ({one.manager})"
        )
        paper.head(f"{one.name}: {state}")
        facts = [("why", one.because), ("name", f"{', '.join(one.imports) or one.name}: {one.evidence}")]
        if one.version:
            facts.append(("version", f"{one.version} ({one.version_evidence})"))
        elif not one.installed:
            facts.append(("version", "any: it is not installed in the environment analysed"))
        if one.rivals:
            facts.append(
                (
                    "but",
                    f"{', '.join(one.rivals)} may be meant: --pkg-mapping {one.imports[0] if one.imports else one.name}=NAME",
                )
            )
        if one.seen is not None:
            facts.append(("run", "loaded in the recorded run" if one.seen else "not loaded in the recorded run"))
        if not one.included:
            facts.append(("take in", f"--include {one.name}, or all of its tier: --include {one.tier.label}"))
        else:
            facts.append(("leave out", f"--exclude {one.name}"))
        paper.facts(facts)
        paper.reasons(one.reasons, one.places)
    for lost in explanation.unresolved:
        paper.head(f"{lost.name}: no package is known for it")
        paper.facts(
            [("why", lost.tier.label), ("name it", lost.advice or f"--pkg-mapping {lost.name}=PACKAGE, or install it")]
        )
        paper.reasons(lost.reasons, lost.places)
    return paper.text()


def compared(comparison: Comparison, stream: TextIO) -> str:
    """Return how a project's declarations differ from its imports."""
    paper = _Paper(stream)
    what = f"{comparison.name} ({', '.join(comparison.files)})"
    if not comparison.differences:
        paper.line(f"{what}: what is declared is what is imported ({len(comparison.dependencies)} requirements)")
        return paper.text()
    paper.head(what)
    for kind, heading in _WHAT.items():
        found = comparison.of_kind(kind)
        if not found:
            continue
        paper.line(f"  {heading}")
        paper.rows([_difference(one) for one in found], indent="    ")
    return paper.text()


def _difference(one: Difference) -> tuple[str, ...]:
    if one.kind == "missing":
        imports = [name for name in one.imports if name != one.name]
        return (
            one.name,
            f"import {', '.join(imports)}" if imports else "",
            one.tier.label if one.tier else "",
            _where(one.places),
        )
    return one.name, one.message.replace(", imported nowhere", "") if one.kind == "unused" else one.message


class _Paper:
    """Lines for a stream: as wide as a terminal, with its headings set off; plain elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._terminal = stream.isatty()
        self._width = shutil.get_terminal_size((_WIDE, 24)).columns if self._terminal else 0
        self._bold = self._terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._lines: list[str] = []

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    def head(self, text: str) -> None:
        text = shown(text)
        self._lines.append(f"\033[1m{text}\033[0m" if self._bold else text)

    def line(self, text: str) -> None:
        text = shown(text).rstrip()
        if self._width and len(text) > self._width:
            text = f"{text[: self._width - 1]}…"
        self._lines.append(text)

    def rows(self, rows: Sequence[Sequence[str]], indent: str = "  ") -> None:
        rows = [[shown(cell) for cell in row] for row in rows]
        widths = [min(44, max((len(row[column]) for row in rows), default=0)) for column in range(len(rows[0]))]
        for row in rows:
            self.line(indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        for name, value in facts:
            self._lines.append(shown(f"  {name:<10}{value}"))

    def reasons(self, reasons: Sequence[Reason], places: Sequence[Place]) -> None:
        rows = [(str(one.place), one.tier.label, one.imported, one.why) for one in reasons]
        known = {one.place for one in reasons}
        rows += [(str(place), "", "", "") for place in places if place not in known]
        if rows:
            widths = [max(len(row[column]) for row in rows) for column in range(4)]
            for number, row in enumerate(rows):
                name = "places" if number == 0 else ""
                cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                self._lines.append(shown(f"  {name:<10}{cells}").rstrip())


def _run(paper: _Paper, analysis: Analysis) -> None:
    run = analysis.run
    assert run is not None
    paper.head("the code and the run")
    facts = [
        ("both", ", ".join(run.both)),
        ("only run", ", ".join(run.only_in_run)),
        ("only code", ", ".join(run.only_in_code)),
        ("along", ", ".join(run.along)),
        ("own files", ", ".join(run.files)),
    ]
    paper.facts((name, value) for name, value in facts if value)
    if run.unfinished:
        count = counted(run.unfinished, "process")
        paper.line(f"  {count} of the run ended without a last word: what they loaded at the end is not known")


def _imports(one: Finding) -> str:
    shown = ", ".join(one.imports[:_PLACES])
    return f"{shown} …" if len(one.imports) > _PLACES else shown


def _where(places: Sequence[Place]) -> str:
    shown = ", ".join(str(place) for place in places[:_PLACES])
    return f"{shown} and {len(places) - _PLACES} more" if len(places) > _PLACES else shown


def _after(one: Finding) -> str:
    return one.because.partition(": ")[2] if one.because.startswith(f"{one.tier.label}: ") else one.because


def _ran(one: Finding) -> str:
    notes = ["not loaded in the run"] if one.seen is False else []
    return "; ".join([*notes, *([] if one.because.startswith(one.tier.label) and one.tier <= 1 else [_after(one)])])
