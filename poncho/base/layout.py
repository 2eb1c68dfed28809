"""Which files of an interpreter make a conda package's Python, and where in the prefix each goes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from poncho._trees import walk
from poncho.base.elf import read_elf
from poncho.base.facts import InterpreterFacts
from poncho.base.libraries import Closure, close_over
from poncho.errors import BuildError

# Directories at the top of the standard library that no program on a node needs: tests, the editor, Tk, and pip's
# bootstrap (pip is a package of its own).
_SKIPPED_AT_TOP = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib-dynload"}
)
_TEST_PACKAGES = frozenset({"unittest/test", "ctypes/test", "distutils/tests", "lib2to3/tests", "sqlite3/test"})
_SKIPPED_FILES = frozenset({"EXTERNALLY-MANAGED", "sitecustomize.py", "usercustomize.py", "turtle.py"})
_SKIPPED_MODULES = ("_test", "_ctypes_test", "_xxtestfuzz", "xxlimited", "xxsubtype", "_tkinter")


@dataclass(frozen=True, slots=True)
class Layout:
    """The interpreter's files by their path in the prefix (``/`` separated). ``links`` are symbolic: target by path."""

    files: Mapping[str, Path]
    links: Mapping[str, str]
    executable: str
    libraries: Mapping[str, Path] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)


def plan_layout(facts: InterpreterFacts, environ: Mapping[str, str]) -> Layout:
    """Return what to take of the interpreter. Raises BuildError when it has no standard library to take."""
    if not (facts.stdlib / "os.py").is_file():
        raise BuildError(
            f"{facts.executable}: its standard library {facts.stdlib} has no os.py",
            hint="install the whole of that Python, or name a conda channel in the spec",
        )
    library_directory = f"lib/{facts.name}"
    executable = f"bin/{facts.name}"
    files = {executable: facts.executable}
    files.update({f"{library_directory}/{name}": path for name, path in _standard_library(facts.stdlib)})
    closure, modules = _modules(facts, environ)
    files.update({f"{library_directory}/lib-dynload/{path.name}": path for path in modules})
    files.update({f"lib/{name}": path for name, path in closure.libraries.items()})
    files.update({f"include/{facts.include.name}/{name}": path for name, path in _headers(facts)})
    files.update(_extras(facts))
    return Layout(
        files=dict(sorted(files.items())),
        links=_links(facts, files),
        executable=executable,
        libraries=closure.libraries,
        dropped={path.name: reason for path, reason in closure.dropped.items()},
    )


def _standard_library(stdlib: Path) -> Iterator[tuple[str, Path]]:
    for directory, names, files in walk(stdlib):
        relative = Path(directory).relative_to(stdlib).as_posix()
        top = relative == "."
        names[:] = sorted(name for name in names if not _skip_directory(name, "" if top else relative))
        for name in files:
            path = Path(directory, name)
            if not (name.endswith((".pyc", ".a", ".o")) or (top and name in _SKIPPED_FILES)) and path.is_file():
                yield (name if top else f"{relative}/{name}"), path


def _skip_directory(name: str, parent: str) -> bool:
    if name == "__pycache__":
        return True
    if parent:
        return f"{parent}/{name}" in _TEST_PACKAGES
    # config-*: what was needed to link the interpreter itself: tens of megabytes, and paths of the machine it was built
    # on.
    return name in _SKIPPED_AT_TOP or name.startswith("config-")


def _modules(facts: InterpreterFacts, environ: Mapping[str, str]) -> tuple[Closure, list[Path]]:
    found = sorted(facts.dynload.glob("*.so")) if facts.dynload.is_dir() else []
    wanted = [path for path in found if not path.name.startswith(_SKIPPED_MODULES)]
    elf = read_elf(facts.executable)
    if elf is None:
        raise BuildError(
            f"{facts.executable}: is not an ELF program", hint="name a conda channel in the spec, or use another Python"
        )
    own = facts.libdir if facts.kind != "debian" else Path(os.devnull)
    closure = close_over(facts.executable, wanted, loader=elf.interpreter, own=own, environ=environ)
    return closure, [path for path in wanted if path not in closure.dropped]


def _headers(facts: InterpreterFacts) -> Iterator[tuple[str, Path]]:
    if not facts.include.is_dir():
        return
    for path in sorted(facts.include.rglob("*.h")):
        yield path.relative_to(facts.include).as_posix(), path
    # Debian's pyconfig.h is a switch between machines that only works below /usr/include.
    machine = facts.include.parent / facts.multiarch / facts.include.name / "pyconfig.h"
    if facts.multiarch and machine.is_file():
        yield "pyconfig.h", machine


def _extras(facts: InterpreterFacts) -> Iterator[tuple[str, Path]]:
    """Yield what only an interpreter with a prefix of its own brings: build helpers, the terminal database."""
    if facts.prefix == Path("/usr"):
        return
    config = facts.prefix / "bin" / f"{facts.name}-config"
    if config.is_file():
        yield f"bin/{facts.name}-config", config.resolve()
    minor = facts.name.removeprefix("python")
    for name in (f"python-{minor}.pc", f"python-{minor}-embed.pc"):
        path = facts.libdir / "pkgconfig" / name
        if path.is_file():
            yield f"lib/pkgconfig/{name}", path.resolve()
    terminals = facts.prefix / "share" / "terminfo"
    if facts.kind in ("standalone", "conda") and terminals.is_dir():
        for path in sorted(terminals.rglob("*")):
            if path.is_file():
                yield path.relative_to(facts.prefix).as_posix(), path


def _links(facts: InterpreterFacts, files: Mapping[str, Path]) -> dict[str, str]:
    links = {"bin/python": facts.name, "bin/python3": facts.name}
    if f"bin/{facts.name}-config" in files:
        links["bin/python3-config"] = f"{facts.name}-config"
    for name in [name for name in files if name.startswith("lib/libpython")]:
        # What the linker looks for when a program embeds the interpreter: libpython3.11.so.
        plain = name.partition(".so.")[0] + ".so"
        if plain not in files:
            links[plain] = Path(name).name
    for name in [name for name in files if name.startswith("lib/pkgconfig/")]:
        suffix = "-embed.pc" if name.endswith("-embed.pc") else ".pc"
        links[f"lib/pkgconfig/python3{suffix}"] = Path(name).name
    if facts.platlibdir != "lib":
        # Fedora's interpreters look for their library in lib64; conda knows only lib.
        links[facts.platlibdir] = "lib"
    return dict(sorted(links.items()))
