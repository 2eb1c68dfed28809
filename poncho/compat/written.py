"""The source of functions and classes that are alive."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from typing import Any


def source_of(value: Any) -> str:
    """Return the source of a function or class, dedented. Raises OSError or TypeError where there is none.

    From CPython 3.13 on ``inspect`` shows for code made by ``exec`` the lines of what ``python -c`` runs: both are called
    ``<string>``. Source that defines something else than the function counts as none.
    """
    text = textwrap.dedent(inspect.getsource(value))
    function = inspect.unwrap(value)
    if isinstance(function, types.FunctionType) and not _defines(text, function.__code__):
        raise OSError("could not get source code")
    return text


def _defines(text: str, code: types.CodeType) -> bool:
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return code.co_name == "<lambda>"  # cut out of a call that goes over several lines
    if code.co_name == "<lambda>":
        return any(isinstance(node, ast.Lambda) for node in nodes)
    return any(
        isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name == code.co_name
        and {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)} <= set(code.co_varnames)
        for node in nodes
    )
