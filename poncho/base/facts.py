"""What an interpreter says about itself. It is asked in a process of its own and never imported."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from poncho import _json
from poncho.engine.pip_tools import clean_environment

Kind = Literal["source", "debian", "standalone", "conda"]

# Runs under Python 3.6 and later, isolated and without `site`: what the user or a distribution adds to it does not
# count.
_QUESTION = """
import json, os, platform, struct, sys, sysconfig
value = sysconfig.get_config_vars().get
try:
    built = __import__(sysconfig._get_sysconfigdata_name()).build_time_vars["prefix"]
except Exception:
    built = sys.base_prefix
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": platform.python_version(),
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "prefix": sys.base_prefix,
    "built": built,
    "exec_prefix": sys.base_exec_prefix,
    "platlibdir": getattr(sys, "platlibdir", "lib"),
    "stdlib": os.path.dirname(os.path.realpath(os.__file__)),
    "destshared": value("DESTSHARED") or "",
    "include": value("INCLUDEPY") or "",
    "libdir": value("LIBDIR") or "",
    "library": value("INSTSONAME") or "",
    "multiarch": value("MULTIARCH") or "",
    "wheels": value("WHEEL_PKG_DIR") or "",
    "standalone": bool(value("PYTHON_BUILD_STANDALONE")),
    "machine": platform.machine(),
    "system": sys.platform,
    "bits": struct.calcsize("P") * 8,
}))
"""
_TIMEOUT = 30.0
_MACHINES = {
    "x86_64": ("linux-32", "linux-64"),
    "amd64": ("linux-32", "linux-64"),
    "i686": ("linux-32", "linux-32"),
    "aarch64": ("linux-armv7l", "linux-aarch64"),
    "arm64": ("linux-armv7l", "linux-aarch64"),
    "armv7l": ("linux-armv7l", "linux-armv7l"),
    "ppc64le": ("linux-ppc64le", "linux-ppc64le"),
    "s390x": ("linux-s390x", "linux-s390x"),
    "riscv64": ("linux-riscv64", "linux-riscv64"),
}

_VERSIONED = re.compile(r"python3\.\d+")


@dataclass(frozen=True, slots=True)
class InterpreterFacts:
    """One interpreter on this machine, as it describes itself; a virtual environment's is described by its base.

    ``name`` is ``python3.11`` (``python3.13t`` when free-threaded): the name of its file, of its directory of the
    standard library and of its headers. ``built_for`` is the prefix that it was configured with: another one when it
    was moved since. ``multiarch`` is Debian's ``x86_64-linux-gnu`` or empty. ``library`` is the file name of libpython.
    """

    implementation: str
    version: str
    name: str
    executable: Path
    prefix: Path
    built_for: Path
    platlibdir: str
    stdlib: Path
    dynload: Path
    include: Path
    libdir: Path
    library: str
    multiarch: str
    wheels: Path | None
    kind: Kind
    platform: str | None

    @property
    def minor(self) -> str:
        """Return ``3.11`` for 3.11.7."""
        return ".".join(self.version.split(".")[:2])


def ask(executable: Path, environ: Mapping[str, str]) -> InterpreterFacts | None:
    """Return the facts of the interpreter behind ``executable``, or None when it cannot be run or does not answer.

    ``executable`` may be a link, a pyenv shim or a virtual environment's python.
    """
    # An environment's LD_LIBRARY_PATH may be what the interpreter needs to start at all, so it stays.
    try:
        answer = subprocess.run(
            [str(executable), "-I", "-B", "-S", "-c", _QUESTION],
            env=clean_environment(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=True,
        )
        said = _json.loads(answer.stdout.decode())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return _facts(said)


def _facts(said: Mapping[str, Any]) -> InterpreterFacts:
    stdlib = Path(said["stdlib"])
    name = stdlib.name if stdlib.name.startswith("python") else f"python{'.'.join(said['version'].split('.')[:2])}"
    prefix = Path(said["prefix"])
    executable = _own_executable(Path(said["executable"]), prefix, name)
    return InterpreterFacts(
        implementation=said["implementation"],
        version=said["version"],
        name=name,
        executable=executable,
        prefix=prefix,
        built_for=Path(said["built"]),
        platlibdir=said["platlibdir"],
        stdlib=stdlib,
        dynload=_dynload(said, stdlib, name),
        include=_existing(prefix / "include" / Path(said["include"]).name, Path(said["include"])),
        libdir=_existing(prefix / said["platlibdir"], Path(said["libdir"])),
        library=said["library"],
        multiarch=said["multiarch"],
        wheels=Path(said["wheels"]) if said["wheels"] else None,
        kind=_kind(said, prefix, stdlib),
        platform=_platform(said),
    )


def _own_executable(executable: Path, prefix: Path, name: str) -> Path:
    # A virtual environment made with copies has an executable of its own; the base's is what belongs to the library. Or it
    # takes the base's "python3" for its own, which may be of another version.
    beside = prefix / "bin" / name
    is_inside = executable.parent.resolve() == (prefix / "bin").resolve()
    is_other = executable.name != name and _VERSIONED.fullmatch(executable.name)
    return beside.resolve() if beside.is_file() and (is_other or not is_inside) else executable


def _dynload(said: Mapping[str, Any], stdlib: Path, name: str) -> Path:
    """Find lib-dynload: beside the standard library, or (Fedora) below the other library directory."""
    split = Path(said["exec_prefix"]) / said["platlibdir"] / name / "lib-dynload"
    return _existing(stdlib / "lib-dynload", split, Path(said["destshared"]))


def _existing(*paths: Path) -> Path:
    # What sysconfig says is where the interpreter was built for; one that was moved has it beside itself.
    return next((path for path in paths if path.is_dir()), paths[0])


def _kind(said: Mapping[str, Any], prefix: Path, stdlib: Path) -> Kind:
    if said["standalone"] or (prefix / "BUILD").is_file() or prefix.name.startswith("cpython-"):
        return "standalone"
    if (prefix / "conda-meta").is_dir():
        return "conda"
    scheme = stdlib / "sysconfig.py"
    if not scheme.is_file():
        scheme = stdlib / "sysconfig" / "__init__.py"
    try:
        return "debian" if b"posix_local" in scheme.read_bytes() else "source"
    except OSError:
        return "source"


def _platform(said: Mapping[str, Any]) -> str | None:
    """Return the conda subdir; None for a system or machine for which no base can be made."""
    if said["system"] != "linux" or said["machine"] not in _MACHINES:
        return None
    return _MACHINES[said["machine"]][said["bits"] == 64]
