"""Turn a unit's text into its imports: parsed where possible, read lexically where not."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from poncho.analysis.lazy import without_lazy
from poncho.analysis.model import GUARDED, IN_BRANCH, IN_FUNCTION, Import, Place, Problem, Scan, Tier
from poncho.analysis.quiet import without_warnings
from poncho.analysis.scan import scan_module, scan_skeleton
from poncho.analysis.scans import Scans
from poncho.analysis.skeleton import skeleton
from poncho.analysis.sources import Unit

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(slots=True)
class Reading:
    """What was read from a unit: its imports with their places, its functions, what went wrong.

    ``found`` tells whether the function that was asked for is here.
    """

    imports: list[tuple[Import, Place]] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    found: bool = True


def read_unit(
    unit: Unit,
    version: tuple[int, int],
    *,
    function: str | None = None,
    toplevel: bool = False,
    scans: Scans | None = None,
    digest: str = "",
) -> Reading:
    """Return what ``unit`` imports: all of it, what runs at module level (``toplevel``), or what ``function`` uses.

    What was named is parsed; of the files of a directory and the modules that are followed the skeleton is, and
    ``scans`` remembers what the text with that ``digest`` said. A text that cannot be parsed is read lexically and
    named in ``problems``; with ``function`` the whole module level then counts as used. Never raises for bad source.
    """
    reading = Reading()
    if unit.is_notebook:
        _read_notebook(unit, version, function, reading)
    elif not unit.named and function is None:
        _read_reduced(unit, version, scans, digest, reading)
    else:
        text = unit.text
        tree, problem = parse(text)
        if tree is None and unit.fragment:
            # A function cut out of a file keeps its indentation; one cut out of a class or an `if` may start deeper.
            dedented = textwrap.dedent(text).lstrip("\n")
            tree, _ = parse(dedented)
            if tree is None:
                tree, _ = parse("if True:\n" + textwrap.indent(text, " ") if text[:1] in " \t" else dedented)
        _read_text(unit, text, tree, problem, version, function, reading)
    if toplevel:
        reading.imports = [(one, place) for one, place in reading.imports if not one.scope]
    return reading


def parse(text: str) -> tuple[ast.Module | None, tuple[int, str] | None]:
    """Return the syntax tree of a text, or None with the line and the parser's words.

    ``lazy import`` (PEP 810) is read as an import by every interpreter.
    """
    try:
        with without_warnings():
            try:
                return ast.parse(text), None
            except SyntaxError:
                if (plain := without_lazy(text)) == text:
                    raise
                return ast.parse(plain), None
    except SyntaxError as error:
        return None, (error.lineno or 1, error.msg or "invalid syntax")
    except (ValueError, RecursionError, MemoryError) as error:
        return None, (1, str(error) or "nested too deeply for this interpreter's parser")


def _read_reduced(unit: Unit, version: tuple[int, int], scans: Scans | None, digest: str, reading: Reading) -> None:
    """Read a text by its skeleton, or whole where that is not to be had."""
    text = unit.text
    scan = scans.known(digest) if scans else None
    if scan is None:
        reduced = skeleton(text, version)
        tree = parse(reduced.rest)[0] if reduced is not None and reduced.rest else None
        if reduced is not None and (tree is not None or not reduced.rest):
            scan = scan_skeleton(reduced, tree, text, version)
        else:
            tree, problem = parse(text)
            if tree is None:
                _read_text(unit, text, None, problem, version, None, reading)
                return
            scan = scan_module(tree, text, version)
        if scans:
            scans.add(digest, scan)
    reading.imports = [(one, Place(unit.label, one.line)) for one in scan.imports]


def _read_text(
    unit: Unit,
    text: str,
    tree: ast.Module | None,
    problem: tuple[int, str] | None,
    version: tuple[int, int],
    function: str | None,
    reading: Reading,
) -> None:
    if tree is None:
        line, message = problem or (1, "invalid syntax")
        reading.problems.append(Problem(Place(unit.label, line), f"{message}; its imports were read without parsing"))
        _take_lexical(unit, text, function, reading, None)
        return
    scan = _scan(tree, text, version, function, reading)
    if unit.fragment and function is None and len(tree.body) == 1 and isinstance(tree.body[0], _DEFINITIONS):
        # The one function that a caller sends is what will run.
        scan = replace(scan, imports=tuple(_called(one) for one in scan.imports))
    reading.imports += [(one, Place(unit.label, one.line)) for one in scan.imports]
    reading.functions += scan.functions


def _scan(tree: ast.Module, text: str, version: tuple[int, int], function: str | None, reading: Reading) -> Scan:
    scan = scan_module(tree, text, version)
    if function is None:
        return scan
    from poncho.analysis.function import imports_of_function

    used = imports_of_function(tree, function, version)
    reading.found = used is not None
    return replace(scan, imports=tuple(used)) if used is not None else scan


def _called(one: Import) -> Import:
    if one.tier is Tier.CONDITIONAL and one.why in (IN_FUNCTION, IN_BRANCH, GUARDED):
        return one._replace(tier=Tier.REQUIRED, why="in the function itself")
    return one


def _take_lexical(unit: Unit, text: str, function: str | None, reading: Reading, cell: int | None) -> None:
    from poncho.analysis.lexical import scan_text

    scan = scan_text(text)
    reading.functions += scan.functions
    taken: Sequence[Import] = scan.imports
    if function is not None:
        reading.found = any(name == function or name.endswith(f".{function}") for name in scan.functions)
        if reading.found:
            last = function.rpartition(".")[2]
            taken = [_called(one) for one in taken if not one.scope or last in one.scope.split(".")]
    reading.imports += [(one, Place(unit.label, one.line, cell)) for one in taken]


def _read_notebook(unit: Unit, version: tuple[int, int], function: str | None, reading: Reading) -> None:
    """Read the cells one by one, so that a broken one spoils no other, and join their trees for what crosses cells."""
    from poncho.analysis.notebook import NotANotebookError, read_cells

    try:
        cells = read_cells(unit.text)
    except NotANotebookError as error:
        reading.problems.append(Problem(Place(unit.label, 1), str(error)))
        return
    body: list[ast.stmt] = []
    texts: list[str] = []
    starts: list[tuple[int, int]] = []
    offset = 0
    for number, text in cells:
        tree, problem = parse(text)
        if tree is None:
            line, message = problem or (1, "invalid syntax")
            reading.problems.append(Problem(Place(unit.label, line, number), f"{message}; read without parsing"))
            _take_lexical(unit, text, None, reading, number)
            continue
        ast.increment_lineno(tree, offset)
        body += tree.body
        texts.append(text)
        starts.append((offset, number))
        offset += text.count("\n") + 1
    whole = ast.Module(body=body, type_ignores=[])
    scan = _scan(whole, "\n".join(texts), version, function, reading)
    for one in scan.imports:
        start, number = next((pair for pair in reversed(starts) if pair[0] < one.line), (0, 1))
        reading.imports.append((one, Place(unit.label, one.line - start, number)))
    reading.functions += scan.functions
