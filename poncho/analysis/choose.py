"""What of the findings goes into the spec, and why, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from poncho.analysis.editable import canonical
from poncho.analysis.model import ASIDE, SEEN, Finding, Tier, Unresolved
from poncho.errors import AnalysisError

TIERS = {tier.label: tier for tier in Tier}
DECLARED = "declared"
_SURE = (Tier.REQUIRED, Tier.CONDITIONAL)
_USUALLY = {
    Tier.REQUIRED: "imported whenever the program runs",
    Tier.CONDITIONAL: "imported by a part of the program",
    Tier.OPTIONAL: "the program goes on without it",
    Tier.TYPE_CHECKING: "imported for type checkers only",
    Tier.HINT: "no import names it",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one distribution when it is decided whether the spec names it.

    ``why`` is what the scan says about its surest place; ``idle``: what it replaces is here; ``asked`` says who asks
    for it outright (a PEP 723 block, a person), ``comes_with`` what brings it along.
    """

    name: str
    imports: frozenset[str]
    tier: Tier
    why: str
    installed: bool
    idle: bool = False
    asked: str = ""
    comes_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person wants beyond the default cut: tiers and names to take in and to leave out.

    A name is an import or a distribution, however it is spelt; names count for more than tiers, leaving out for more
    than taking in. ``declared`` takes in all that the project declares for run time.
    """

    more: frozenset[Tier] = frozenset()
    less: frozenset[Tier] = frozenset()
    named: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    declared: bool = False

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str]) -> Choice:
        """Return the choice that words say: tiers by their labels, ``declared``, names. Raises AnalysisError."""
        for word in (*include, *exclude):
            if not word.strip():
                raise AnalysisError(
                    "an empty word is no tier and no name",
                    hint=f"the tiers are {', '.join(TIERS)}; names are imports or packages",
                )
        both = sorted(set(include) & set(exclude))
        if both:
            raise AnalysisError(f"{both[0]} is to be taken in and left out", hint="leave one of the two away")
        if DECLARED in exclude:
            raise AnalysisError("'declared' can be taken in, not left out", hint="name what shall be left out")
        return cls(
            more=frozenset(TIERS[word] for word in include if word in TIERS),
            less=frozenset(TIERS[word] for word in exclude if word in TIERS),
            named=tuple(word for word in include if word not in TIERS and word != DECLARED),
            refused=tuple(word for word in exclude if word not in TIERS),
            declared=DECLARED in include,
        )

    def decide(self, facts: Facts) -> tuple[bool, str]:
        """Return whether the spec names it, and why."""
        said = f"{facts.tier.label}: {_said(facts)}"
        if word := meant(self.refused, facts.name, facts.imports):
            return False, f"left out by --exclude {word}; {said}"
        if facts.asked:
            return True, facts.asked
        if word := meant(self.named, facts.name, facts.imports):
            return True, f"taken in by --include {word}; {said}"
        if facts.tier in self.less:
            return False, f"left out by --exclude {facts.tier.label}; {said}"
        if facts.tier in self.more:
            return True, f"taken in by --include {facts.tier.label}; {said}"
        if facts.tier in _SURE:
            return True, said
        if facts.why == ASIDE:
            return False, said
        if facts.installed and facts.tier in (Tier.OPTIONAL, Tier.HINT) and not (facts.idle or facts.comes_with):
            return True, f"{said}; it is installed in the environment analysed, so the program uses it there"
        if facts.tier is Tier.TYPE_CHECKING:
            return False, said
        return False, said if facts.idle or facts.comes_with else f"{said}; it is not installed"

    def needs(self, name: str, tier: Tier) -> bool:
        """Tell whether an import without a package must have one."""
        if meant(self.refused, name, (name,)):
            return False
        wanted = ({*_SURE} - self.less) | self.more
        return tier in wanted or bool(meant(self.named, name, (name,)))

    def unknown(self, known: Iterable[tuple[str, frozenset[str]]]) -> tuple[str, ...]:
        """Return the words of ``named`` that mean nothing of what was found."""
        found = tuple(known)
        return tuple(word for word in self.named if not any(meant((word,), name, imports) for name, imports in found))


DEFAULT = Choice()


def refuse_unknown(choice: Choice, findings: Iterable[Finding], unresolved: Iterable[Unresolved]) -> None:
    """Raise AnalysisError for a name to be taken in that nothing mentions."""
    known = [(one.name, frozenset(one.imports)) for one in findings]
    known += [(one.name, frozenset({one.name})) for one in unresolved]
    if words := choice.unknown(known):
        raise AnalysisError(
            f"nothing imports {words[0]}, so it cannot be taken in",
            hint=f"--extra-pkg {words[0]} adds a package that no import names",
        )


def meant(words: Iterable[str], name: str, imports: Iterable[str]) -> str | None:
    """Return the first word that means a distribution, by its name or by an import that it provides."""
    for word in words:
        if canonical(word) == canonical(name) or any(
            one == word or one.startswith(f"{word}.") or word.startswith(f"{one}.") for one in imports
        ):
            return word
    return None


def _said(facts: Facts) -> str:
    if facts.comes_with:
        return f"comes along with {' and '.join(facts.comes_with)}"
    if facts.why == SEEN:
        return "imported in the run that was recorded"
    if facts.why in (ASIDE, ""):
        return facts.why or _USUALLY[facts.tier]
    if facts.idle and facts.tier >= Tier.OPTIONAL:
        return f"{facts.why}, and what it stands in for is there"
    return facts.why
