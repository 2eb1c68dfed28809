"""Names in a spec that stand for code on this machine: what is installed editable here, not an index's release."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from poncho.install.distributions import editable_distributions
from poncho.spec import Spec

_CONDA_NAME = re.compile(r"(?:[^\s:]+::)?([A-Za-z0-9][A-Za-z0-9._-]*)")


def with_local_code(spec: Spec, prefix: Path) -> Spec:
    """Return the spec with each name that is installed editable in ``prefix`` replaced by its directory.

    ``topcoffea`` or ``topcoffea>=1`` becomes ``topcoffea @ file:///home/me/topcoffea``, also where it stands among the
    conda packages (a package under development is on no channel). Requirements with a location of their own stay.
    """
    if not spec.pip and not spec.conda:
        return spec
    local = {item.name: item.source for item in editable_distributions(prefix) if item.source is not None}
    if not local:
        return spec
    pip = [_by_location(item, local) or item for item in spec.pip]
    conda = []
    for match in spec.conda:
        name = _CONDA_NAME.match(match)
        source = local.get(canonicalize_name(name[1])) if name and "::" not in match else None
        if name and source is not None:
            pip.append(f"{canonicalize_name(name[1])} @ {source.absolute().as_uri()}")
        else:
            conda.append(match)
    return replace(spec, conda=tuple(conda), pip=tuple(dict.fromkeys(pip)))


def _by_location(text: str, local: dict[str, Path]) -> str | None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    name = canonicalize_name(requirement.name)
    source = local.get(name)
    if source is None or requirement.url:
        return None
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{name}{extras} @ {source.absolute().as_uri()}{marker}"
