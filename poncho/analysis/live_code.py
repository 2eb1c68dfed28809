"""What the code of a live function imports and which values it reads: from its source where there is one, else from
its bytecode."""

from __future__ import annotations

import ast
import dis
import inspect
import sys
import textwrap
import types
from collections.abc import Iterator

from poncho.analysis.function import imports_of_function
from poncho.analysis.live_state import is_a, namespace
from poncho.analysis.model import Import, Tier
from poncho.analysis.reading import parse

_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_CELLS = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_NEUTRAL = frozenset({"PUSH_NULL", "PRECALL", "CACHE", "NOP", "RESUME", "EXTENDED_ARG"})
_IMPORTERS = frozenset({"import_module", "__import__"})
_CATCHES = frozenset({"ImportError", "ModuleNotFoundError"})


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a code object and all that are nested in it."""
    todo = [code]
    while todo:
        here = todo.pop()
        yield here
        todo.extend(constant for constant in here.co_consts if isinstance(constant, types.CodeType))


def imports_of_code(function: types.FunctionType, version: tuple[int, int]) -> list[Import]:
    """Return what a function's code imports, with the line in its file."""
    compiled = [one for code in codes(function.__code__) for one in _from_bytecode(code)]
    written = _from_source(function, version)
    # A file that was edited since, or a cell that was run again under the same name, shows other code than what runs.
    if written is None or not {one.module for one in compiled} <= {one.module for one in written}:
        return compiled
    return written


def _from_source(function: types.FunctionType, version: tuple[int, int]) -> list[Import] | None:
    """Return a function's imports from its source, which shows ``try`` and ``if``; None where there is none."""
    try:
        lines, first = inspect.getsourcelines(function.__code__)
    except (OSError, TypeError, IndentationError, SyntaxError, ValueError, IndexError):
        return None
    tree, _ = parse(textwrap.dedent("".join(lines)))
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    if tree.body[0].name != function.__code__.co_name:
        return None
    found = imports_of_function(tree, tree.body[0].name, version) or ()
    return [_at(one, first + one.line - 1) for one in found]


def _at(one: Import, line: int) -> Import:
    return one._replace(line=line)


def _from_bytecode(code: types.CodeType) -> Iterator[Import]:
    constants: list[object] = []
    dynamic = False
    line = code.co_firstlineno
    # Which import is guarded cannot be told without the source; in such a function what is not here was not needed.
    guarded = bool(_CATCHES.intersection(code.co_names))
    tier, why = (
        (Tier.OPTIONAL, "in a function that catches ImportError")
        if guarded
        else (Tier.REQUIRED, "in the function itself")
    )
    for step in dis.get_instructions(code):
        starts = getattr(step, "line_number", None) or step.starts_line
        if isinstance(starts, int) and not isinstance(starts, bool):
            line = starts
        if step.opname.startswith("LOAD_CONST") or step.opname == "LOAD_SMALL_INT":
            constants.append(step.argval)
            if dynamic and isinstance(step.argval, str):
                dynamic = False
                if all(part.isidentifier() for part in step.argval.split(".")):
                    kind = Tier.OPTIONAL if guarded else Tier.CONDITIONAL
                    yield Import(step.argval, (), 0, kind, line, "by import_module")
        elif step.opname == "IMPORT_NAME":
            names = constants[-1] if constants and isinstance(constants[-1], tuple) else ()
            level = constants[-2] if len(constants) > 1 and isinstance(constants[-2], int) else 0
            yield Import(str(step.argval), tuple(map(str, names)), level, tier, line, why)
        elif step.argval in _IMPORTERS:
            dynamic = True


def values_of_code(function: types.FunctionType) -> Iterator[object]:
    """Yield the values that a function's code reads: globals, and through ``a.b.c`` what are loaded modules."""
    cells: dict[str, types.CellType] = dict(
        zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    )
    for code in codes(function.__code__):
        current: object = None
        for step in dis.get_instructions(code):
            if step.opname in _GLOBALS:
                current = function.__globals__.get(step.argval)
                yield current
            elif step.opname in _CELLS:
                current = _content(cells.get(str(step.argval)))
            elif step.opname in _ATTRIBUTES and is_a(current, types.ModuleType):
                current = _member(current, str(step.argval))
                yield current
            elif step.opname not in _NEUTRAL:
                current = None


def _content(cell: types.CellType | None) -> object:
    try:
        return cell.cell_contents if cell is not None else None
    except ValueError:
        return None


def _member(module: object, name: str) -> object:
    """Return what a module holds under ``name``: a value, or a loaded submodule that a lazy package hides."""
    inside = namespace(module)
    return inside[name] if name in inside else sys.modules.get(f"{inside.get('__name__')}.{name}")
