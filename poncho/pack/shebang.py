"""Scripts that find the environment's Python beside themselves, so that they need neither relocation nor activation."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_PYTHON = re.compile(rb"python(?:[23](?:\.\d+)?)?t?\Z")
_ENV = re.compile(rb"#![ \t]*/usr/bin/env[ \t]+(?:-S[ \t]+)?(\S+)[ \t]*(.*)\Z")
# What pip, distlib, conda-pack, uv and (with "#" at the end) rattler write when the path is long or has spaces.
_LONG = re.compile(
    rb"#!/bin/sh\r?\n'''exec'[ \t]+(\"[^\"\n]+\"|'[^'\n]+'|\S+)"
    rb"[ \t]*(.*?)[ \t]*\"\$0\"[ \t]+\"\$@\"[ \t]*(?:\r?\n'[ \t]*|#)'''[ \t]*\r?\n"
)
_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)[^\n]*")
_OPTION = re.compile(rb"(?:-[A-Za-z0-9=_.:-]+[ \t]*)*\Z")

# Python sees a string, the shell a few commands. $0 is what the kernel or the caller gave: with a slash, except after
# "sh script". A symbolic link elsewhere is followed; otherwise no process is started before Python.
_HEADER = b"""#!/bin/sh
%(cookie)s'''': # finds its Python beside itself
_poncho_script=$0
case $0 in */*) ;; *) [ -f "$0" ] && _poncho_script=./$0 || _poncho_script=$(command -v -- "$0") ;; esac
_poncho_real=$_poncho_script
[ ! -L "$_poncho_real" ] || _poncho_real=$(readlink -f -- "$_poncho_real")
exec "${_poncho_real%%/*}/%(python)s" %(options)s"$_poncho_script" "$@"
'''
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What a script's first lines say: the interpreter's file name, its options, and where the script itself begins."""

    name: str
    options: bytes
    body: int


def find_interpreter(data: bytes, needles: Sequence[bytes], names: Collection[str]) -> Interpreter | None:
    """Return the interpreter when it is the environment's Python (one of ``names``, files of ``bin/``), else None."""
    if data[:2] != b"#!":
        return None
    long = _LONG.match(data)
    if long:
        return _inside(long[1].strip(b"\"'"), long[2], long.end(), needles, names)
    end = data.find(b"\n")
    line, body = (data, len(data)) if end < 0 else (data[:end].rstrip(b"\r"), end + 1)
    env = _ENV.match(line)
    if env:
        name = os.fsdecode(env[1])
        known = _PYTHON.match(env[1]) and name in names
        return Interpreter(name, env[2], body) if known and _OPTION.match(env[2]) else None
    return _inside(line[2:].lstrip(b" \t"), None, body, needles, names)


def shortened(data: bytes, needles: Sequence[bytes]) -> bytes | None:
    """Return a script with its interpreter in one line again, when installers wrote two because the prefix is long.

    How long it was must not be seen in the package; the runner knows what to do where it is too long for the kernel.
    """
    long = _LONG.match(data) if data[:2] == b"#!" else None
    if long is None:
        return None
    path = long[1].strip(b"\"'")
    if not any(path.startswith(needle + b"/") for needle in needles):
        return None
    return b"#!" + b" ".join(filter(None, (path, long[2].strip()))) + b"\n" + data[long.end() :]


def _inside(
    path: bytes, options: bytes | None, body: int, needles: Sequence[bytes], names: Collection[str]
) -> Interpreter | None:
    """Judge an interpreter's path; ``options`` None means that they follow in the same line. Prefixes may have spaces."""
    for needle in needles:
        if path.startswith(needle + b"/bin/"):
            file = path[len(needle) + 5 :]
            if options is None:
                file, _, options = file.partition(b" ")
            known = _PYTHON.match(file) and os.fsdecode(file) in names and _OPTION.match(options.strip())
            return Interpreter(os.fsdecode(file), options, body) if known else None
    return None


def relocatable(data: bytes, interpreter: Interpreter) -> bytes | None:
    """Return the script with a header that finds its Python, or None when Python would read the script otherwise.

    The header is a string to Python, so it would take the place of the script's own docstring, and ``from __future__``
    must come before everything else: such scripts keep a first line that is relocated.
    """
    body = data[interpreter.body :]
    cookie = _COOKIE.match(body.split(b"\n", 1)[0])
    archive = b"PK\x03\x04" in body
    if not archive and not _survives(body):
        return None
    options = interpreter.options.strip()
    return (
        _HEADER
        % {
            b"cookie": cookie[0] + b"\n" if cookie and not _is_utf8(cookie[1]) else b"",
            b"python": os.fsencode(interpreter.name),
            b"options": options + b" " if options else b"",
        }
        + body
    )


def _survives(body: bytes) -> bool:
    try:
        statements = ast.parse(body).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not statements:
        return True
    first = statements[0]
    docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    future = isinstance(first, ast.ImportFrom) and first.module == "__future__"
    return not docstring and not future


def _is_utf8(name: bytes) -> bool:
    return name.lower().replace(b"_", b"-") in (b"utf-8", b"utf8", b"ascii", b"us-ascii")
