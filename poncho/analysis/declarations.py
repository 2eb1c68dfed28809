"""The files in which a project declares its requirements, each read as far as it says so without being run."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poncho.analysis.model import Place, Problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Entry:
    """One requirement as written; ``group`` is the extra or group (empty: run time), ``development`` what is known to
    be for those who work on the project."""

    requirement: str
    group: str
    place: Place
    development: bool = False


@dataclass(slots=True)
class Declarations:
    """What one file declares; ``packaged`` tells whether it makes the project one that can be installed."""

    name: str = ""
    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    packaged: bool = False
    files: list[str] = field(default_factory=list)


class _Lines:
    """Finds the line of a requirement in the text it was read from."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = str(path)
        self._lines = text.splitlines()

    def place(self, requirement: str, after: str = "") -> Place:
        """Return where a requirement stands: the first line with its name after one that matches ``after``."""
        name = re.match(r"[\w.-]*", requirement)
        pattern = re.compile(rf"(?i)(?:^|[\s\"'\[,]){re.escape(name.group() if name else requirement)}(?![\w.-])")
        start = next((n for n, line in enumerate(self._lines) if after and re.search(after, line)), 0)
        for number in (*range(start, len(self._lines)), *range(start)):
            if pattern.search(self._lines[number].partition(" #")[0]):
                return Place(self._path, number + 1)
        return Place(self._path, 1)


def read_pyproject(path: Path) -> Declarations:
    """Read a pyproject.toml."""
    found = Declarations()
    try:
        text = path.read_text("utf-8")
        table: dict[str, Any] = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        found.problems.append(Problem(Place(str(path), 1), f"not read: {error}"))
        return found
    lines = _Lines(path, text)
    project, tool = _table(table, "project"), _table(table, "tool")
    poetry = _table(tool, "poetry")
    found.name = str(project.get("name") or poetry.get("name") or "")
    found.packaged = bool(found.name or "build-system" in table)

    def add(value: Any, group: str, after: str, development: bool = False) -> None:
        for one in _texts(value):
            found.entries.append(Entry(one, group, lines.place(one, after), development))

    add(project.get("dependencies"), "", r"^\s*dependencies\s*=")
    for group, value in _table(project, "optional-dependencies").items():
        add(value, group, rf"^\s*[\"']?{re.escape(group)}[\"']?\s*=|optional-dependencies\.")
    groups = _table(table, "dependency-groups")
    for group in groups:
        for one in _group(groups, group, ()):
            # A group is never installed with the project, whatever it is called.
            found.entries.append(Entry(one, group, lines.place(one, r"^\[dependency-groups"), True))
    add(_poetry(_table(poetry, "dependencies"), optional=False), "", r"^\[tool\.poetry\.dependencies")
    add(_poetry(_table(poetry, "dependencies"), optional=True), "extras", r"^\[tool\.poetry\.dependencies")
    add(_poetry(_table(poetry, "dev-dependencies")), "dev", r"^\[tool\.poetry\.dev-dependencies", True)
    for group, value in _table(poetry, "group").items():
        dependencies = _poetry(_table(value, "dependencies")) if isinstance(value, dict) else []
        add(dependencies, group, rf"^\[tool\.poetry\.group\.{re.escape(group)}", True)
    for group, value in _table(_table(tool, "pdm"), "dev-dependencies").items():
        add(value, group, r"^\[tool\.pdm\.dev-dependencies", True)
    add(_table(tool, "uv").get("dev-dependencies"), "dev", r"^\s*dev-dependencies\s*=", True)
    for group, value in _table(_table(tool, "hatch"), "envs").items():
        if isinstance(value, dict):
            add(value.get("dependencies"), f"hatch {group}", rf"^\[tool\.hatch\.envs\.{re.escape(group)}", True)
            add(value.get("extra-dependencies"), f"hatch {group}", rf"^\[tool\.hatch\.envs\.{re.escape(group)}", True)
    files = _table(_table(_table(tool, "setuptools"), "dynamic"), "dependencies").get("file")
    for name in [files] if isinstance(files, str) else _texts(files):
        _add_lines(path.parent / name, found)
    return found


def read_setup_cfg(path: Path) -> Declarations:
    """Read a setup.cfg."""
    found = Declarations()
    parser = configparser.ConfigParser(interpolation=None)
    try:
        text = path.read_text("utf-8")
        parser.read_string(text)
    except (OSError, ValueError, configparser.Error) as error:
        found.problems.append(Problem(Place(str(path), 1), f"not read: {str(error).splitlines()[0]}"))
        return found
    lines = _Lines(path, text)
    found.name = parser.get("metadata", "name", fallback="")
    found.packaged = parser.has_section("options") or bool(found.name)
    value = parser.get("options", "install_requires", fallback="")
    if value.startswith("file:"):
        for name in value.removeprefix("file:").split(","):
            _add_lines(path.parent / name.strip(), found)
    else:
        found.entries += [Entry(one, "", lines.place(one, r"^install_requires")) for one in _listed(value)]
    if parser.has_section("options.extras_require"):
        for group, value in parser.items("options.extras_require"):
            after = rf"^{re.escape(group)}\s*="
            found.entries += [Entry(one, group, lines.place(one, after)) for one in _listed(value)]
    tests = parser.get("options", "tests_require", fallback="")
    found.entries += [Entry(one, "tests", lines.place(one, r"^tests_require"), True) for one in _listed(tests)]
    return found


def read_setup_py(path: Path) -> Declarations:
    """Read the literal arguments of ``setup()``, and names that stand for literal lists."""
    found = Declarations(packaged=True)
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    values: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = node.value
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "setup"):
            continue
        for keyword in node.keywords:
            value = keyword.value
            if isinstance(value, ast.Name):
                value = values.get(value.id, value)
            if keyword.arg == "name" and isinstance(value, ast.Constant):
                found.name = str(value.value)
            elif keyword.arg in ("install_requires", "tests_require"):
                group = "" if keyword.arg == "install_requires" else "tests"
                listed = list(_literals(value, values, path))
                found.entries += [Entry(one, group, place, bool(group)) for one, place in listed]
                if not listed and not isinstance(value, (ast.List, ast.Tuple)):
                    said = f"{keyword.arg} is computed: what it says is not known without running setup.py"
                    found.problems.append(Problem(Place(str(path), keyword.value.lineno), said))
            elif keyword.arg == "extras_require" and isinstance(value, ast.Dict):
                for key, one in zip(value.keys, value.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found.entries += [Entry(text, key.value, place) for text, place in _literals(one, values, path)]
    return found


def read_metadata(root: Path) -> Iterator[Declarations]:
    """Yield what the metadata in an unpacked wheel, egg or source distribution declares."""
    candidates = [root / "PKG-INFO", root / "EGG-INFO" / "PKG-INFO"]
    unpacked = list(root.glob("*.dist-info"))
    # A wheel has one; a directory with several is where distributions are installed.
    candidates += [unpacked[0] / "METADATA"] if len(unpacked) == 1 else []
    for path in candidates:
        if not path.is_file():
            continue
        text = path.read_text("utf-8", "replace").split("\n\n", 1)[0]
        found = Declarations(packaged=True, files=[str(path)])
        for number, line in enumerate(text.splitlines(), 1):
            key, _, value = line.partition(":")
            if key == "Name":
                found.name = value.strip()
            elif key == "Requires-Dist":
                extra = re.search(r"extra\s*==\s*[\"']([^\"']+)", value)
                place = Place(str(path), number)
                found.entries.append(Entry(value.strip(), extra[1] if extra else "", place))
        requires = next(
            (one for one in (path.parent / "requires.txt", *root.glob("*.egg-info/requires.txt")) if one.is_file()),
            None,
        )
        if not found.entries and requires is not None:
            found.entries += _egg_requires(requires)
        yield found
        return


def _egg_requires(path: Path) -> Iterator[Entry]:
    group, marker = "", ""
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        line = line.strip()
        if section := re.fullmatch(r"\[(.*?)(?::(.*))?\]", line):
            group, marker = section[1], section[2] or ""
        elif line and not line.startswith("#"):
            yield Entry(f"{line}; {marker}" if marker else line, group, Place(str(path), number))


def _literals(value: ast.expr, values: dict[str, ast.expr], path: Path) -> Iterator[tuple[str, Place]]:
    """Yield the strings of a literal list, sum of lists, or text with one requirement a line."""
    if isinstance(value, ast.Name) and value.id in values and not isinstance(values[value.id], ast.Name):
        yield from _literals(values[value.id], {}, path)
    elif isinstance(value, ast.BinOp):
        yield from _literals(value.left, values, path)
        yield from _literals(value.right, values, path)
    elif isinstance(value, (ast.List, ast.Tuple, ast.Set)):
        for one in value.elts:
            yield from _literals(one, values, path)
    elif isinstance(value, ast.Constant) and isinstance(value.value, str):
        for text in _listed(value.value):
            yield text, Place(str(path), value.lineno)


def _add_lines(path: Path, found: Declarations) -> None:
    """Add a file with one requirement a line, as setuptools' ``file:`` reads it."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        found.problems.append(Problem(Place(str(path), 1), f"not read: {getattr(error, 'strerror', error)}"))
        return
    for number, line in enumerate(lines, 1):
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if line and not line.startswith("-"):
            found.entries.append(Entry(line, "", Place(str(path), number)))


def _listed(value: str) -> list[str]:
    return [line for one in value.splitlines() if (line := re.sub(r"(^|\s)#.*$", "", one).strip())]


def _group(groups: dict[str, Any], name: str, within: tuple[str, ...]) -> Iterator[str]:
    for one in groups.get(name, ()) if isinstance(groups.get(name), list) else ():
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict) and isinstance(inner := one.get("include-group"), str) and inner not in within:
            yield from _group(groups, inner, (*within, name))


def _poetry(table: dict[str, Any], optional: bool | None = None) -> list[str]:
    """Return Poetry's table as requirements, without versions: its operators are not those of PEP 440."""
    chosen = {name: value for name, value in table.items() if name.lower() != "python"}
    if optional is not None:
        chosen = {n: v for n, v in chosen.items() if bool(isinstance(v, dict) and v.get("optional")) is optional}
    return [
        f"{name}; {value['markers']}" if isinstance(value, dict) and isinstance(value.get("markers"), str) else name
        for name, value in chosen.items()
    ]


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
