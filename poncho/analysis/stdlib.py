"""Names of the standard library's modules, for any version of Python."""

from __future__ import annotations

import sys
from functools import lru_cache

# Not modules anybody installs: the running program, compiler directives, the type checkers' own stubs.
_PSEUDO = frozenset({"__future__", "__main__", "_typeshed", "builtins", "site", "sitecustomize", "usercustomize"})
_NEWEST_LISTED = (3, 14)


@lru_cache(maxsize=8)
def standard_modules(version: tuple[int, int]) -> frozenset[str]:
    """Return the top-level names of the standard library of ``version`` (as ``(3, 11)``), with private ones."""
    if version == sys.version_info[:2]:
        return frozenset(sys.stdlib_module_names) | _PSEUDO
    from stdlib_list import stdlib_list

    listed = min(max(version, (3, 2)), _NEWEST_LISTED)
    names = {name.partition(".")[0] for name in stdlib_list(f"{listed[0]}.{listed[1]}")}
    # The lists leave private modules out; those hardly change from version to version.
    return frozenset(names) | _PSEUDO | {name for name in sys.stdlib_module_names if name.startswith("_")}
