"""Put an application's whole software world into one file and run it on any machine.

``analyze`` finds what a program needs, ``resolve`` says exactly what that is (the lock), ``create`` makes the package,
``open_package`` looks into one. Each name is loaded when it is first used, so importing PONCHO is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poncho._version import __version__

if TYPE_CHECKING:
    from poncho.analysis import Analysis, analyze
    from poncho.builder import CreateOptions, create, resolve, write_lock
    from poncho.errors import PonchoError
    from poncho.lock.model import Lock
    from poncho.package import Package, open_package
    from poncho.spec import Spec

_HOMES = {
    "Analysis": "poncho.analysis",
    "CreateOptions": "poncho.builder",
    "Lock": "poncho.lock.model",
    "Package": "poncho.package",
    "PonchoError": "poncho.errors",
    "Spec": "poncho.spec",
    "analyze": "poncho.analysis",
    "create": "poncho.builder",
    "open_package": "poncho.package",
    "resolve": "poncho.builder",
    "write_lock": "poncho.builder",
}

__all__ = [
    "Analysis",
    "CreateOptions",
    "Lock",
    "Package",
    "PonchoError",
    "Spec",
    "__version__",
    "analyze",
    "create",
    "open_package",
    "resolve",
    "write_lock",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'poncho' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
