"""What one function uses: its own imports, and those of its module whose names it reaches."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from poncho.analysis.model import Import
from poncho.analysis.used import used_names
from poncho.analysis.walk import Context, Walker, blocks

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(slots=True)
class _Names:
    """What a block of statements binds: imports, definitions, assignments."""

    imports: dict[str, list[Import]] = field(default_factory=dict)
    nodes: dict[str, list[ast.stmt]] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)


def imports_of_function(tree: ast.Module, name: str, version: tuple[int, int]) -> list[Import] | None:
    """Return the imports that function ``name`` needs (``f``, ``Class.method``, ``outer.inner``); None when it is not
    there.

    Followed are names bound at module level or in an enclosing function: imports, functions, classes, variables.
    """
    chain = _find(tree, name)
    if chain is None:
        return None
    walker = Walker(version, expressions=True)
    # The innermost scope is asked first, the module last.
    scopes = [_bindings(node.body, walker) for node in reversed(chain[:-1]) if isinstance(node, _FUNCTIONS)]
    scopes.append(_bindings(tree.body, walker))
    found: dict[tuple[int, str, tuple[str, ...]], Import] = {}
    # A method brings its class: unpickling or calling it needs the whole.
    first = next((node for node in chain if isinstance(node, ast.ClassDef)), chain[-1])
    todo: list[ast.stmt] = [first]
    seen: set[int] = set()
    for scope in scopes:
        _add(found, scope.stars)
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        _add(found, _inside(node, walker))
        for used in sorted(used_names(node)):
            for scope in scopes:
                if used in scope.imports or used in scope.nodes:
                    _add(found, scope.imports.get(used, ()))
                    todo.extend(scope.nodes.get(used, ()))
                    break
    return sorted(found.values(), key=lambda one: (one.line, one.module, one.names))


def _add(found: dict[tuple[int, str, tuple[str, ...]], Import], imports: Iterable[Import]) -> None:
    for one in imports:
        found.setdefault((one.line, one.module, one.names), one)


def _inside(node: ast.stmt, walker: Walker) -> Iterator[Import]:
    """Yield the imports in a definition; what the body of a function imports is needed as soon as it is called."""
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            yield from _inside(statement, walker)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from walker.walk(node.body, Context(scope=node.name))
    else:
        yield from walker.walk([node], Context())


def _find(tree: ast.Module, name: str) -> list[ast.stmt] | None:
    """Return the definitions that lead to ``name``, outermost first; an exact qualified name wins over a nested one.

    Where there is no such function, a class counts, or what is assigned to the name at module level (a lambda, a
    partial, an app).
    """
    wanted = name.replace(".<locals>", "").split(".")
    nested: list[ast.stmt] | None = None
    exact: list[ast.stmt] | None = None
    other: list[ast.stmt] | None = None
    todo: list[tuple[list[ast.stmt], list[str], list[ast.stmt]]] = [([], [], tree.body)]
    while todo:
        chain, above, body = todo.pop(0)
        for statement in body:
            if isinstance(statement, _DEFINITIONS):
                here, path = [*chain, statement], [*above, statement.name]
                if isinstance(statement, ast.ClassDef):
                    other = here if path == wanted else other
                elif path == wanted:
                    exact = here  # a later definition of the same name is the one that counts
                elif nested is None and path[-len(wanted) :] == wanted:
                    nested = here
                todo.append((here, path, statement.body))
            else:
                if [*above, *_assigned(statement)] == wanted and not isinstance(statement, (ast.For, ast.AsyncFor)):
                    other = [*chain, statement]
                todo.extend((chain, above, block) for block in blocks(statement))
    return exact or nested or other


def _bindings(body: list[ast.stmt], walker: Walker) -> _Names:
    names = _Names()
    todo = list(body)
    inner_scopes: list[int] = []
    while todo:
        statement = todo.pop()
        if isinstance(statement, _DEFINITIONS):
            names.nodes.setdefault(statement.name, []).append(statement)
            inner_scopes.append(id(statement))
            continue
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            for bound in _assigned(statement):
                names.nodes.setdefault(bound, []).append(statement)
        for block in blocks(statement):
            todo.extend(block)
    module_level = Walker(walker.version, expressions=False)
    for one in module_level.walk(body, Context()):
        # An import inside a function binds nothing here.
        if not one.scope:
            if one.binds == ("*",):
                names.stars.append(one)
            for bound in one.binds:
                names.imports.setdefault(bound, []).append(one)
    return names


def _assigned(statement: ast.stmt) -> Iterator[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = list(statement.targets)
    elif isinstance(statement, (ast.AnnAssign, ast.AugAssign, ast.For, ast.AsyncFor)):
        targets = [statement.target]
    elif isinstance(statement, (ast.With, ast.AsyncWith)):
        targets = [item.optional_vars for item in statement.items if item.optional_vars]
    while targets:
        target = targets.pop()
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, (ast.Tuple, ast.List)):
            targets.extend(target.elts)
        elif isinstance(target, ast.Starred):
            targets.append(target.value)
