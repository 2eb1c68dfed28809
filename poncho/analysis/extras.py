"""Modules that a distribution's extra is for: ``import bleach.css_sanitizer`` needs ``bleach[css]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from poncho.analysis.editable import canonical
from poncho.analysis.known import extra_row
from poncho.analysis.model import IN_BRANCH, IN_FUNCTION, Need, Tier
from poncho.analysis.naming import Named, Namer

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*([^@]*)")


@dataclass(frozen=True, slots=True)
class Extra:
    """A module that cannot be imported without an extra of its distribution, and the packages that it needs of that.

    An empty ``extra``: it brings much more than these, so they are asked for by their names.
    """

    module: str
    distribution: str
    extra: str
    packages: tuple[str, ...]

    @property
    def evidence(self) -> str:
        """Return in words why it is asked for."""
        packages = ", ".join(self.packages)
        return f"{self.module} needs " + (f"{self.distribution}[{self.extra}]: {packages}" if self.extra else packages)


@lru_cache(maxsize=1 << 14)
def extra_of(dotted: str) -> Extra | None:
    """Return what the table says about the longest part of an import."""
    parts = dotted.split(".")
    for length in range(len(parts), 1, -1):
        module = ".".join(parts[:length])
        if row := extra_row(module):
            distribution, extra, packages = row.split("\t")
            return Extra(module, distribution, "" if extra == "-" else extra, tuple(packages.split(",")))
    return None


def extras_needed(needs: Sequence[tuple[Need, Named]], namer: Namer) -> list[tuple[Need, Named, Extra]]:
    """Return the needs of modules that an extra is for, with it.

    Only tried (``except ImportError``), such a module counts where something else of the same distribution is tried too: the
    program wants what both offer, from whichever version is there. Where the distribution is installed, what the extra
    brings must be, too: without it the program does well there.
    """
    found = []
    for need, named in needs:
        extra = extra_of(need.name)
        if extra is None or named.requirement == "" or named.local or not _is_of(named, extra):
            continue
        if need.tier > Tier.CONDITIONAL and not _has_another(need, named, needs):
            continue
        if named.installed and not all(namer.is_installed(package) for package in extra.packages):
            continue
        found.append((need, named, extra))
    return found


def with_extras(requirement: str, extras: Iterable[str]) -> str:
    """Return a PEP 508 requirement that asks for extras, too; as it is where it names a place (``name @ url``)."""
    found = _REQUIREMENT.fullmatch(requirement)
    wanted = sorted({*extras, *(one.strip() for one in (found[2] or "").split(",") if one.strip())} if found else ())
    return f"{found[1]}[{','.join(wanted)}]{found[3]}" if found and wanted else requirement


def _is_of(named: Named, extra: Extra) -> bool:
    from poncho.analysis.known import conda_name

    names = {extra.distribution} if named.manager == "pip" else {extra.distribution, conda_name(extra.distribution)}
    return canonical(named.name) in names or named.name in names


def _has_another(need: Need, named: Named, needs: Sequence[tuple[Need, Named]]) -> bool:
    if need.tier is not Tier.OPTIONAL or need.attempt is None or need.why.startswith((IN_FUNCTION, IN_BRANCH)):
        return False
    module = need.name.rpartition(".")[0]
    return any(
        other.tier is Tier.OPTIONAL
        and other.attempt not in (None, need.attempt)
        and other.place.file == need.place.file
        and one.name == named.name
        and not other.name.startswith(module)
        for other, one in needs
    )
