"""Conda engines behind one seam, and the other tools that solve and install."""

from poncho.engine.base import CondaEngine, SolveRequest
from poncho.engine.environments import find_environment, known_environments
from poncho.engine.platforms import native_platform
from poncho.engine.select import select_engine

__all__ = [
    "CondaEngine",
    "SolveRequest",
    "find_environment",
    "known_environments",
    "native_platform",
    "select_engine",
]
