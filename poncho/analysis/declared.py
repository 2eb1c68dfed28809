"""Requirements that a script declares in itself (PEP 723)."""

from __future__ import annotations

from dataclasses import dataclass

from poncho.analysis.model import Place, Problem
from poncho.analysis.rare import has
from poncho.analysis.sources import Unit
from poncho.errors import SpecError


@dataclass(frozen=True, slots=True)
class Declared:
    """One declared requirement (PEP 508), where it stands, and in what."""

    requirement: str
    place: Place
    evidence: str = "declared in the script (PEP 723)"


def may_declare(text: str) -> bool:
    """Tell, quickly, whether a text may hold a PEP 723 block."""
    return has(text, "# /// script", "/")


def declared_in(units: list[Unit], python: str) -> tuple[list[Declared], list[Problem]]:
    """Return what the units' PEP 723 blocks ask for, and what is wrong with those blocks."""
    found: list[Declared] = []
    problems: list[Problem] = []
    for unit in units:
        if unit.is_notebook or not may_declare(unit.text):
            continue
        from poncho.spec.foreign import from_script, has_script_block

        if not has_script_block(unit.text):
            continue
        place = Place(unit.label, unit.text[: unit.text.index("# /// script")].count("\n") + 1)
        try:
            spec = from_script(unit.text)
        except SpecError as error:
            meant = f" ({error.hint})" if error.hint else ""
            problems.append(Problem(place, f"its PEP 723 block is left out: {error.message}{meant}"))
            continue
        found += [Declared(requirement, place) for requirement in spec.pip]
        if spec.python and not _allows(spec.python, python):
            problems.append(Problem(place, f"it asks for Python {spec.python}, the environment has {python}"))
    return found, problems


def _allows(wanted: str, python: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(wanted).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True
