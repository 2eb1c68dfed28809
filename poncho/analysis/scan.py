"""Find the imports of a parsed module, or of its skeleton, and the names of its functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from operator import attrgetter

from poncho.analysis.hints import is_plotting, text_hints
from poncho.analysis.lazy import has_tables, table_imports
from poncho.analysis.model import Import, Scan
from poncho.analysis.skeleton import Skeleton
from poncho.analysis.walk import FUNCTIONS, Context, Walker, blocks, may_count


def scan_module(tree: ast.Module, text: str, version: tuple[int, int]) -> Scan:
    """Return what a module says, for programs that run on Python ``version``; ``text`` is the module's."""
    walker = Walker(version, expressions=may_count(text), loader="lazy_loader" in text, plots=is_plotting(text))
    found = [*walker.walk(tree.body, Context()), *text_hints(text)]
    if has_tables(text):
        found += table_imports(tree)
    return Scan(tuple(found), tuple(function_names(tree)))


def scan_skeleton(reduced: Skeleton, tree: ast.Module | None, text: str, version: tuple[int, int]) -> Scan:
    """Return the same of a module's skeleton, without the names of functions; ``tree`` is what its rest parses to."""
    found: Sequence[Import] = reduced.read
    if tree is not None:
        # A skeleton never has lazy loaders, and a call of ``_.use`` is only in that of a text about matplotlib.
        plots = "_.use(" in reduced.rest
        walker = Walker(version, expressions=plots or may_count(reduced.rest), loader=False, plots=plots)
        parsed = list(walker.walk(tree.body, Context()))
        found = sorted([*found, *parsed], key=_line) if found else parsed
    return Scan((*found, *text_hints(text)))


_line = attrgetter("line")


def function_names(tree: ast.Module) -> Iterator[str]:
    """Yield the qualified names of all functions: ``f``, ``Class.method``, ``outer.inner``."""
    todo: list[tuple[str, Sequence[ast.stmt]]] = [("", tree.body)]
    while todo:
        prefix, body = todo.pop()
        for statement in body:
            if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
                name = f"{prefix}{statement.name}"
                if not isinstance(statement, ast.ClassDef):
                    yield name
                todo.append((f"{name}.", statement.body))
            else:
                todo.extend((prefix, block) for block in blocks(statement))
