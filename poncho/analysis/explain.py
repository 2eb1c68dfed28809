"""Everything that an analysis knows about one name: an import or a distribution."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poncho.analysis.choose import meant
from poncho.analysis.editable import canonical
from poncho.analysis.environment import find_environment
from poncho.analysis.model import Analysis, Finding, Unresolved
from poncho.analysis.stdlib import standard_modules
from poncho.errors import AnalysisError


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a name is: distributions that were found, imports without a package, or ``said`` for what needs neither."""

    name: str
    findings: tuple[Finding, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    said: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "findings": [one.to_json() for one in self.findings],
            "unresolved": [one.to_json() for one in self.unresolved],
            "said": self.said,
        }


def explain(analysis: Analysis, name: str) -> Explanation:
    """Return what ``name`` is. Raises AnalysisError for a name that nothing mentions, with those that are near."""
    findings = tuple(one for one in analysis.findings if canonical(one.name) == canonical(name))
    if not findings:
        imports = {one: {*one.imports, *(reason.imported for reason in one.reasons)} for one in analysis.findings}
        findings = tuple(one for one in analysis.findings if meant((name,), one.name, imports[one]))
    unresolved = tuple(one for one in analysis.unresolved if meant((name,), one.name, (one.name,)))
    if findings or unresolved:
        return Explanation(name, findings, unresolved)
    top = name.partition(".")[0]
    own = [path for path in analysis.local_modules if _is_module(path, top)]
    if own:
        return Explanation(
            name, said=f"the program's own code ({own[0]}): not in the spec, it travels with the program"
        )
    version = find_environment(analysis.environment).version
    if top in standard_modules(version):
        python = ".".join(map(str, version))
        return Explanation(name, said=f"a module of Python {python}'s standard library: there is nothing to install")
    known = {one.name for one in analysis.findings} | {one.name for one in analysis.unresolved}
    known |= {imported for one in analysis.findings for imported in one.imports}
    near = difflib.get_close_matches(name, sorted(known), n=3)
    raise AnalysisError(
        f"nothing imports {name}",
        hint=f"did you mean {' or '.join(near)}?"
        if near
        else f"there are: {', '.join(sorted(known)) or 'no imports of packages'}",
    )


def _is_module(path: Path, top: str) -> bool:
    return path.stem == top or top in path.parts[:-1]
