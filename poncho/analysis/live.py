"""What a live function needs: its code objects, its closure, and the values it reaches, walked without calling
anything.

A value that comes from an installed module is recorded as that module; one from ``__main__`` or from the program's
own files is followed. Bounded in number, so that no object graph is too large.
"""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poncho.analysis.function import imports_of_function
from poncho.analysis.model import Import, Place, Tier
from poncho.analysis.reading import parse

_MOST_VALUES = 20_000
_SCALARS = (str, bytes, int, float, complex, bool, type(None), type(...), range, slice)
_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_IMPORTERS = frozenset({"import_module", "__import__"})


@dataclass(slots=True)
class LiveWalk:
    """What was found: imports with their places, and files of the program's own modules that importing would run."""

    imports: list[tuple[Import, Place]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    own_files: list[Path] = field(default_factory=list)


def walk_callable(function: Callable[..., Any], version: tuple[int, int], is_local: Callable[[Path], bool]) -> LiveWalk:
    """Return what ``function`` needs: a function, method, partial, decorated app, class or instance that can be called.

    ``is_local`` tells the program's own files from installed ones.
    """
    walk = _Walk(version, is_local)
    walk.start(function)
    return walk.result


class _Walk:
    def __init__(self, version: tuple[int, int], is_local: Callable[[Path], bool]) -> None:
        self.result = LiveWalk()
        self._version = version
        self._is_local = is_local
        self._seen: dict[int, object] = {}
        self._todo: list[object] = []
        self._home: str | None = None
        self._imports: set[tuple[str, tuple[str, ...], int, Place]] = set()

    def start(self, function: Callable[..., Any]) -> None:
        for inner in _layers(function):
            home = getattr(inner, "__module__", None)
            if isinstance(inner, (types.FunctionType, type)) and home and self._file(home):
                # Where the function itself was written: only what it uses counts, not all that file does.
                self._home = home
                break
        if self._home and (file := self._file(self._home)) and self._home != "__main__":
            self.result.own_files.append(file)
        self._todo.append(function)
        while self._todo and len(self._seen) < _MOST_VALUES:
            value = self._todo.pop()
            if isinstance(value, _SCALARS) or id(value) in self._seen:
                continue
            self._seen[id(value)] = value
            self._visit(value)

    def _visit(self, value: object) -> None:
        if isinstance(value, types.ModuleType):
            self._module(value.__name__)
        elif isinstance(value, types.FunctionType):
            if self._mine(value.__module__):
                self._function(value)
            else:
                self._module(value.__module__)
        elif isinstance(value, (types.MethodType, functools.partial, staticmethod, classmethod, property)):
            self._todo.extend(_layers(value)[1:])
            if isinstance(value, functools.partial):
                self._todo.extend((*value.args, *value.keywords.values()))
            if isinstance(value, types.MethodType):
                self._todo.append(value.__self__)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, (list, tuple, set, frozenset)):
            self._todo.extend(list(value)[:1000])
        elif isinstance(value, dict):
            self._todo.extend(list(value.values())[:1000])
        elif isinstance(value, types.CellType):
            try:
                self._todo.append(value.cell_contents)
            except ValueError:
                return
        else:
            # An instance: unpickling it needs its class, and what it holds travels with it.
            self._todo.append(type(value))
            attributes = vars(value) if hasattr(value, "__dict__") else {}
            if self._mine(type(value).__module__) or callable(value):
                self._todo.extend(list(attributes.values())[:1000])
            self._todo.extend(_layers(value)[1:])

    def _class(self, cls: type) -> None:
        if not self._mine(cls.__module__):
            self._module(cls.__module__)
            return
        self._todo.extend(cls.__mro__[1:])
        self._todo.extend(value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__"))
        if type(cls) is not type:
            self._todo.append(type(cls))

    def _function(self, function: types.FunctionType) -> None:
        self._todo.extend(function.__defaults__ or ())
        self._todo.extend((function.__kwdefaults__ or {}).values())
        self._todo.extend(function.__closure__ or ())
        self._todo.extend(_layers(function)[1:])
        if not self._by_source(function):
            for code in _codes(function.__code__):
                self._by_code(code)
        for code in _codes(function.__code__):
            self._values(code, function)

    def _by_source(self, function: types.FunctionType) -> bool:
        """Take a function's own imports from its source, which shows ``try`` and ``if``; tell whether it could."""
        try:
            lines, first = inspect.getsourcelines(function.__code__)
        except (OSError, TypeError, IndentationError, SyntaxError, ValueError):
            return False
        tree, _ = parse(textwrap.dedent("".join(lines)))
        if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], (ast.FunctionDef, ast.AsyncFunctionDef)):
            return False
        for one in imports_of_function(tree, tree.body[0].name, self._version) or ():
            self._add(
                replace(one, level=0) if not one.level else one, function.__code__.co_filename, first + one.line - 1
            )
        return True

    def _by_code(self, code: types.CodeType) -> None:
        constants: list[Any] = []
        dynamic = False
        line = code.co_firstlineno
        for step in dis.get_instructions(code):
            starts = step.starts_line
            if isinstance(starts, int) and not isinstance(starts, bool):
                line = starts
            if step.opname.startswith("LOAD_CONST") or step.opname == "LOAD_SMALL_INT":
                constants.append(step.argval)
                if dynamic and isinstance(step.argval, str):
                    self._dynamic(step.argval, code, line)
                    dynamic = False
            elif step.opname == "IMPORT_NAME":
                names = constants[-1] if constants and isinstance(constants[-1], tuple) else ()
                level = constants[-2] if len(constants) > 1 and isinstance(constants[-2], int) else 0
                one = Import(
                    str(step.argval), tuple(map(str, names)), level, Tier.REQUIRED, line, "in the function itself"
                )
                self._add(one, code.co_filename, line)
            elif step.argval in _IMPORTERS:
                dynamic = True

    def _dynamic(self, name: str, code: types.CodeType, line: int) -> None:
        if all(part.isidentifier() for part in name.split(".")):
            self._add(Import(name, (), 0, Tier.CONDITIONAL, line, "by import_module"), code.co_filename, line)

    def _values(self, code: types.CodeType, function: types.FunctionType) -> None:
        """Follow the global names that code reads, through ``a.b.c`` as long as these are loaded modules."""
        current: object = None
        for step in dis.get_instructions(code):
            if step.opname in _LOADS and step.argval in function.__globals__:
                current = function.__globals__[step.argval]
                self._todo.append(current)
            elif step.opname in _ATTRIBUTES and isinstance(current, types.ModuleType):
                inner = vars(current).get(str(step.argval))
                if isinstance(inner, types.ModuleType) or (self._local_module(current) and inner is not None):
                    self._todo.append(inner)
                current = inner
            elif step.opname not in ("PUSH_NULL", "PRECALL", "CACHE", "NOP", "RESUME"):
                current = None

    def _module(self, name: str | None) -> None:
        if not name or name in ("__main__", "builtins") or name == self._home:
            return
        if file := self._file(name):
            self.result.files.append(file)
        else:
            self._add(Import(name, (), 0, Tier.REQUIRED, 1, "a value the function uses"), f"<{name}>", 1)

    def _add(self, one: Import, file: str, line: int) -> None:
        place = Place(file, line)
        key = (one.module, one.names, one.level, place)
        if key not in self._imports:
            self._imports.add(key)
            self.result.imports.append((one, place))

    def _mine(self, module: str | None) -> bool:
        """Tell whether a value's module travels by value: the main program, or the file of the function itself."""
        return module in (None, "__main__", "__mp_main__", self._home)

    def _local_module(self, module: types.ModuleType) -> bool:
        return module.__name__ == "__main__" or self._file(module.__name__) is not None

    def _file(self, module: str) -> Path | None:
        """Return the file of a loaded module if it is one of the program's own."""
        import sys

        file = getattr(sys.modules.get(module), "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and self._is_local(Path(file)):
            return Path(file)
        return None


def _layers(value: object) -> list[object]:
    """Return a callable and what it wraps, layer by layer: partial, method, ``__wrapped__``, an app's ``func``."""
    layers = [value]
    while len(layers) < 50:
        here = layers[-1]
        inner: object = None
        for name in ("__func__", "__wrapped__", "func", "fget"):
            # Looked up without running any descriptor or __getattr__ of the program's own.
            found = inspect.getattr_static(here, name, None)
            if isinstance(found, (types.MemberDescriptorType, types.GetSetDescriptorType)):
                found = getattr(here, name, None)
            if found is not None and (callable(found) or isinstance(found, (staticmethod, classmethod))):
                inner = found
                break
        if inner is None or any(inner is one for one in layers):
            break
        layers.append(inner)
    return layers


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    todo = [code]
    while todo:
        here = todo.pop()
        yield here
        todo.extend(constant for constant in here.co_consts if isinstance(constant, types.CodeType))
