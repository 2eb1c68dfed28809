"""Which loaded modules are the program's own: they are in no environment, so they must travel with what uses them."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any

from poncho.errors import BuildError
from poncho.install import editable_distributions

_INSTALLED = ("site-packages", "dist-packages")


def own_modules(modules: Iterable[ModuleType] | None = None) -> list[ModuleType]:
    """Return those of ``modules`` (default: all that are loaded) that are the program's own files.

    Not among them: the standard library, what is installed, also editable (that is packed as it would be installed),
    and ``__main__``, which is always pickled by value.
    """
    outside = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    editable = [
        (item.source.resolve(), _top_level(item.name))
        for item in editable_distributions(Path(sys.prefix))
        if item.source
    ]
    found = []
    for module in list(sys.modules.values() if modules is None else modules):
        file = getattr(module, "__file__", None)
        if not isinstance(module, ModuleType) or not isinstance(file, str) or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        top = module.__name__.partition(".")[0]
        installed = any(part in _INSTALLED for part in path.parts) or any(
            path.is_relative_to(source) and (not names or top in names) for source, names in editable
        )
        if module.__name__ != "__main__" and not installed and not any(path.is_relative_to(top) for top in outside):
            found.append(module)
    return found


def _top_level(name: str) -> frozenset[str]:
    """Return the modules that a distribution says it provides: what else lies in its directory is not installed."""
    try:
        return frozenset((distribution(name).read_text("top_level.txt") or "").split())
    except PackageNotFoundError:
        return frozenset()


def pickled(value: Any, name: str) -> bytes:
    """Return ``value`` pickled so that a node without the program's own files can load it. Raises BuildError."""
    import cloudpickle

    try:
        with _by_value(own_modules()):
            return bytes(cloudpickle.dumps(value))
    except Exception:
        # A module of the program may hold what cannot be pickled; then the node must have that module.
        try:
            return bytes(cloudpickle.dumps(value))
        except Exception as error:
            raise BuildError(
                f"{name} cannot be pickled: {type(error).__name__}: {error}",
                hint="open files, connections and locks inside the function, not around it",
            ) from error


@contextmanager
def _by_value(modules: Iterable[ModuleType]) -> Iterator[None]:
    import cloudpickle

    before = set(cloudpickle.list_registry_pickle_by_value())
    added = [module for module in modules if sys.modules.get(module.__name__) is module]
    added = [module for module in added if module.__name__ not in before]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)
