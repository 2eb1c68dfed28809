"""Walk the statements of a module: its imports, each with the conditions it stands under.

Only statements are walked; expressions are looked at where the text says that something in them may count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from poncho.analysis.conditions import is_main, is_type_checking, truth
from poncho.analysis.hints import address_hints, call_hints, may_hint
from poncho.analysis.lazy import literal_code, loaded_modules, mentions_lazy
from poncho.analysis.model import ELSEWHERE, GUARDED, IN_BRANCH, IN_FUNCTION, Import, Tier

_IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_LEAVES = frozenset({"exit", "_exit", "quit", "abort", "skip", "fail"})
DYNAMIC = {
    "import_module": Tier.CONDITIONAL,
    "__import__": Tier.CONDITIONAL,
    "run_module": Tier.CONDITIONAL,
    "importorskip": Tier.OPTIONAL,
    "find_spec": Tier.OPTIONAL,
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# ``try: … except* …`` is a class of its own since Python 3.11.
_TRY: tuple[type[ast.AST], ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))


class Context(NamedTuple):
    """What a statement stands under."""

    tier: Tier = Tier.REQUIRED
    why: str = ""
    attempt: int = 0
    fallback: bool = False
    main: bool = False
    scope: str = ""

    def at_least(self, tier: Tier, why: str) -> Context:
        """Return the context of a block that is entered less surely."""
        return self._replace(tier=tier, why=why) if tier > self.tier else self

    def in_function(self, name: str) -> Context:
        """Return the context of a function's body."""
        scope = f"{self.scope}.{name}" if self.scope else name
        return self.at_least(Tier.CONDITIONAL, IN_FUNCTION)._replace(scope=scope)

    def in_class(self, name: str) -> Context:
        """Return the context of a class's body: of a scope of its own only inside of a function."""
        return self._replace(scope=f"{self.scope}.{name}") if self.scope else self


def may_count(text: str) -> bool:
    """Tell, quickly, whether any expression of a text can count."""
    words = (*DYNAMIC, "exec(", "eval(")
    return any(word in text for word in words) or may_hint(text) or mentions_lazy(text)


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the lists of statements directly inside a statement."""
    for field in ("body", "orelse", "finalbody"):
        if isinstance(block := getattr(statement, field, None), list) and block:
            yield block
    for field in ("handlers", "cases"):
        for part in getattr(statement, field, ()):
            yield part.body


class Walker:
    """Walks statements without recursion, so that no nesting is too deep for it."""

    def __init__(self, version: tuple[int, int], *, expressions: bool, loader: bool = True, plots: bool = True) -> None:
        self.version = version
        self._expressions = expressions
        self._loader = loader
        self._plots = plots

    def walk(self, body: Sequence[ast.stmt], context: Context) -> Iterator[Import]:
        """Yield the imports in ``body``, in the order of the text."""
        todo: list[tuple[ast.stmt, Context]] = [(statement, context) for statement in reversed(body)]
        while todo:
            statement, here = todo.pop()
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                yield from _imported(statement, here)
                continue
            if self._expressions:
                yield from self._in_expressions(statement, here)
            inside = [(child, there) for block, there in self._blocks(statement, here) for child in block]
            todo.extend(reversed(inside))

    def _blocks(self, statement: ast.stmt, here: Context) -> Iterator[tuple[list[ast.stmt], Context]]:
        """Yield the blocks of a statement, each with its context."""
        if isinstance(statement, FUNCTIONS):
            yield statement.body, here.in_function(statement.name)
        elif isinstance(statement, ast.ClassDef):
            yield statement.body, here.in_class(statement.name)
        elif isinstance(statement, ast.If):
            yield from self._if(statement, here)
        elif isinstance(statement, _TRY):
            yield from _try(statement, here)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            suppressed = any(_suppresses(item.context_expr) for item in statement.items)
            yield statement.body, here.at_least(Tier.OPTIONAL, "under suppress(ImportError)") if suppressed else here
        elif isinstance(statement, (ast.For, ast.AsyncFor, ast.While, ast.Match)):
            for block in blocks(statement):
                yield block, here.at_least(Tier.CONDITIONAL, "inside a loop or match")

    def _if(self, statement: ast.If, here: Context) -> Iterator[tuple[list[ast.stmt], Context]]:
        test = statement.test
        checking = is_type_checking(test)
        if checking is not None:
            only_checked = here.at_least(Tier.TYPE_CHECKING, "under TYPE_CHECKING")
            yield statement.body, only_checked if checking else here
            yield statement.orelse, here if checking else only_checked
        elif is_main(test):
            yield statement.body, here._replace(main=True, why=here.why or "under __main__")
            yield statement.orelse, here
        elif (known := truth(test, self.version)) is not None:
            never = here.at_least(Tier.OPTIONAL, ELSEWHERE)
            yield statement.body, here if known else never
            yield statement.orelse, never if known else here
        else:
            inside = here.at_least(Tier.CONDITIONAL, "under if")
            if here.why == IN_FUNCTION:
                inside = here._replace(why=IN_BRANCH)
            yield statement.body, inside
            yield statement.orelse, inside

    def _in_expressions(self, statement: ast.stmt, here: Context) -> Iterator[Import]:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if docstring:
            return
        todo: list[ast.AST] = [
            node
            for node in ast.iter_child_nodes(statement)
            if isinstance(node, (ast.expr, ast.withitem, ast.arguments))
        ]
        while todo:
            node = todo.pop()
            todo.extend(ast.iter_child_nodes(node))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "://" in node.value:
                for module, why in address_hints(node.value):
                    yield _event(here.at_least(Tier.HINT, why), module, node.lineno)
            elif isinstance(node, ast.Call):
                yield from _call(node, here, self._plots)
                for module, level in loaded_modules(node, self._loader):
                    put_off = here.at_least(Tier.CONDITIONAL, "by a lazy loader")
                    yield _event(put_off, module, node.lineno, level=level)
                if code := literal_code(node):
                    yield from self.walk(code, here.at_least(Tier.CONDITIONAL, "in a literal exec"))


def _imported(statement: ast.Import | ast.ImportFrom, here: Context) -> Iterator[Import]:
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            bound = alias.asname or alias.name.partition(".")[0]
            yield _event(here, alias.name, statement.lineno, binds=(bound,))
    else:
        names = tuple([alias.name for alias in statement.names])
        binds = tuple([alias.asname or alias.name for alias in statement.names])
        yield _event(here, statement.module or "", statement.lineno, names, statement.level, binds)


def _call(node: ast.Call, here: Context, plots: bool) -> Iterator[Import]:
    for hint, why in call_hints(node, plots=plots):
        yield _event(here.at_least(Tier.HINT, why), hint, node.lineno)
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if (
        name in DYNAMIC
        and node.args
        and isinstance(first := node.args[0], ast.Constant)
        and isinstance(first.value, str)
    ):
        module = first.value.lstrip(".")
        if all(part.isidentifier() for part in module.split(".")):
            inside = here.at_least(DYNAMIC[name], f"by {name}")
            yield _event(inside, module, node.lineno, level=len(first.value) - len(module))


def _try(statement: ast.stmt, here: Context) -> Iterator[tuple[list[ast.stmt], Context]]:
    handlers: list[ast.ExceptHandler] = getattr(statement, "handlers", [])
    # What is tried inside of something tried is only one more way to have that.
    attempt = here.attempt if here.attempt and not here.fallback else statement.lineno
    catching = [handler for handler in handlers if _catches_import_error(handler)]
    # A handler that only raises again, or ends the program, makes the import no less needed.
    guarded = any(not _leaves(handler.body) for handler in catching)
    body = here.at_least(Tier.OPTIONAL, "under try/except ImportError")._replace(attempt=attempt) if guarded else here
    if here.tier is Tier.CONDITIONAL and not guarded and any(map(_names_import_error, catching)):
        body = here._replace(why=GUARDED)
    yield getattr(statement, "body", []), body
    for handler in handlers:
        if handler in catching:
            other = here.at_least(Tier.OPTIONAL, "in an except ImportError branch")
            yield handler.body, other._replace(attempt=attempt, fallback=attempt == statement.lineno)
        else:
            yield handler.body, here.at_least(Tier.CONDITIONAL, "in an except branch")
    yield getattr(statement, "orelse", []), body
    yield getattr(statement, "finalbody", []), here


def _event(
    here: Context, module: str, line: int, names: tuple[str, ...] = (), level: int = 0, binds: tuple[str, ...] = ()
) -> Import:
    return Import(
        module, names, level, here.tier, line, here.why, here.attempt, here.fallback, here.main, binds, here.scope
    )


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(getattr(one, "id", getattr(one, "attr", "")) in _IMPORT_ERRORS for one in types)


def _names_import_error(handler: ast.ExceptHandler) -> bool:
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(getattr(one, "id", getattr(one, "attr", "")) in ("ImportError", "ModuleNotFoundError") for one in types)


def _leaves(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    call = last.value if isinstance(last, ast.Expr) else None
    if isinstance(call, ast.Call):
        return getattr(call.func, "id", getattr(call.func, "attr", "")) in _LEAVES
    return False


def _suppresses(expression: ast.expr) -> bool:
    if not isinstance(expression, ast.Call):
        return False
    name = getattr(expression.func, "id", getattr(expression.func, "attr", ""))
    return name == "suppress" and any(
        getattr(one, "id", getattr(one, "attr", "")) in _IMPORT_ERRORS for one in expression.args
    )
