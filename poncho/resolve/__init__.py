"""From a spec to a lock: the conda solve, the pip resolution."""

from poncho.resolve.conda import resolve_conda, wanted_python
from poncho.resolve.pip import resolve_pip

__all__ = ["resolve_conda", "resolve_pip", "wanted_python"]
