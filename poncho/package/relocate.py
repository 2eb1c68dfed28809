"""Relocate an unpacked package towards the directory that it will have, without running anything of it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from conda_pack import prefixes

from poncho.errors import PackageError
from poncho.pack.runtime_files import runtime_path

_SCRIPT = "relocate.py"
_RECORDS = "_prefix_records"


def apply_records(root: Path, target: Path) -> None:
    """Make the files in ``root`` name ``target``, by the relocation records (docs/format.md) and our own code for them.

    Raises PackageError when the records are damaged, or the target's path is too long for them.
    """
    if not (root / "poncho/relocation").is_file():
        return
    argv = [sys.executable, "-I", "-S", "-B", str(runtime_path(_SCRIPT)), str(root), str(target)]
    done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C.UTF-8"})
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").splitlines()
        found = dict(line.split(": ", 1) for line in words if line.startswith(("poncho: ", "hint: ")))
        message = found.get("poncho", f"cannot be relocated to {target}")
        raise PackageError(message, hint=found.get("hint", "unpack with --no-relocate"))


def foreign_records(script: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield the records (path, placeholder, mode) in conda-pack's ``bin/conda-unpack``, which is read as data.

    Raises PackageError for a script without any list of records.
    """
    try:
        for node in ast.parse(script).body:
            names = (
                [name.id for name in node.targets if isinstance(name, ast.Name)] if isinstance(node, ast.Assign) else []
            )
            if isinstance(node, ast.Assign) and names == [_RECORDS]:
                for path, placeholder, mode in ast.literal_eval(node.value):
                    if not (isinstance(path, str) and isinstance(placeholder, str) and mode in ("text", "binary")):
                        raise ValueError
                    yield path, placeholder, mode
                return
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise _unreadable() from error
    raise _unreadable()


def replace_prefix(root: Path, path: str, placeholder: str, mode: str, target: Path) -> None:
    """Put ``target`` in the place of ``placeholder`` in one file below ``root``; what is no plain file there is left.

    Raises PackageError when the path leads out of ``root``, or the target's path is too long for the file.
    """
    parts = path.split("/")
    if "\0" in path or not placeholder or any(part in ("", ".", "..") for part in parts):
        raise PackageError(f"{path!r}: its relocation record leads out of the environment", hint="do not use this file")
    file = root / path
    if file.is_symlink() or not file.is_file() or file.parent.resolve() != root.resolve().joinpath(*parts[:-1]):
        return
    old = file.read_bytes()
    try:
        new = prefixes.replace_prefix(old, mode, placeholder, os.fspath(target))
    except (ValueError, UnicodeError) as error:
        if path.endswith(".pyc"):  # no more than the file name in tracebacks
            return
        raise PackageError(
            f"the path {target} is too long for {path!r}", hint="use a directory with a shorter path"
        ) from error
    if new != old:
        sibling = file.with_name(f"{file.name}.poncho-new")
        sibling.write_bytes(new)
        sibling.chmod(file.stat().st_mode & 0o777)
        facts = file.stat()
        os.utime(sibling, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        sibling.replace(file)


def _unreadable() -> PackageError:
    return PackageError("bin/conda-unpack has no list of what to relocate", hint="unpack with --no-relocate")
