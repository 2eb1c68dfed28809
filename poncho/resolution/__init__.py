"""From a spec to a lock: the conda solve, the pip resolution; and a lock made ready to be built, or moved on."""

from poncho.resolution.conda import resolve_conda, wanted_python
from poncho.resolution.environment import Means, resolve_spec
from poncho.resolution.from_pylock import lock_from_pylock
from poncho.resolution.frozen import check_local, installable
from poncho.resolution.pip import resolve_pip
from poncho.resolution.update import changed_names, update_lock, with_places

__all__ = [
    "Means",
    "changed_names",
    "check_local",
    "installable",
    "lock_from_pylock",
    "resolve_conda",
    "resolve_pip",
    "resolve_spec",
    "update_lock",
    "wanted_python",
    "with_places",
]
