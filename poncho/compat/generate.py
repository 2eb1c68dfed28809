"""Put together the program that serves functions on a node: one file, with its run-time inside."""

from __future__ import annotations

import inspect
import re
import textwrap
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from poncho._version import __version__
from poncho.compat.extract import Extract
from poncho.compat.written import source_of
from poncho.errors import BuildError, UsageError
from poncho.pack.runtime_files import runtime_file
from poncho.store import atomic_file

Version = Literal["taskvine", "work_queue"]
SHEBANG = "#! /usr/bin/env python3\n"
DEFAULT_NAME = "my_coprocess"
_RUNTIMES: dict[Version, tuple[str, str]] = {
    "taskvine": ("library_taskvine.py", "TaskVine"),
    "work_queue": ("library_work_queue.py", "Work Queue"),
}
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def check_version(version: str) -> Version:
    """Return ``version`` if it is a kind of library that can be made. Raises UsageError."""
    for known in _RUNTIMES:
        if version == known:
            return known
    raise UsageError(f"{version!r} is no version of a library", hint="use taskvine or work_queue")


def hoisted_code(modules: Any) -> str:
    """Return the preamble for what a library should have loaded: modules are imported, functions and classes defined.

    Raises UsageError for anything else, or where the source of a function or class cannot be found.
    """
    if modules is None:
        return ""
    if not isinstance(modules, (list, tuple, set, frozenset)):
        raise UsageError(
            f"hoisting_modules must be a list, not {type(modules).__name__}",
            hint="for example [numpy]",
        )
    blocks = []
    for item in modules:
        if isinstance(item, types.ModuleType):
            if not _DOTTED.fullmatch(item.__name__) or item.__name__ == "__main__":
                raise UsageError(f"module {item.__name__} cannot be imported by its name on a node")
            blocks.append(f"import {item.__name__}")
        elif inspect.isfunction(item) or inspect.isclass(item):
            try:
                blocks.append("\n" + source_of(item).rstrip() + "\n")
            except (OSError, TypeError) as error:
                raise UsageError(
                    f"the source of {item.__name__} cannot be found", hint="hoist modules, or what stands in a file"
                ) from error
        else:
            raise UsageError(
                f"{item!r} cannot be hoisted", hint="hoisting_modules takes modules, functions and classes"
            )
    return "\n".join(blocks) + "\n" if blocks else ""


def served_source(extract: Extract, version: Version, hoisted: str) -> str:
    """Return the program that serves the functions of ``extract`` under what its function ``name()`` returns."""
    code = extract.code
    if "name" not in extract.functions:
        code += f'\n\ndef name():\n    return "{DEFAULT_NAME}"\n'
    table = ", ".join(f'"{name}": {name}' for name in dict.fromkeys(extract.functions) if name != "name")
    return _program(version, hoisted, code, f"name(), {{{table}}}", extract.futures)


def pickled_source(info: str, hoisted: str) -> str:
    """Return the program that serves the pickled functions in the file ``info``, which lies beside it on the node."""
    return _program("taskvine", hoisted, "", f'"{info}"', ())


def write_program(text: str, path: Path) -> None:
    """Write a generated program, executable, whole or not at all. Raises BuildError when it is no valid Python."""
    try:
        compile(text, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise BuildError(
            f"{path}: the generated program does not parse: line {error.lineno}: {error.msg}",
            hint="what is hoisted must make sense at module level",
        ) from error
    with atomic_file(path, mode=0o755) as private:
        private.write_text(text, encoding="utf-8")


def _program(version: Version, hoisted: str, code: str, arguments: str, futures: Sequence[str]) -> str:
    file, peer = _RUNTIMES[version]
    parts = [SHEBANG + f'"""Serve functions to a {peer} worker. Made by PONCHO {__version__}."""\n']
    if futures:
        parts.append(f"from __future__ import {', '.join(futures)}\n")
    parts += [part for part in (hoisted, code) if part.strip()]
    # In a function, so that the names of the run-time and those of the user's code cannot meet.
    runtime = textwrap.indent(runtime_file(file).decode("utf-8").rstrip(), "    ")
    parts.append(f"\ndef _poncho_serve(*library):\n{runtime}\n\n    main(*library)\n")
    parts.append(f'\nif __name__ == "__main__":\n    _poncho_serve({arguments})\n')
    return "\n".join(parts)
