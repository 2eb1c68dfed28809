"""Which shared libraries go along with an interpreter, and where on this machine they are."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from poncho.base.elf import Elf, read_elf

# glibc belongs to the machine: it must fit the kernel and the loader, and the package says which version it needs.
_GLIBC = re.compile(
    r"(?:ld-linux.*|ld64|linux-vdso|linux-gate|lib(?:c|m|mvec|dl|pthread|rt|util|resolv|anl|nss_\w+|BrokenLocale|thread_db))"
    r"\.so(?:\.\d+)?|libnsl\.so\.1"
)
# Families that need more than files to work (displays, Kerberos realms, NIS): a module that needs one is left out.
_LEFT_OUT = re.compile(
    r"lib(?:X\w+|xcb.*|tk|tcl|GL\w*|gssapi\w*|krb5\w*|k5crypto|com_err|keyutils|tirpc|nsl)\d*(?:[.-]\d+)*\.so.*"
)
# Not needed by the interpreter, but by wheels: manylinux wheels expect them on the machine (PEP 600) and do not bring
# them.
_FOR_WHEELS = ("libgcc_s.so.1", "libstdc++.so.6")
_LINE = re.compile(r"^\s*(?P<name>\S+) => (?P<path>/.+?) \(0x[0-9a-f]+\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Closure:
    """The libraries to take, by the name they are loaded by; and the modules to leave out, each with the reason."""

    libraries: Mapping[str, Path]
    dropped: Mapping[Path, str]


def close_over(
    interpreter: Path, modules: Iterable[Path], *, loader: str | None, own: Path, environ: Mapping[str, str]
) -> Closure:
    """Return the libraries that ``interpreter`` and ``modules`` need, followed to the end.

    ``loader`` is the program interpreter that resolves names as it will at run time; ``own`` a directory to look in
    first.
    """
    finder = _Finder(loader, own, environ)
    libraries: dict[str, Path] = {}
    dropped: dict[Path, str] = {}
    for path in [interpreter, *sorted(modules)]:
        found, reason = finder.follow(path)
        if reason is None:
            libraries.update(found)
        elif path == interpreter:
            # Nothing can be done about the interpreter itself: what is there goes along.
            libraries.update(found)
        else:
            dropped[path] = reason
    for name in _FOR_WHEELS:
        path_for_wheels = finder.find(name, interpreter)
        if path_for_wheels is not None:
            libraries[name] = path_for_wheels
    return Closure(libraries=dict(sorted(libraries.items())), dropped=dropped)


def is_glibc(name: str) -> bool:
    """Tell whether a library belongs to the GNU C library."""
    return _GLIBC.fullmatch(name) is not None


class _Finder:
    def __init__(self, loader: str | None, own: Path, environ: Mapping[str, str]) -> None:
        self._loader = loader
        self._own = own
        self._environ = environ
        self._known: dict[str, Path | None] = {}
        self._elves: dict[Path, Elf | None] = {}

    def follow(self, path: Path) -> tuple[dict[str, Path], str | None]:
        """Return what ``path`` needs, and why it cannot be taken (None when it can)."""
        found: dict[str, Path] = {}
        waiting = [path]
        while waiting:
            current = waiting.pop()
            elf = self._elf(current)
            for name in elf.needed if elf else ():
                if name in found or is_glibc(name):
                    continue
                if _LEFT_OUT.fullmatch(name):
                    return found, f"needs {name}, which is not taken along"
                library = self.find(name, current)
                if library is None:
                    return found, f"needs {name}, which is not on this machine"
                found[name] = library
                waiting.append(library)
        return found, None

    def find(self, name: str, user: Path) -> Path | None:
        """Return where the loader finds ``name`` when ``user`` asks for it."""
        if name not in self._known:
            own = self._own / name
            self._known[name] = own.resolve() if own.is_file() else None
        if self._known[name] is None:
            self._ask_loader(user)
        if self._known.get(name) is None:
            self._known[name] = _in_directories(name, self._own)
        return self._known[name]

    def _ask_loader(self, user: Path) -> None:
        if self._loader is None:
            return
        try:
            answer = subprocess.run(
                [self._loader, "--list", str(user)],
                env={k: v for k, v in self._environ.items() if k == "LD_LIBRARY_PATH"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return
        for match in _LINE.finditer(answer.stdout.decode(errors="surrogateescape")):
            if self._known.get(match["name"]) is None:
                self._known[match["name"]] = Path(match["path"]).resolve()

    def _elf(self, path: Path) -> Elf | None:
        if path not in self._elves:
            self._elves[path] = read_elf(path)
        return self._elves[path]


def _in_directories(name: str, own: Path) -> Path | None:
    machine = os.uname().machine
    for directory in (own, Path(f"/usr/lib/{machine}-linux-gnu"), Path("/usr/lib64"), Path("/usr/lib"), Path("/lib64")):
        if (directory / name).is_file():
            return (directory / name).resolve()
    return None
