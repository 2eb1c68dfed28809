"""What a package index settles: whether a project really provides an import, and which version is the newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from poncho.analysis import known
from poncho.analysis.editable import canonical
from poncho.analysis.index import Index, Release
from poncho.analysis.model import Finding

# How many parts of a dotted import a project's name is looked for with.
_DEEPEST = 4


class Online:
    """Questions to the index about projects, for one target Python."""

    def __init__(self, index: Index, python: str) -> None:
        self._index = index
        self._python = python
        self._newest = lru_cache(maxsize=None)(self._ask)

    def settle(self, dotted: str, found: known.Answer | None) -> known.Answer | None:
        """Return the project whose own wheel provides the import, else what the tables say.

        The candidates are the project of the import's own name and those that the tables name.
        Raises AnalysisError when the index cannot be asked.
        """
        parts = dotted.split(".")
        if known.is_own_name(parts[0]) and found is None and len(parts) == 1:
            return None
        names = [canonical(parts[0])] if not known.is_own_name(parts[0]) else []
        if found is not None:
            names += [*((found.pypi,) if found.pypi else ()), *found.rivals]
        # What lies in a namespace is a project of its own, named after the whole path.
        names += [canonical("-".join(parts[:length])) for length in range(min(_DEEPEST, len(parts)), 1, -1)]
        for name in dict.fromkeys(names):
            release = self._newest(name)
            modules = self._index.modules(release) if release else None
            part = _provided(parts, modules) if modules else None
            if release is not None and part is not None:
                evidence = f"the index: {name} {release.version} provides {part}"
                return known.Answer(part, name, known.conda_name(name), evidence)
        return replace(found, rivals=()) if found is not None and len(names) == 1 else found

    def pin(self, name: str, pin: str) -> tuple[str, str] | None:
        """Return the newest version that the target Python can use, and the specifier for it; None if there is none.

        ``latest`` is exactly that version, ``compatible`` any later one of the same major version (PEP 440's ``~=``).
        """
        release = self._newest(canonical(name))
        if release is None:
            return None
        if pin == "latest":
            return release.version, f"=={release.version}"
        from packaging.version import Version

        version = Version(release.version)
        minor = version.release[1] if len(version.release) > 1 else 0
        epoch = f"{version.epoch}!" if version.epoch else ""
        return release.version, f"~={epoch}{version.major}.{minor}"

    def _ask(self, name: str) -> Release | None:
        return self._index.newest(name, self._python)


def pinned(findings: Sequence[Finding], online: Online, pin: str) -> list[Finding]:
    """Return the findings with versions for those in the spec that are asked for by name alone.

    What conda packages' newest versions are is their channel's to say: those stay as they are, and say so.
    """
    result = []
    for one in findings:
        if one.included and one.manager == "conda" and one.requirement == one.name:
            one = replace(one, version_evidence=f"not pinned ({pin}): the channel's solver chooses the newest")
        elif one.included and one.requirement.partition("[")[0] == one.name and (found := online.pin(one.name, pin)):
            said = f"the newest in the index is {found[0]}"
            one = replace(one, requirement=f"{one.requirement}{found[1]}", version=found[0], version_evidence=said)
        result.append(one)
    return result


def _provided(parts: list[str], modules: frozenset[str]) -> str | None:
    """Return the longest part of an import that is one of a wheel's modules, or a package above one."""
    for length in range(len(parts), 0, -1):
        part = ".".join(parts[:length])
        if part in modules or (length > 1 and any(name.startswith(f"{part}.") for name in modules)):
            return part
    return parts[0] if len(parts) == 1 and any(name.startswith(f"{parts[0]}.") for name in modules) else None
