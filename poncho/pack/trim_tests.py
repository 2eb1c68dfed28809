"""Find the test suites that no other code of an environment uses: their files are read, nothing is imported.

A test suite is a directory ``tests`` or ``test`` of a Python package, or of the standard library, with files that a test
runner would collect. It is used when code outside of test suites imports it, names it in a string (``"pkg.tests.data"``, or
the directory itself), or an entry point leads to it.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from poncho.pack.model import Entry

_ROOT = re.compile(r"lib(?:64)?/python3[^/]*/(?:site-packages/)?")
_COLLECTED = re.compile(r"(?:test_.*|.*_tests?|conftest|tests)\.py\Z")
_WORD = re.compile(rb"\b(?:tests?|idle_test)\b")
_DOTTED = re.compile(r"[A-Za-z_][\w.]*\.tests?(?:[.:][\w.:]+)?\Z")
_PATH = re.compile(r"(?:\./)?(?:[\w.-]+/)*tests?(?:/.*)?\Z")
# They are for building and testing, and are not imported by anything.
_TOOLS = frozenset({"setup.py", "conftest.py", "noxfile.py", "_pytesttester.py"})


def unused_tests(by_path: Mapping[str, Entry]) -> tuple[frozenset[str], list[str]]:
    """Return the directories of suites that nothing uses, and the dotted names of those that something does."""
    suites = _suites(by_path)
    names = {_dotted(directory): directory for directory in suites}
    kept: set[str] = set()
    outside = [path for path in by_path if path.endswith((".py", "/entry_points.txt")) and not _in(path, suites)]
    while outside:
        uses = {names[name] for path in outside for name in _used(by_path[path], path, names)} - kept
        kept |= uses
        # What is kept is code like any other: what it uses is used.
        outside = [
            path for path in by_path if path.endswith(".py") and _in(path, uses) and not _in(path, suites - kept)
        ]
    return frozenset(suites - kept), sorted(name for name, directory in names.items() if directory in kept)


def _suites(by_path: Iterable[str]) -> set[str]:
    collected: set[str] = set()
    for path in by_path:
        root = _ROOT.match(path)
        if root is None or not path.endswith(".py") or not _COLLECTED.match(posixpath.basename(path)):
            continue
        # The outermost directory of that name: a suite's own helpers lie below it.
        found = next(_directories(path, root.end()), None)
        if found is not None:
            collected.add(found)
    return collected


def _directories(path: str, start: int) -> Iterator[str]:
    at = path.find("/", start)
    while at >= 0:
        if path[:at].rpartition("/")[2] in ("test", "tests", "idle_test"):
            yield path[:at]
        at = path.find("/", at + 1)


def _in(path: str, directories: set[str]) -> bool:
    root = _ROOT.match(path)
    return root is not None and any(directory in directories for directory in _directories(path, root.end()))


def _dotted(path: str) -> str:
    root = _ROOT.match(path)
    return path[root.end() if root else 0 :].replace("/", ".")


def _used(entry: Entry, path: str, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the dotted names of suites that a file uses."""
    if posixpath.basename(path) in _TOOLS:
        return
    try:
        data = entry.data if entry.data is not None else _read(entry)
    except OSError:
        return
    if not _WORD.search(data):
        return
    if path.endswith(".txt"):
        for word in re.findall(r"[\w.]+", data.decode("utf-8", "replace")):
            yield from _known(word, names)
        return
    module = _dotted(path.removesuffix(".py").removesuffix("/__init__"))
    package = module if path.endswith("/__init__.py") else module.rpartition(".")[0]
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in _imported_code(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _known(alias.name, names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _known(".".join([*base, alias.name]), names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
            if _DOTTED.match(node.value):
                yield from _known(node.value.replace(":", "."), names)
            elif _PATH.match(node.value):
                yield from _by_path(node.value, package, names)


def _imported_code(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module apart from what runs only when it is the program."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
            names = [node.test.left, *node.test.comparators]
            if any(isinstance(name, ast.Name) and name.id == "__name__" for name in names):
                waiting += node.orelse
                continue
        yield node
        waiting += ast.iter_child_nodes(node)


def _known(dotted: str, names: Mapping[str, str]) -> Iterator[str]:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in names:
            yield name


def _by_path(text: str, package: str, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the suite that a relative path means, as seen from the package whose code holds it."""
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    for length in range(len(parts), 0, -1):
        yield from _known(".".join([package, *parts[:length]]), names)


def _read(entry: Entry) -> bytes:
    assert entry.source is not None
    with open(entry.source, "rb") as stream:
        return stream.read()
