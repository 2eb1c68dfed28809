"""From needs to findings, and from findings to the spec."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poncho.analysis.choose import DEFAULT, Choice, Facts
from poncho.analysis.companions import brought_by
from poncho.analysis.declared import Declared
from poncho.analysis.editable import canonical
from poncho.analysis.environment import Environment
from poncho.analysis.extras import Extra, extras_needed, with_extras
from poncho.analysis.model import ASIDE, ELSEWHERE, Finding, Need, Place, Problem, Reason, Tier, Unresolved
from poncho.analysis.naming import Named, Namer, Unknown
from poncho.analysis.traps import DEVELOPMENT, FOREIGN
from poncho.errors import AnalysisError
from poncho.spec.model import Spec

# What this many modules of a package import outright, themselves imported by others, is required by the package.
_WIDELY = 3


@dataclass(slots=True)
class _Gathered:
    named: Named
    tier: Tier
    imports: set[str] = field(default_factory=set)
    places: set[Place] = field(default_factory=set)
    idle: bool = True
    firm: set[str] = field(default_factory=set)
    asked: str = ""
    reasons: set[Reason] = field(default_factory=set)
    comes_with: tuple[str, ...] = ()
    extras: dict[str, Extra] = field(default_factory=dict)


@dataclass(slots=True)
class Assembly:
    """Everything that was named, and what was not."""

    findings: list[Finding] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)
    editable: dict[str, Path] = field(default_factory=dict)
    doubts: list[Problem] = field(default_factory=list)


def assemble(
    needs: Sequence[Need],
    declared: Sequence[Declared],
    extra: Sequence[str],
    namer: Namer,
    choice: Choice = DEFAULT,
) -> Assembly:
    """Name every need and gather the needs by distribution.

    In the spec are the required and conditional ones, and of the optional ones and the hints those that are
    installed: there the program uses them; ``choice`` says otherwise. An ``except ImportError`` branch is left out where
    what it replaces is a standard or local module. What the tables disagree on goes to ``doubts``. Raises AnalysisError
    for an extra package that is none.
    """
    answers: dict[str, Named | Unknown] = {name: namer.name(name) for name in sorted({need.name for need in needs})}
    answered = {answer.imported.partition(".")[0] for answer in answers.values() if isinstance(answer, Named)}
    gathered: dict[tuple[str, str], _Gathered] = {}
    lost: dict[str, list[tuple[Need, Unknown]]] = {}
    sure: set[str] = set()
    met: list[tuple[Need, Named]] = []
    for need, idle in _with_alternatives(needs, answers):
        answer = answers[need.name]
        if isinstance(answer, Unknown):
            # A bare namespace is met by the distributions below it that are needed anyway.
            if answer.imported.partition(".")[0] not in answered or answer.imported != need.name.partition(".")[0]:
                if need.tier <= Tier.CONDITIONAL and not _is_apart(need):
                    sure.add(answer.imported)
                lost.setdefault(answer.imported, []).append((need, answer))
        elif answer.requirement:
            tier = max(need.tier, Tier.OPTIONAL) if idle or _is_aside(answer, need) else need.tier
            entry = _gather(gathered, answer, tier, need.place, idle=idle)
            entry.reasons.add(Reason(need.place, need.name, tier, need.why))
            met.append((need._replace(tier=tier), answer))
            if need.firm and tier is Tier.CONDITIONAL:
                entry.firm.add(need.place.file)
    _take_extras(gathered, met, namer)
    for one in declared:
        named = namer.declared(one.requirement, one.evidence)
        _gather(gathered, named, Tier.REQUIRED, one.place).asked = one.evidence
    for text in extra:
        _gather(gathered, namer.extra(text), Tier.REQUIRED, None).asked = "asked for outright"
    _leave_parts_out(gathered)
    result = Assembly()
    for key in sorted(gathered):
        entry = gathered[key]
        finding = _finding(entry, choice)
        result.findings.append(finding)
        if entry.named.rivals and finding.included:
            result.doubts.append(_doubt(finding, entry.named))
        if entry.named.local is not None:
            result.editable[entry.named.name] = entry.named.local
    for name in sorted(lost):
        pairs = lost[name]
        places = tuple(sorted({need.place for need, _ in pairs}))
        reasons = tuple(sorted({Reason(need.place, need.name, need.tier, need.why) for need, _ in pairs}, key=_order))
        tier = reasons[0].tier if name in sure else max(reasons[0].tier, Tier.OPTIONAL)
        result.unresolved.append(Unresolved(name, tier, places, pairs[0][1].advice, reasons))
        if name not in sure and any(map(_is_apart, (need for need, _ in pairs))):
            text = f"no package is known for import {name}, which only a part of the program uses, so it is left out"
            result.doubts.append(Problem(places[0], f"{text}: --pkg-mapping {name}=NAME names its package"))
    return result


def _take_extras(gathered: dict[tuple[str, str], _Gathered], met: Sequence[tuple[Need, Named]], namer: Namer) -> None:
    """Ask for the extras that imported modules need: of pip by name, of conda, which knows none, as packages.

    Nothing is asked for that is named in the spec anyway.
    """
    there = {canonical(entry.named.name) for entry in gathered.values() if entry.tier <= Tier.CONDITIONAL}
    for need, named, extra in extras_needed(met, namer):
        if there.issuperset(extra.packages):
            continue
        if named.manager == "pip" and extra.extra:
            gathered[named.manager, named.name].extras[extra.extra] = extra
            continue
        for package in extra.packages:
            one = namer.package(package, extra.evidence)
            entry = _gather(gathered, one, min(need.tier, Tier.CONDITIONAL), need.place)
            entry.reasons.add(Reason(need.place, need.name, min(need.tier, Tier.CONDITIONAL), extra.evidence))


def _is_apart(need: Need) -> bool:
    """Tell whether only a part of a package needs an import, so that the rest of it works in a package without it."""
    return need.inside and not need.firm and need.tier is Tier.CONDITIONAL


def _leave_parts_out(gathered: dict[tuple[str, str], _Gathered]) -> None:
    """Settle the tiers; make what comes along with another distribution of the spec optional."""
    for entry in gathered.values():
        if entry.tier is Tier.CONDITIONAL and len(entry.firm) >= _WIDELY:
            entry.tier = Tier.REQUIRED
    needed = {canonical(name): name for (_, name), entry in gathered.items() if entry.tier <= Tier.CONDITIONAL}
    for entry in gathered.values():
        named = entry.named
        # What is installed is pinned, and what a person named is meant.
        if entry.tier <= Tier.CONDITIONAL and not (named.version or entry.asked or named.said):
            entry.comes_with = tuple(needed[name] for name in brought_by(canonical(named.name), needed))
    for entry in gathered.values():
        if entry.comes_with:
            entry.tier = Tier.OPTIONAL


def _doubt(finding: Finding, named: Named) -> Problem:
    rivals = " or ".join(named.rivals[:3])
    imported = named.imported or named.name
    return Problem(
        finding.places[0],
        f"import {imported} is taken for {named.name} ({named.evidence}), but {rivals} may be meant: "
        f"--pkg-mapping {imported}=NAME, or --online to look into them",
    )


def _is_aside(answer: Named, need: Need) -> bool:
    """Tell whether a conditional import is of a project for other systems only (its condition is the system), or of a
    tool for development."""
    if need.tier is Tier.REQUIRED or answer.installed:
        return False
    return bool(FOREIGN.fullmatch(answer.name) or DEVELOPMENT.fullmatch(answer.name))


def _with_alternatives(needs: Sequence[Need], answers: dict[str, Named | Unknown]) -> Iterable[tuple[Need, bool]]:
    """Yield the needs with ``try/except ImportError`` weighed, and whether each is idle: what it replaces is here.

    Of alternatives none of which is here, one is needed.
    """
    attempts: dict[tuple[str, int], list[Need]] = {}
    sure: set[str] = set()
    for need in needs:
        if need.attempt and need.why != ELSEWHERE:
            attempts.setdefault(need.attempt, []).append(need)
        if need.tier <= Tier.CONDITIONAL and isinstance(answer := answers[need.name], Named):
            sure.add(answer.name)
    promoted: set[int] = set()
    idle: set[int] = set()
    for group in attempts.values():
        tried = [need for need in group if not need.fallback]
        if not tried:
            idle.update(id(need) for need in group)
            continue
        names = [(need, answer) for need in group if isinstance(answer := answers[need.name], Named)]
        if len(tried) < len(group) and not any(answer.installed or answer.name in sure for _, answer in names):
            first = next((need for need, _ in names), None)
            if first is not None:
                promoted.add(id(first))
    for need in needs:
        needed = id(need) in promoted and need.tier is Tier.OPTIONAL
        yield (need._replace(tier=Tier.CONDITIONAL) if needed else need), (id(need) in idle or need.why == ELSEWHERE)


def _gather(
    gathered: dict[tuple[str, str], _Gathered], named: Named, tier: Tier, place: Place | None, *, idle: bool = False
) -> _Gathered:
    entry = gathered.setdefault((named.manager, named.name), _Gathered(named, tier))
    if _says_more(named, entry.named):
        entry.named = named
    entry.tier = min(entry.tier, tier)
    entry.idle = entry.idle and idle
    if named.imported:
        entry.imports.add(named.imported)
    if place is not None:
        entry.places.add(place)
    return entry


def _says_more(one: Named, other: Named) -> bool:
    return (one.installed, len(one.requirement)) > (other.installed, len(other.requirement))


def _finding(entry: _Gathered, choice: Choice) -> Finding:
    named = entry.named
    reasons = tuple(sorted(entry.reasons, key=_order))
    whys = [one.why for one in reasons if one.tier is entry.tier]
    facts = Facts(
        name=named.name,
        imports=frozenset(entry.imports) | {one.imported for one in reasons},
        tier=entry.tier,
        why=next((why for why in whys if why != ASIDE), ASIDE if whys else _widely(entry)),
        installed=named.installed,
        idle=entry.idle,
        asked=entry.asked,
        comes_with=entry.comes_with,
    )
    included, because = choice.decide(facts)
    return Finding(
        name=named.name,
        requirement=with_extras(named.requirement, entry.extras),
        manager=named.manager,
        tier=entry.tier,
        imports=tuple(sorted(entry.imports)),
        places=tuple(sorted(entry.places, key=lambda place: (place.file, place.cell or 0, place.line))),
        evidence="; ".join((named.evidence, *(one.evidence for _, one in sorted(entry.extras.items())))),
        version=named.version,
        version_evidence=named.version_evidence,
        installed=named.installed,
        included=included,
        rivals=named.rivals,
        comes_with=entry.comes_with,
        reasons=reasons,
        because=because,
    )


def _widely(entry: _Gathered) -> str:
    """Say why what no single place requires is required."""
    return f"imported outright by {len(entry.firm)} modules of the package" if len(entry.firm) >= _WIDELY else ""


def _order(reason: Reason) -> tuple[int, str, int, int, str]:
    return reason.tier, reason.place.file, reason.place.cell or 0, reason.place.line, reason.imported


def refuse_unresolved(unresolved: Sequence[Unresolved], choice: Choice = DEFAULT) -> None:
    """Raise one AnalysisError that lists every needed import without a name; optional ones may stay nameless."""
    needed = [one for one in unresolved if choice.needs(one.name, one.tier)]
    if not needed:
        return
    listed = ", ".join(f"{one.name} ({one.places[0]})" for one in needed)
    what = "1 import" if len(needed) == 1 else f"{len(needed)} imports"
    advice = [one.advice for one in needed if one.advice]
    options = " ".join(f"--pkg-mapping {one.name}=NAME" for one in needed if not one.advice)
    if options:
        advice.append(f"install them in the environment analysed, or name the package of each: {options}")
    raise AnalysisError(
        f"no package is known for {what}: {listed}",
        hint="; ".join(advice),
        context={
            "unresolved": [{"import": one.name, "places": [str(place) for place in one.places]} for one in needed],
        },
    )


def spec_of(findings: Sequence[Finding], environment: Environment, namer: Namer) -> Spec:
    """Return the spec of what is included, always with python and pip, sorted: same findings, same spec."""
    included = [finding for finding in findings if finding.included]
    conda = {finding.requirement for finding in included if finding.manager == "conda"}
    pip = {finding.requirement for finding in included if finding.manager == "pip" and finding.name != "pip"}
    meta = namer.conda
    if meta is None:
        conda |= {f"python={environment.python}", "pip"}
        return Spec(conda=tuple(sorted(conda)), pip=tuple(sorted(pip)))
    for name, otherwise in (("python", f"python={environment.python}"), ("pip", "pip")):
        record = None if environment.is_foreign else meta.get(name)
        conda = {match for match in conda if match.partition("=")[0] != name}
        conda.add(record.match if record else otherwise)
    # What is asked for beside the environment has no other place to come from.
    channels = meta.channels or ("conda-forge",)
    return Spec(channels=channels, conda=tuple(sorted(conda)), pip=tuple(sorted(pip)))
