"""The names that a statement looks up outside of itself, by Python's own scope rules."""

from __future__ import annotations

import ast
import symtable


def used_names(statement: ast.stmt) -> set[str]:
    """Return the names that a statement, and the functions and classes in it, read from the scope around it."""
    try:
        table = symbols(statement)
    except (SyntaxError, ValueError, RecursionError):
        # Cut out of a function (``yield``, ``nonlocal``) it is no module: every name that it reads may come from outside.
        return {one.id for one in ast.walk(statement) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    used = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    todo = list(table.get_children())
    while todo:
        inner = todo.pop()
        used |= {s.get_name() for s in inner.get_symbols() if s.is_global() and (s.is_referenced() or s.is_assigned())}
        todo.extend(inner.get_children())
    return used


def symbols(statement: ast.stmt) -> symtable.SymbolTable:
    """Return the symbol table of a statement that stands alone. Raises SyntaxError, ValueError, RecursionError."""
    return symtable.symtable(ast.unparse(statement), "<statement>", "exec")
