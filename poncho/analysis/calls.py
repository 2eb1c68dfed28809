"""What surely runs when a function is called: what it names outside of branches, and so on, within one module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from poncho.analysis.walk import blocks

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)


@dataclass(slots=True)
class Used:
    """What a call uses: the lines of the imports that it runs, the names it looks up in the module.

    A name comes with the attribute that is asked of it, or with an empty one: ``("click", "echo")``.
    """

    lines: set[int] = field(default_factory=set)
    names: set[tuple[str, str]] = field(default_factory=set)


class Definitions:
    """The functions and classes at module level; none where the text could not be parsed."""

    def __init__(self, tree: ast.Module | None) -> None:
        self._nodes: dict[str, ast.stmt] = {}
        self._body = tree.body if tree else []
        todo = list(self._body)
        while todo:
            statement = todo.pop()
            if isinstance(statement, _DEFINITIONS):
                self._nodes.setdefault(statement.name, statement)
                continue
            if isinstance(statement, ast.Assign):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        self._nodes.setdefault(target.id, statement)
            for block in blocks(statement):
                todo.extend(block)

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def called(self) -> set[tuple[str, str]]:
        """Return what importing the module calls, as ``Used.names``: outside of functions and branches, and as decorators."""
        found: set[tuple[str, str]] = set()
        todo = list(self._body)
        while todo:
            statement = todo.pop()
            expressions = list(_expressions(statement))
            if isinstance(statement, _DEFINITIONS):
                expressions = statement.decorator_list
                found |= {pair for one in expressions for pair in _looked_up(one)}
            if not isinstance(statement, _FUNCTIONS):
                todo += _straight_on(statement)
            for node in (node for one in expressions for node in ast.walk(one)):
                if isinstance(node, ast.Call):
                    found |= set(_looked_up(node.func))
        return found

    def used_by(self, name: str) -> Used:
        """Return what calling ``name`` (``f``, ``Class``, ``Class.method``) uses.

        Followed are the functions and classes of the module that it names.

        Of a class that is what making an object of it runs. What stands under ``if``, in ``match`` or in a handler
        need not run, and neither need a function that is defined inside and not named.
        """
        used = Used()
        first, _, method = name.partition(".")
        node = self._nodes.get(first)
        todo: list[tuple[ast.stmt, dict[str, ast.stmt]]] = [(node, {})] if node is not None else []
        own = _methods(node) if node is not None else {}
        todo += [(own[method], own)] if method in own else []
        seen: set[int] = set()
        while todo:
            node, methods = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, ast.ClassDef):
                own = _methods(node)
                todo += [(own[key], own) for key in ("__new__", "__init__", "__post_init__") if key in own]
                used.names |= {pair for base in node.bases for pair in _looked_up(base)}
                continue
            inner: dict[str, ast.stmt] = {}
            for statement in _running(node, inner):
                if isinstance(statement, (ast.Import, ast.ImportFrom)):
                    used.lines.add(statement.lineno)
                for bound, attribute in (pair for one in _expressions(statement) for pair in _looked_up(one)):
                    if bound in ("self", "cls") and attribute in methods:
                        todo.append((methods[attribute], methods))
                    elif (target := inner.get(bound) or self._nodes.get(bound)) is not None:
                        todo.append((target, {}))
                        own = _methods(target)
                        todo += [(own[attribute], own)] if attribute in own else []
                    used.names.add((bound, attribute))
        return used


def _methods(node: ast.stmt) -> dict[str, ast.stmt]:
    body = node.body if isinstance(node, ast.ClassDef) else ()
    return {one.name: one for one in body if isinstance(one, _FUNCTIONS)}


def _running(node: ast.stmt, inner: dict[str, ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a function that run when it does; ``inner`` takes the definitions among them."""
    if not isinstance(node, _FUNCTIONS):
        yield node
        return
    todo = list(reversed(node.body))
    while todo:
        statement = todo.pop()
        if isinstance(statement, _DEFINITIONS):
            inner[statement.name] = statement
            continue
        yield statement
        todo += _straight_on(statement)


def _straight_on(statement: ast.stmt) -> list[ast.stmt]:
    """Return the statements in a statement that run when it does, last first: no branches, no handlers."""
    if isinstance(statement, (ast.If, ast.Match)):
        return []
    parts = (getattr(statement, name, ()) for name in ("finalbody", "orelse", "body"))
    return [one for part in parts for one in reversed(part)]


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield the expressions of a statement, without those of the statements in it."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.withitem):
            yield child.context_expr


def _looked_up(expression: ast.expr) -> Iterator[tuple[str, str]]:
    todo: list[ast.AST] = [expression]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr
        elif isinstance(node, ast.Name):
            yield node.id, ""
        else:
            todo.extend(ast.iter_child_nodes(node))
