"""Source → spec: find a program's imports, tier them, name the packages. Static: user code is never imported or run.

Which environment names and versions come from is told in ``find_environment``; how sure an import is in ``Tier``; how
it gets its name in ``poncho.analyze.naming``; what form the result has in ``Analysis.document``.

Distributions that are installed from a directory on this machine (editable or not) enter the spec as ``name @
file:///directory#content=digest``: whoever builds the package needs no knowledge of the environment that was
analysed, and a caller that keeps packages by the hash of their spec builds a new one when the code has changed.
"""

import sys
from types import ModuleType
from typing import Any

from poncho.analyze.environment import find_environment
from poncho.analyze.model import Analysis, Finding, Place, Problem, Tier, Unresolved
from poncho.analyze.program import analyze
from poncho.analyze.sources import SourceText

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


class _Callable(ModuleType):
    """This package, callable: importing it hides the function ``poncho.analyze``, so it must act as that function."""

    def __call__(self, *args: Any, **options: Any) -> Analysis:
        return analyze(*args, **options)


sys.modules[__name__].__class__ = _Callable
