"""What a live function needs: its code objects, its closure, and the values it reaches, walked without calling
anything.

A value that comes from an installed module is recorded as that module; one from ``__main__`` or from the program's
own files is followed. Bounded in number, so that no object graph is too large.
"""

from __future__ import annotations

import functools
import sys
import types
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from poncho.analysis.live_code import imports_of_code, values_of_code
from poncho.analysis.live_state import attributes, is_a, items, layers, namespace, static
from poncho.analysis.model import Import, Place, Tier

_MOST_VALUES = 20_000
# State of instances of installed classes: theirs to know, so a look is enough.
_MOST_FOREIGN = 2_000
_SCALARS = frozenset({str, bytes, int, float, complex, bool, type(None), type(...), range, slice, types.CodeType})
_MAIN = (None, "__main__", "__mp_main__")
_BUILT_IN = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)


@dataclass(slots=True)
class LiveWalk:
    """What was found: imports with their places, and files of the program's own modules.

    Importing ``files`` runs all of each; of ``own_files``, where the function itself was written, only what it uses
    counts.
    """

    imports: list[tuple[Import, Place]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    own_files: list[Path] = field(default_factory=list)


def walk_callable(function: object, version: tuple[int, int], is_local: Callable[[str, Path], bool]) -> LiveWalk:
    """Return what ``function`` needs: a function, method, partial, decorated app, class, instance that can be called, or
    a Dask collection.

    ``is_local`` tells the program's own modules (name, file) from installed ones.
    """
    walk = _Walk(version, is_local)
    walk.run(function)
    return walk.result


class _Walk:
    def __init__(self, version: tuple[int, int], is_local: Callable[[str, Path], bool]) -> None:
        self.result = LiveWalk()
        self._version = version
        self._is_local = is_local
        self._seen: dict[int, object] = {}
        self._todo: list[tuple[object, Place]] = []
        # Big data comes last, so that the bound on values never cuts off code.
        self._later: deque[tuple[object, Place]] = deque()
        self._place = Place("<function>", 1)
        self._home: str | None = None
        self._foreign = 0
        self._imports: set[tuple[str, tuple[str, ...], int, Place]] = set()

    def run(self, value: object) -> None:
        self._todo.append((value, self._place))
        while (self._todo or self._later) and len(self._seen) < _MOST_VALUES:
            value, self._place = self._todo.pop() if self._todo else self._later.popleft()
            if type(value) not in _SCALARS and id(value) not in self._seen:
                self._seen[id(value)] = value
                self._visit(value)

    def _push(self, *values: object) -> None:
        self._todo.extend((value, self._place) for value in values)

    def _visit(self, value: object) -> None:
        if is_a(value, types.ModuleType):
            self._module(str(namespace(value).get("__name__", "")))
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif is_a(value, types.MethodType, staticmethod, classmethod):
            self._push(static(value, "__self__"), *layers(value)[1:])
        elif isinstance(value, functools.partial):
            self._push(*value.args, *value.keywords.values(), value.func)
        elif isinstance(value, property):
            self._push(value.fget, value.fset, value.fdel)
        elif is_a(value, types.GenericAlias, types.UnionType):
            self._push(static(value, "__origin__"), *value.__args__)  # type: ignore[attr-defined]
        elif is_a(value, type):
            self._class(value)  # type: ignore[arg-type]
        elif is_a(value, types.CellType):
            try:
                self._push(value.cell_contents)  # type: ignore[attr-defined]
            except ValueError:
                return
        elif is_a(value, *_BUILT_IN):
            self._loaded(static(value, "__module__"))
            self._push(static(value, "__self__"), static(value, "__objclass__"))
        else:
            self._instance(value)

    def _instance(self, value: object) -> None:
        """Follow an instance: unpickling it needs its class, and what it holds travels with it."""
        cls = type(value)
        if cls.__module__.startswith("_cython_"):
            self._loaded(static(value, "__module__"))
        else:
            self._push(cls)
        self._later.extend((one, self._place) for one in items(value))
        mine = self._mine(cls.__module__)
        if not mine and cls.__module__ not in ("builtins", "collections"):
            self._foreign += 1
        if mine or self._foreign < _MOST_FOREIGN:
            self._push(*attributes(value))
        self._push(*layers(value)[1:])

    def _class(self, cls: type) -> None:
        self._settle(cls.__module__)
        if not self._mine(cls.__module__):
            self._loaded(cls.__module__)
            return
        self._push(*cls.__mro__[1:], type(cls))
        inside = type.__dict__["__dict__"].__get__(cls)
        for name, value in inside.items():
            if name not in ("__dict__", "__weakref__"):
                self._push(value)
                self._push(*(items(value) if name == "__annotations__" else ()))

    def _function(self, function: types.FunctionType) -> None:
        # ``functools.wraps`` gives a wrapper another ``__module__``; its globals tell where its code comes from.
        module = function.__globals__.get("__name__")
        self._settle(module)
        self._settle(function.__module__)
        if not self._mine(module):
            self._loaded(module)
            if self._mine(function.__module__) or not _by_name(function):
                # A decorator's inner function: it is pickled by value, with what it wraps.
                self._push(*(function.__closure__ or ()), *function.__dict__.values(), *(function.__defaults__ or ()))
            return
        code = function.__code__
        self._place = Place(code.co_filename, code.co_firstlineno)
        for one in imports_of_code(function, self._version):
            self._add(one, Place(code.co_filename, one.line))
        self._push(*values_of_code(function))
        self._push(*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        self._push(*function.__dict__.values())
        if annotate := getattr(function, "__annotate__", None):
            # Python 3.14 makes annotations when they are asked for, by code that need not be run to be read.
            self._push(annotate)
        else:
            self._push(*function.__annotations__.values())
        self._push(*(function.__closure__ or ()))

    def _settle(self, module: object) -> None:
        """Take the first local module met as home: where the function was written only what it uses counts."""
        if self._home is None and isinstance(module, str) and (module in _MAIN or self._file(module)):
            self._home = module
            if module not in _MAIN and (file := self._file(module)):
                self.result.own_files.append(file)

    def _loaded(self, name: object) -> None:
        """Record the module that a class or function says it is from; names that are no module's say nothing."""
        if isinstance(name, str) and name.partition(".")[0] in sys.modules:
            self._module(name)

    def _module(self, name: str) -> None:
        if not name or name in _MAIN or name in ("builtins", self._home):
            return
        if file := self._file(name):
            # Importing a module runs the packages that it lies in.
            parents = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
            self.result.files += [file, *(above for one in parents if (above := self._file(one)))]
        else:
            one = Import(name, (), 0, Tier.REQUIRED, self._place.line, "a value the function uses")
            self._add(one, self._place)

    def _add(self, one: Import, place: Place) -> None:
        key = (one.module, one.names, one.level, place)
        if key not in self._imports:
            self._imports.add(key)
            self.result.imports.append((one, place))

    def _mine(self, module: object) -> bool:
        """Tell whether a value's module travels by value: the main program, the file of the function itself, or none"""
        return module in _MAIN or module == self._home or not isinstance(module, str) or module not in sys.modules

    def _file(self, module: str) -> Path | None:
        """Return the file of a loaded module if it is one of the program's own."""
        loaded = sys.modules.get(module)
        file = namespace(loaded).get("__file__") if loaded is not None else None
        if isinstance(file, str) and file.endswith(".py") and self._is_local(module, Path(file)):
            return Path(file)
        return None


def _by_name(function: types.FunctionType) -> bool:
    """Tell whether a function is what its module holds under its name, so that pickling only names it."""
    found: object = sys.modules.get(function.__module__ or "")
    for part in function.__qualname__.split("."):
        found = namespace(found).get(part) if is_a(found, types.ModuleType) else static(found, part)
        if found is None:
            return False
    return any(one is function for one in layers(found))
