"""Imports that a module puts off: lazy loaders, PEP 562 tables, code in literal strings, PEP 810."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

from poncho.analysis.model import Import, Tier
from poncho.analysis.quiet import without_warnings
from poncho.analysis.rare import has

# What a lazy table names may be a module or an attribute; which, only the files can tell.
IN_A_TABLE = "in a lazy table"
# Calls that import on first use, and which argument names the module.
_LOADERS = {"lazy_import": 0, "lazy_module": 0, "LazyImport": 0, "LazyModule": 0, "LazyLoader": 0}
_LAZY_STATEMENT = re.compile(r"^([ \t]*)lazy[ \t]+(?=(?:import|from)[ \t.])", re.MULTILINE)
# One of their names as a word of its own; a pattern that begins with plain characters is searched for the fastest.
_LOADER = re.compile(r"azy(?<=\b[lL]azy)(?:_import|_module|Import|Module|Loader)\(")
_IMPORTERS = frozenset({"import_module", "__import__"})


def mentions_lazy(text: str) -> bool:
    """Tell whether a text may put off imports by a loader or by PEP 810."""
    return has(text, "azy", "z") and (
        "lazy_loader" in text
        or _LOADER.search(text) is not None
        or ("lazy " in text and _LAZY_STATEMENT.search(text) is not None)
    )


def has_tables(text: str) -> bool:
    """Tell whether a text that names import_module may have tables for a ``__getattr__`` of its own (PEP 562)."""
    return "\ndef __getattr__" in text and any(name in text for name in _IMPORTERS)


def without_lazy(text: str) -> str:
    """Return a text with ``lazy import`` and ``lazy from`` (PEP 810) as plain imports, on the same lines."""
    return _LAZY_STATEMENT.sub(r"\1", text) if "lazy" in text else text


def literal_code(node: ast.Call) -> list[ast.stmt]:
    """Return the statements of ``exec("…")`` and ``eval("…")``; none where the code is no literal."""
    if not (isinstance(node.func, ast.Name) and node.func.id in ("exec", "eval") and node.args):
        return []
    argument = node.args[0]
    if isinstance(argument, ast.Call) and argument.args:
        argument = argument.args[0]
    if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
        return []
    try:
        with without_warnings():
            body = ast.parse(textwrap.dedent(argument.value).strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    for statement in body:
        for inner in ast.walk(statement):
            if hasattr(inner, "lineno"):
                inner.lineno = node.lineno
    return body


def loaded_modules(node: ast.Call, text_has_loader: bool) -> Iterator[tuple[str, int]]:
    """Yield ``(module, level)`` of what a call of a lazy loader puts off.

    ``lazy_loader.load("scipy")``, ``lazy_loader.attach(__name__, ["sub"], {"other": ["name"]})`` (SPEC 1 of Scientific
    Python), ``LazyLoader("tf", globals(), "tensorflow")``.
    """
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if name in _LOADERS:
        texts = [text for argument in node.args if (text := _text(argument))]
        # LazyLoader(local name, globals(), module name): the last text names the module.
        if texts and _is_dotted(texts[-1]):
            yield texts[-1], 0
    elif text_has_loader and name == "load" and node.args and _is_dotted(_text(node.args[0])):
        yield _text(node.args[0]), 0
    elif text_has_loader and name == "attach" and node.args:
        tables = [*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg)]
        for table in tables:
            keys = table.keys if isinstance(table, ast.Dict) else getattr(table, "elts", [])
            for key in keys:
                if key is not None and _is_dotted(_text(key)):
                    yield _text(key), 1


def table_imports(tree: ast.Module) -> Iterator[Import]:
    """Yield what the tables of a module's own ``__getattr__`` (PEP 562) name.

    A table is a dict, list, tuple or set at module level that ``__getattr__``, or a function it calls, uses by name,
    if one of them imports what is no literal.
    """
    functions = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
    start = functions.get("__getattr__")
    if start is None:
        return
    reached, used = [start], set[str]()
    for function in reached:
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        used |= names
        reached += [functions[name] for name in sorted(names) if name in functions and functions[name] not in reached]
    calls = [
        node
        for function in reached
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in _IMPORTERS
        and node.args
        and not isinstance(node.args[0], ast.Constant)
    ]
    if not calls:
        return
    relative = any(
        len(call.args) > 1 or call.keywords or isinstance(call.args[0], (ast.JoinedStr, ast.BinOp)) for call in calls
    )
    for statement in tree.body:
        target, value = _assigned(statement)
        if target in used and isinstance(value, (ast.Dict, ast.List, ast.Tuple, ast.Set)):
            # The keys of {"np": "numpy"} are the names that users see.
            parts = value.values if isinstance(value, ast.Dict) and not relative else [value]
            texts = [node for part in parts for node in ast.walk(part) if isinstance(node, ast.Constant)]
            for text, line in {text: node.lineno for node in reversed(texts) if (text := _text(node))}.items():
                if _is_dotted(text.lstrip(".")):
                    yield from _entry(text, relative, line)


def _entry(text: str, relative: bool, line: int) -> Iterator[Import]:
    module = text.lstrip(".")
    level = len(text) - len(module)
    if level or relative or "." not in module:
        yield Import(module, (), max(level, 1), Tier.CONDITIONAL, line, IN_A_TABLE)
    if not level and ("." in module or not relative):
        yield Import(module, (), 0, Tier.HINT, line, IN_A_TABLE)


def _assigned(statement: ast.stmt) -> tuple[str, ast.expr | None]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return getattr(statement.targets[0], "id", ""), statement.value
    if isinstance(statement, ast.AnnAssign):
        return getattr(statement.target, "id", ""), statement.value
    return "", None


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))
