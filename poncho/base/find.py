"""Find an interpreter on this machine that satisfies a version or range."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from poncho._home import home
from poncho.base.facts import InterpreterFacts, ask
from poncho.errors import ResolveError, SpecError

_BARE = re.compile(r"=?\s*(\d+(?:\.\d+)*)(\.\*)?")
_MINORS = range(15, 7, -1)


def find_interpreter(python: str | None, environ: Mapping[str, str]) -> InterpreterFacts:
    """Return the first interpreter that satisfies ``python``: a version, a conda or PEP 440 range, or None for any.

    The order: the interpreter that runs PONCHO (a virtual environment's base), ``PATH``, pyenv's, uv's, ``/usr/bin``.
    Raises SpecError for a version that cannot be read, ResolveError that lists what was found.
    """
    wanted = parse_version_spec(python)
    seen: dict[Path, InterpreterFacts] = {}
    for candidate in _candidates(environ, wanted):
        facts = ask(candidate, environ)
        if facts is None or facts.executable in seen:
            continue
        seen[facts.executable] = facts
        if facts.implementation == "cpython" and facts.platform and _matches(facts.version, wanted):
            return facts
    found = ", ".join(f"{facts.version} ({facts.executable})" for facts in seen.values()) or "none"
    wish = f"no Python {python}" if python else "no Python"
    raise ResolveError(
        f"{wish} on this machine that can serve as a base: found {found}",
        hint="install that Python, ask for one of those found, or name a conda channel in the spec",
        context={"python": python, "found": [facts.version for facts in seen.values()]},
    )


def ask_interpreter(executable: Path, environ: Mapping[str, str]) -> InterpreterFacts:
    """Return the facts of one interpreter. Raises ResolveError when it does not run or cannot serve as a base."""
    facts = ask(executable, environ)
    if facts is None:
        raise ResolveError(
            f"{executable}: does not run, or is no Python", hint="is the Python it was made with still there?"
        )
    if facts.implementation != "cpython" or facts.platform is None:
        raise ResolveError(
            f"{executable}: {facts.implementation} on this platform cannot serve as a base", hint="use CPython on Linux"
        )
    return facts


def parse_version_spec(python: str | None) -> tuple[SpecifierSet, ...]:
    """Return the alternatives that a conda or PEP 440 version spec allows; none for None or ``*``.

    ``3.11`` and ``=3.11`` mean any 3.11 (conda's fuzzy match), ``3.11.7`` that very version; ``|`` separates
    alternatives.
    """
    if python is None or not python.strip() or python.strip() == "*":
        return ()
    try:
        return tuple(_alternative(part.strip()) for part in python.split("|"))
    except InvalidSpecifier as error:
        raise SpecError(
            f"{python!r} is not a Python version",
            pointer="/python",
            hint='write "3.11", "3.11.7" or a range such as ">=3.10,<3.13"',
        ) from error


def _alternative(text: str) -> SpecifierSet:
    bare = _BARE.fullmatch(text)
    if bare is None:
        return SpecifierSet(text)
    version = bare[1]
    exact = version.count(".") >= 2 and not bare[2] and not text.startswith("=")
    return SpecifierSet(f"=={version}" if exact else f"=={version}.*")


def _matches(version: str, wanted: tuple[SpecifierSet, ...]) -> bool:
    try:
        parsed = Version(version.rstrip("+"))
    except InvalidVersion:
        return False
    return not wanted or any(specifier.contains(parsed, prereleases=True) for specifier in wanted)


def _candidates(environ: Mapping[str, str], wanted: tuple[SpecifierSet, ...]) -> Iterator[Path]:
    """Yield executables to ask, best first; what does not exist is left out, what is named twice comes once."""
    seen: set[Path] = set()
    names = ["python3", *(f"python3.{minor}" for minor in _MINORS if _minor_may_match(minor, wanted)), "python"]
    for path in _all_candidates(environ, names):
        try:
            real = path.resolve()
            if real in seen or not path.is_file() or not os.access(path, os.X_OK):
                continue
        except OSError:
            continue
        # A shim is one file for all versions: what it starts depends on its name.
        seen.add(path if _is_shim(path) else real)
        yield path


def _minor_may_match(minor: int, wanted: tuple[SpecifierSet, ...]) -> bool:
    # Some patch release, also of a range that names one: 0 and one that no minor version reaches stand for all of them.
    if any("." in specifier.version and specifier.version.count(".") > 1 for part in wanted for specifier in part):
        return True
    return _matches(f"3.{minor}.0", wanted) or _matches(f"3.{minor}.99", wanted)


def _all_candidates(environ: Mapping[str, str], names: Sequence[str]) -> Iterator[Path]:
    # A virtual environment's own python asks the same questions of its base: the answer is the base's.
    yield Path(getattr(sys, "_base_executable", None) or sys.executable)
    path = [Path(part) for part in environ.get("PATH", "").split(os.pathsep) if part]
    yield from (directory / name for directory in path if directory.name != "shims" for name in names)
    own = home(environ)
    pyenv = Path(environ.get("PYENV_ROOT") or own / ".pyenv")
    yield from _versions(pyenv / "versions")
    yield from _versions(Path(environ.get("UV_PYTHON_INSTALL_DIR") or _data_home(environ, own) / "uv" / "python"))
    yield from (directory / name for directory in (Path("/usr/local/bin"), Path("/usr/bin")) for name in names)
    # Version managers' shims are scripts, slow to ask, and mostly lead to what was found already.
    yield from (directory / name for directory in path if directory.name == "shims" for name in names)


def _is_shim(path: Path) -> bool:
    return path.parent.name == "shims"


def _data_home(environ: Mapping[str, str], home: Path) -> Path:
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")


def _versions(directory: Path) -> Iterator[Path]:
    """Yield ``*/bin/python3`` of a directory of installed versions, the newest first."""
    try:
        homes = [entry for entry in directory.iterdir() if (entry / "bin" / "python3").exists()]
    except OSError:
        return
    yield from (home / "bin" / "python3" for home in sorted(homes, key=_version_key, reverse=True))


def _version_key(home: Path) -> tuple[tuple[int, ...], str]:
    return tuple(int(number) for number in re.findall(r"\d+", home.name)[:3]), home.name
