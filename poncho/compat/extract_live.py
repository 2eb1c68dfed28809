"""Write a live function as source that stands alone, where its file does not: cells of a notebook, functions made in
functions.

What it uses of its notebook or of the functions around it is written too: modules as imports, functions and classes as
their source or as an import, plain values as literals.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import sys
import textwrap
import types
from collections.abc import Callable
from typing import Any

from poncho.analysis.live_code import values_of_code
from poncho.analysis.used import used_names
from poncho.compat.written import source_of
from poncho.errors import AnalysisError


class LiveSource:
    """Collects the source of several functions; what they share is written once."""

    def __init__(self) -> None:
        self._imports: list[str] = []
        self._blocks: list[str] = []
        self._known: dict[str, object] = {}

    @property
    def code(self) -> str:
        """Return everything added so far: imports first, each definition after what it uses."""
        head = "\n".join(dict.fromkeys(self._imports))
        return "\n\n".join(part for part in (head, *self._blocks) if part) + "\n"

    def add(self, function: Callable[..., Any]) -> None:
        """Add a function. Raises AnalysisError for one without source, or that uses what cannot be written."""
        self._define(str(getattr(function, "__name__", "")), function, [])

    def _bind(self, name: str, value: object, above: list[str]) -> None:
        if name in self._known and self._known[name] is value:
            return
        if isinstance(value, types.ModuleType):
            self._know(name, value, above)
            last = value.__name__ == name
            self._imports.append(f"import {value.__name__}" if last else f"import {value.__name__} as {name}")
        elif isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type)):
            if _by_name(value):
                self._know(name, value, above)
                alias = "" if value.__name__ == name else f" as {name}"
                self._imports.append(f"from {value.__module__} import {value.__name__}{alias}")
            else:
                self._define(name, value, above)
        else:
            if (text := _literal(value)) is None:
                raise AnalysisError(
                    f"{' → '.join(above)} uses {name}, a {type(value).__name__}, which cannot be written as source",
                    hint="make it inside the function, or use generate_library, which pickles functions instead",
                )
            self._know(name, value, above)
            self._blocks.append(f"{name} = {text}")

    def _know(self, name: str, value: object, above: list[str]) -> None:
        other = self._known.setdefault(name, value)
        if other is not value and _literal(other) != (_literal(value) or other):
            raise AnalysisError(
                f"{' → '.join(above) or name} means something else by {name} than another function of the library",
                hint="rename one of the two, or use generate_library, which pickles functions instead",
            )

    def _define(self, name: str, value: Any, above: list[str]) -> None:
        self._know(name, value, above)
        inner = inspect.unwrap(value) if not isinstance(value, type) else value
        statement, text = _statement(name, inner)
        here = [*above, name]
        functions = [inner] if isinstance(inner, types.FunctionType) else _methods(inner)
        known: dict[str, object] = {}
        for function in functions:
            known.update(_surroundings(function))
        for used in sorted(used_names(statement)):
            if used in known and used != statement_name(statement):
                self._bind(used, known[used], here)
        for function in functions:
            for one in values_of_code(function):
                # ``import a.b`` binds ``a`` alone: what is used below it has to be imported as well.
                if isinstance(one, types.ModuleType) and "." in one.__name__ and sys.modules.get(one.__name__) is one:
                    self._imports.append(f"import {one.__name__}")
        self._blocks.append(text)
        if statement_name(statement) not in ("", name):
            self._blocks.append(f"{name} = {statement_name(statement)}")


def statement_name(statement: ast.stmt) -> str:
    """Return the name that a definition binds, the empty string for an assignment."""
    return str(getattr(statement, "name", ""))


def _statement(name: str, value: Any) -> tuple[ast.stmt, str]:
    try:
        text = textwrap.dedent(_class_source(value)) if isinstance(value, type) else source_of(value)
        body = ast.parse(text).body
    except (OSError, TypeError, SyntaxError) as error:
        raise AnalysisError(
            f"the source of function {name} cannot be found",
            hint="put it into a file, or use generate_library, which pickles functions instead",
        ) from error
    if len(body) != 1 or not isinstance(
        body[0], (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    ):
        raise AnalysisError(f"{name} is made within another statement", hint="define it with def")
    return body[0], text.rstrip()


def _class_source(cls: type) -> str:
    """Return a class's source, found by its methods: a notebook's classes have no file that ``inspect`` would read."""
    for method in _methods(cls):
        code = method.__code__
        lines = linecache.getlines(code.co_filename)
        for node in ast.walk(ast.parse("".join(lines))):
            last = node.end_lineno if isinstance(node, ast.ClassDef) else None
            if isinstance(node, ast.ClassDef) and node.name == cls.__name__ and last is not None:
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                if first <= code.co_firstlineno <= last:
                    return "".join(lines[first - 1 : last])
    return inspect.getsource(cls)


def _methods(cls: type) -> list[types.FunctionType]:
    found = [inspect.unwrap(getattr(one, "__func__", one)) for one in vars(cls).values() if callable(one)]
    return [one for one in found if isinstance(one, types.FunctionType)]


def _surroundings(function: types.FunctionType) -> dict[str, object]:
    """Return the names that a function can see outside of itself, with their values now."""
    names = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:
            names.pop(name, None)
    return names


def _by_name(value: Any) -> bool:
    module = sys.modules.get(value.__module__ or "")
    if value.__module__ in (None, "__main__", "__mp_main__") or module is None:
        return False
    return getattr(module, value.__name__, None) is value or module is builtins


def _literal(value: object) -> str | None:
    """Return plain data as source, None for anything else."""
    try:
        text = repr(value)
        return text if ast.literal_eval(text) == value else None
    except Exception:
        return None
