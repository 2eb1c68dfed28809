"""What programs written for ``ndcctools.poncho`` call, under the names that they know: see docs/compat.md.

Nothing here prints, exits, changes a spec or the working directory; what goes wrong is a PonchoError.
"""

from __future__ import annotations

import sys
from importlib import import_module

_MODULES = ("package_analyze", "package_create", "package_serverize")


def stand_in() -> None:
    """Let ``ndcctools.poncho`` be this package, in this process and from now on.

    TaskVine, Dask on TaskVine and others import ``ndcctools.poncho.package_create`` and its siblings by name, late;
    call this first and they find PONCHO's. The rest of ``ndcctools`` (TaskVine, Work Queue) stays what it is.
    """
    sys.modules["ndcctools.poncho"] = sys.modules[__name__]
    for name in _MODULES:
        sys.modules[f"ndcctools.poncho.{name}"] = import_module(f"{__name__}.{name}")
