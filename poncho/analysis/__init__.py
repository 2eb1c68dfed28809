"""Source → spec: find a program's imports, tier them, name the packages. Static: user code is never imported or run.

Which environment names and versions come from is told in ``find_environment``; how sure an import is in ``Tier``; how
it gets its name in ``poncho.analysis.naming``; what form the result has in ``Analysis.document``.

Distributions that are installed from a directory on this machine (editable or not) enter the spec as ``name @
file:///directory#content=digest``: whoever builds the package needs no knowledge of the environment that was
analysed, and a caller that keeps packages by the hash of their spec builds a new one when the code has changed.
"""

from poncho.analysis.environment import find_environment
from poncho.analysis.model import Analysis, Finding, Place, Problem, Tier, Unresolved
from poncho.analysis.program import analyze
from poncho.analysis.sources import SourceText

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
