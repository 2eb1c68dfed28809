"""Cut functions out of a module's source, with everything of that module that they use, and nothing else.

The module may be a program that does its work at module level (a manager script, often): only statements whose names
the functions reach are taken, in the order of the file.
"""

from __future__ import annotations
import __future__

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poncho.analysis.used import symbols, used_names
from poncho.compat.extract_live import LiveSource
from poncho.errors import AnalysisError

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Extract:
    """``code`` defines the functions; ``futures`` are the names that the module imports from ``__future__``."""

    code: str
    futures: tuple[str, ...]
    functions: tuple[str, ...]


def extract_file(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> Extract:
    """Return functions of the file ``path``. Raises AnalysisError when it cannot be read, or lacks one of ``names``."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        hint = "name the Python file that defines the functions, in UTF-8"
        raise AnalysisError(f"{path}: cannot be read ({why})", hint=hint) from error
    return extract(text, names, optional, label=str(path))


def extract(
    text: str, names: Sequence[str], optional: Sequence[str] = (), *, label: str = "<source>", classes: bool = False
) -> Extract:
    """Return functions (with ``classes`` also classes, and what is assigned to a name) of a source text; those of
    ``optional`` may be missing. Raises AnalysisError."""
    try:
        tree = ast.parse(text, filename=label)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        where = f"{label}:{line}" if line else label
        raise AnalysisError(f"{where}: not Python that can be read: {getattr(error, 'msg', None) or error}") from error
    defined = {node.name for statement in tree.body for node in _definitions(statement) if isinstance(node, _FUNCTIONS)}
    if classes:
        defined |= {name for statement in tree.body for name in _bound(statement)}
    missing = [name for name in names if name not in defined]
    if missing:
        there = ", ".join(sorted(defined)) or "none"
        raise AnalysisError(
            f"{label}: no function {', '.join(missing)} at module level",
            hint=f"functions there: {there}",
            context={"functions": sorted(defined)},
        )
    wanted = [*names, *(name for name in optional if name in defined)]
    lines = text.splitlines(keepends=True)
    blocks = [_source(statement, lines) for statement in _reached(tree.body, wanted, label)]
    return Extract("\n\n".join(blocks) + "\n", tuple(_futures(tree)), tuple(wanted))


def extract_functions(functions: Iterable[Callable[..., Any]]) -> Extract:
    """Return live functions as source: out of their module's file, or with what they use (``LiveSource``) where they are
    defined in a function or in a notebook.

    Raises AnalysisError for functions that have no source (made by ``exec``, or typed at a prompt).
    """
    files: dict[Path, list[str]] = {}
    alone = LiveSource()
    others: list[str] = []
    for function in functions:
        name = getattr(function, "__name__", "")
        if not name.isidentifier():
            raise AnalysisError(f"{name or function!r} has no name to be called by", hint="define it with def")
        try:
            file = Path(inspect.getsourcefile(inspect.unwrap(function)) or "")
        except (OSError, TypeError) as error:
            raise AnalysisError(
                f"the source of function {name} cannot be found",
                hint="put it into a file, or use generate_library, which pickles functions instead",
            ) from error
        if getattr(function, "__qualname__", name) == name and file.is_file():
            files.setdefault(file, []).append(name)
        else:
            alone.add(function)
            others.append(name)
    parts = [extract_file(file, names) for file, names in files.items()]
    if others:
        parts.append(Extract(alone.code, (), tuple(others)))
    return Extract(
        "\n\n".join(part.code for part in parts),
        tuple(dict.fromkeys(name for part in parts for name in part.futures)),
        tuple(name for part in parts for name in part.functions),
    )


def _reached(body: list[ast.stmt], names: Sequence[str], label: str) -> list[ast.stmt]:
    binders: dict[str, list[ast.stmt]] = {}
    for statement in body:
        if not _is_main_guard(statement) and not _is_future(statement):
            for bound in _bound(statement):
                binders.setdefault(bound, []).append(statement)
    stars = binders.get("*", [])
    taken: dict[int, ast.stmt] = {}
    todo = list(names)
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        # "from x import *" may bind any name that nothing else binds.
        for statement in binders.get(name) or stars:
            if id(statement) not in taken:
                taken[id(statement)] = statement
                _refuse_relative(statement, label)
                todo.extend(used_names(statement))
    return [statement for statement in body if id(statement) in taken]


def _refuse_relative(statement: ast.stmt, label: str) -> None:
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AnalysisError(
                f"{label}:{node.lineno}: a relative import cannot work outside of its package",
                hint="install the package and import it by its full name, or use create_library_from_functions",
            )


def _definitions(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yield what a statement at module level defines there, also under ``if`` and ``try``."""
    if isinstance(statement, _DEFINITIONS):
        yield statement
        return
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield from _definitions(child)
        elif isinstance(child, ast.ExceptHandler):
            for inner in child.body:
                yield from _definitions(inner)


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds at module level."""
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(statement)):
        return {"*"}
    table = symbols(statement)
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}


def _source(statement: ast.stmt, lines: list[str]) -> str:
    first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", ()))])
    last = statement.end_lineno or statement.lineno
    text = "".join(lines[first - 1 : last])
    try:
        alone = ast.parse(text).body
    except SyntaxError:
        alone = []
    # Two statements may share a line.
    return text.rstrip() if len(alone) == 1 else ast.unparse(statement)


def _is_main_guard(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _futures(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            yield from (alias.name for alias in statement.names if alias.name in __future__.all_feature_names)
