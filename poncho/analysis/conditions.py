"""What the test of an ``if`` says: about the target (version, platform), or whether code is checked or run."""

from __future__ import annotations

import ast
import sys


def is_type_checking(test: ast.expr) -> bool | None:
    """Return True for ``TYPE_CHECKING``, False for its negation, None for any other test."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = is_type_checking(test.operand)
        return None if inner is None else not inner
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return True if name in ("TYPE_CHECKING", "MYPY") else None


def is_main(test: ast.expr) -> bool:
    """Recognise ``__name__ == "__main__"``, either way round."""
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = (test.left, test.comparators[0])
    return {getattr(side, "id", getattr(side, "value", None)) for side in sides} == {"__name__", "__main__"}


def truth(test: ast.expr, version: tuple[int, int]) -> bool | None:
    """Return what a test of constants, ``sys.version_info``, ``sys.platform`` or ``os.name`` gives; None if open."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = truth(test.operand, version)
        return None if inner is None else not inner
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.func.attr == "startswith":
        called, argument = ast.unparse(test.func.value), test.args[0] if test.args else None
        if called == "sys.platform" and isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return sys.platform.startswith(argument.value)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if not isinstance(left, (ast.Attribute, ast.Subscript)):
        return None
    try:
        value = ast.literal_eval(right)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    known: dict[str, object] = {
        "sys.version_info": version,
        "sys.version_info[:2]": version,
        "sys.version_info[0]": version[0],
        "sys.version_info.major": version[0],
        "sys.platform": sys.platform,
        "os.name": "posix",
    }
    subject = known.get(_plain(left))
    if subject is None:
        return None
    if isinstance(subject, tuple):
        if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
            return None
        # A third number cannot be told from a target of two; ``>= (3, 11, 4)`` stays open only at the edge.
        if len(value) > 2 and value[:2] == subject:
            return None
        subject, value = subject[: len(value)] if isinstance(operator, (ast.Eq, ast.NotEq)) else subject, value[:2]
    return _compare(subject, operator, value)


def _plain(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Attribute, ast.Subscript)) else ""


def _compare(left: object, operator: ast.cmpop, right: object) -> bool | None:
    try:
        if isinstance(operator, ast.Eq):
            return left == right
        if isinstance(operator, ast.NotEq):
            return left != right
        if isinstance(operator, ast.GtE):
            return left >= right  # type: ignore[operator,no-any-return]
        if isinstance(operator, ast.Gt):
            return left > right  # type: ignore[operator,no-any-return]
        if isinstance(operator, ast.LtE):
            return left <= right  # type: ignore[operator,no-any-return]
        if isinstance(operator, ast.Lt):
            return left < right  # type: ignore[operator,no-any-return]
    except TypeError:
        return None
    return None
