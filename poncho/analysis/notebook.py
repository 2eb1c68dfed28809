"""The code of a Jupyter notebook (nbformat 3 and 4): cells in order, with IPython's own syntax taken out."""

from __future__ import annotations

import re
from typing import Any

from poncho import _json

# Cell magics whose body is still Python; the body of any other one (bash, html, writefile, …) is not.
_PYTHON_CELLS = frozenset(
    {
        "time",
        "timeit",
        "capture",
        "prun",
        "memit",
        "mprun",
        "lprun",
        "python",
        "python3",
        "pypy",
        "debug",
        "px",
        "script_python",
    }
)
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_LINE_MAGIC = re.compile(r"^(\s*)(?:%(?!%)|!|\?|,|;|/(?=\w))")
_HELP = re.compile(r"^(\s*)%{0,2}[\w.*]+\?{1,2}\s*$")
_ASSIGNED = re.compile(r"^(\s*[\w.,\s\[\]'\"]+=)\s*(?:%|!)\s*\S.*$")
_TIMED = re.compile(r"^(\s*)%(?:time|timeit|prun|memit)\s+(?:-\S+\s+)*(?=import\b|from\b|\w+\s*[=(.])")


class NotANotebookError(ValueError):
    """The text is no notebook; the message says why."""


class OtherLanguageError(NotANotebookError):
    """A notebook, and none of Python."""


def read_cells(text: str) -> list[tuple[int, str]]:
    """Return ``(cell number from 1, Python text)`` of each code cell. Raises NotANotebookError."""
    try:
        document = _json.loads(text)
    except ValueError as error:
        raise NotANotebookError(f"not a notebook: {error}") from error
    if not isinstance(document, dict):
        raise NotANotebookError("not a notebook: no JSON object")
    sheets = document.get("worksheets")
    holders: list[Any] = sheets if isinstance(sheets, list) else [document]
    cells = [cell for holder in holders if isinstance(holder, dict) for cell in _list(holder.get("cells"))]
    if not cells and not isinstance(document.get("cells"), list):
        raise NotANotebookError("not a notebook: it has no cells")
    language = _language(document.get("metadata"))
    if language not in ("", "python", "ipython", "python3", "python2"):
        raise OtherLanguageError(f"a notebook in {language}, not in Python")
    found = []
    for number, cell in enumerate(cells, 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", cell.get("input", ""))
            lines = "".join(part for part in source if isinstance(part, str)) if isinstance(source, list) else source
            if isinstance(lines, str):
                found.append((number, plain_python(lines)))
    return found


def plain_python(cell: str) -> str:
    """Return a cell's text as Python with the same line numbers: magics, shell lines and help lines become ``pass``."""
    lines = cell.split("\n")
    first = next((index for index, line in enumerate(lines) if line.strip()), None)
    if first is not None and (magic := _CELL_MAGIC.match(lines[first])):
        if magic.group(1) not in _PYTHON_CELLS:
            return ""
        lines[first] = ""
    return "\n".join(_plain_line(line) for line in lines)


def _plain_line(line: str) -> str:
    if timed := _TIMED.match(line):
        return timed.group(1) + line[timed.end() :]
    if assigned := _ASSIGNED.match(line):
        return f"{assigned.group(1)} None"
    if found := _HELP.match(line) or _LINE_MAGIC.match(line):
        return f"{found.group(1)}pass"
    return line


def _language(metadata: Any) -> str:
    if not isinstance(metadata, dict):
        return ""
    for key, name in (("kernelspec", "language"), ("language_info", "name")):
        holder = metadata.get(key)
        if isinstance(holder, dict) and isinstance(value := holder.get(name), str):
            return value.lower()
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
