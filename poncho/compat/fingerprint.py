"""The identity of functions: their code and what it reaches. With another constant it is another function."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import types
from typing import Any

from poncho.compat.own_code import own_modules
from poncho.compat.written import source_of

_PLAIN = (str, int, bool, type(None))
_DEEPEST = 40


def fingerprint(*values: Any) -> str:
    """Return the sha256 (64 hexadecimal digits) of values: functions by what they do, others by their content.

    Functions and classes of the program's own modules count by source, default values, closure and the globals they
    name; those of installed modules by name. It is the same in every process as long as the content is.
    """
    own = {module.__name__ for module in own_modules()} | {"__main__"}
    text = json.dumps([_describe(value, own, (), 0) for value in values], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _describe(value: Any, own: set[str], above: tuple[int, ...], depth: int) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if id(value) in above or depth > _DEEPEST:
        return ["again", type(value).__name__]
    deeper = functools.partial(_describe, own=own, above=(*above, id(value)), depth=depth + 1)
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(deeper, value)]
    if isinstance(value, (set, frozenset)):
        return [type(value).__name__, *sorted((deeper(item) for item in value), key=_sort_key)]
    if isinstance(value, dict):
        return ["dict", *sorted(([deeper(key), deeper(item)] for key, item in value.items()), key=_sort_key)]
    if isinstance(value, types.ModuleType):
        return ["module", value.__name__]
    if isinstance(value, types.MethodType):
        return ["method", deeper(value.__func__), deeper(value.__self__)]
    if isinstance(value, functools.partial):
        return ["partial", deeper(value.func), deeper(value.args), deeper(value.keywords)]
    if isinstance(value, types.FunctionType):
        return ["function", value.__name__, *_function(value, own, deeper)]
    if isinstance(value, type):
        return ["class", value.__qualname__, _source(value) if value.__module__ in own else value.__module__]
    if isinstance(value, types.CodeType):
        return ["code", value.co_code.hex(), *value.co_names, *value.co_varnames, *map(deeper, value.co_consts)]
    return [type(value).__qualname__, _content(value)]


def _function(function: types.FunctionType, own: set[str], deeper: Any) -> list[Any]:
    if function.__module__ not in own and function.__module__ in sys.modules:
        return [function.__module__, function.__qualname__]
    names: set[str] = set()
    todo = [function.__code__]
    while todo:
        code = todo.pop()
        names.update(code.co_names)
        todo.extend(constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    reached = {name: function.__globals__[name] for name in names if name in function.__globals__}
    cells = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:
            cells[name] = None
    parts = (function.__defaults__, function.__kwdefaults__, cells, reached)
    # The source alone may be that of an older or another function of the same name, the code alone says no annotations.
    return [_source(function), deeper(function.__code__), *map(deeper, parts)]


def _source(value: Any) -> str | None:
    try:
        return source_of(value)
    except (OSError, TypeError):
        return None


def _content(value: Any) -> str:
    import cloudpickle

    try:
        return hashlib.sha256(cloudpickle.dumps(value)).hexdigest()
    except Exception:
        return "cannot be pickled"


def _sort_key(item: Any) -> str:
    return json.dumps(item, sort_keys=True)
