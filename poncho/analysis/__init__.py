"""Source → spec: find a program's imports, tier them, name the packages. Static: user code is never imported or run.

Which environment names and versions come from is told in ``find_environment``; how sure an import is in ``Tier``; how
it gets its name in ``poncho.analysis.naming``; what form the result has in ``Analysis.document``.

Distributions that are installed from a directory on this machine (editable or not) enter the spec as ``name @
file:///directory#content=digest``: whoever builds the package needs no knowledge of the environment that was
analysed, and a caller that keeps packages by the hash of their spec builds a new one when the code has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poncho.analysis.environment import find_environment
    from poncho.analysis.model import Analysis, Finding, Place, Problem, Tier, Unresolved
    from poncho.analysis.program import analyze
    from poncho.analysis.sources import SourceText

_HOMES = {
    "Analysis": "model",
    "Finding": "model",
    "Place": "model",
    "Problem": "model",
    "SourceText": "sources",
    "Tier": "model",
    "Unresolved": "model",
    "analyze": "program",
    "find_environment": "environment",
}

__all__ = [
    "Analysis",
    "Finding",
    "Place",
    "Problem",
    "SourceText",
    "Tier",
    "Unresolved",
    "analyze",
    "find_environment",
]


def __getattr__(name: str) -> Any:
    # Lazy: a build asks only for the environment.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'poncho.analysis' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"poncho.analysis.{home}"), name)
