"""The package that an engine's workers run in: given, or built from a spec or from the functions themselves.

Engines that send Python functions pickle them, and their two sides speak a protocol of their own: the package needs this
Python's version (3.X) and the engine's own distributions in the versions installed here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from poncho._arguments import several
from poncho._types import Event, Reporter, silent
from poncho.analysis import analyze
from poncho.compat.cache import cached_package
from poncho.errors import PackageError, UsageError
from poncho.look import look
from poncho.source import is_package
from poncho.spec import Spec, as_spec, load_spec

Source = Spec | Mapping[str, Any] | str | Path

_CONDA_NAME = re.compile(r"(?:[^\s:]+::)?([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine's workers need. ``exact`` must be the same on both sides; ``pinned`` is what a spec gets as well."""

    name: str
    exact: tuple[str, ...]
    pinned: tuple[str, ...]

    def versions(self) -> dict[str, str]:
        """Return the versions that are installed here, by name; what is not installed is left out."""
        found = {}
        for name in (*self.exact, *self.pinned):
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue
        return found


@dataclass(frozen=True, slots=True)
class EnginePackage:
    """A package for workers, and the files of the program's own modules that its functions import (not in the package)."""

    path: Path
    own_modules: tuple[Path, ...] = ()


def engine_package(
    source: Source | None,
    engine: Engine,
    *,
    functions: Sequence[Callable[..., Any]] = (),
    extra: Sequence[str] = (),
    reporter: Reporter = silent,
) -> EnginePackage:
    """Return the package for workers of ``engine``.

    ``source`` is a package file, which is checked, or a spec (a Spec, a JSON object, a file), from which the package is built
    with what the engine needs added; None builds it from what ``functions`` import. ``extra`` are more pip requirements. What is
    built is kept in the builder's cache by the content of its spec and built once. Raises PonchoError.
    """
    extra = several(extra)
    pins = [f"{name}=={number}" for name, number in engine.versions().items()]
    if source is None:
        analysis = analyze(list(functions), extra=[*pins, *extra], reporter=reporter)
        return EnginePackage(_built(analysis.spec, reporter), analysis.local_modules)
    if isinstance(source, (str, Path)) and _is_package(Path(source)):
        if extra:
            raise UsageError(
                f"{source} is a package, so nothing can be added to it",
                hint="pass the spec it was made from, or build it again with what is missing",
            )
        check_package(Path(source), engine)
        reporter(Event("info", "package", f"using {source}"))
        return EnginePackage(Path(source).absolute())
    spec = load_spec(Path(source)) if isinstance(source, (str, Path)) else as_spec(source)
    built = _built(with_engine(spec, pins, extra), reporter)
    check_package(built, engine, spec=True)
    return EnginePackage(built)


def with_engine(spec: Spec, pins: Sequence[str], extra: Sequence[str] = ()) -> Spec:
    """Return the spec with the engine's distributions and this Python's version added where it says nothing about them."""
    named = _names(spec)
    added = [pin for pin in pins if canonicalize_name(Requirement(pin).name) not in named]
    python = spec.python
    if python is None and "python" not in named and "python" not in spec.pinned:
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return replace(spec, python=python, pip=tuple(dict.fromkeys([*spec.pip, *added, *extra])))


def check_package(path: Path, engine: Engine, *, spec: bool = False) -> None:
    """Refuse a package whose Python (3.X) or whose ``engine.exact`` distributions are not those installed here.

    ``spec``: it was built from one. Raises PackageError, which names every difference.
    """
    inventory = look(path)
    inside = {canonicalize_name(part.name): part.version for part in inventory.of_kind("conda", "pip")}
    here = ".".join(map(str, sys.version_info[:2]))
    there = ".".join((inventory.python or "").split(".")[:2])
    wrong = [] if there == here else [f"Python {there or 'is missing'} (here {here})"]
    for name, wanted in engine.versions().items():
        found = inside.get(canonicalize_name(name))
        if name in engine.exact and found != wanted:
            wrong.append(f"{name} {found or 'is missing'} (here {wanted})")
    if wrong:
        pins = " ".join(f"--extra-pkg {name}" for name in engine.exact)
        asked = f"leave Python and {' and '.join(engine.exact)} out of it: they are added in the versions here"
        given = (
            f"build it with this environment active: poncho_package_analyze PROGRAM {pins} spec.json; or pass the spec "
        )
        raise PackageError(
            f"{'what the spec asks for' if spec else path}: workers of {engine.name} cannot run in it: {', '.join(wrong)}",
            hint=asked if spec else f"{given}instead of the package: what is missing is added",
            context={"path": str(path), "differences": wrong},
        )


def _built(spec: Spec, reporter: Reporter) -> Path:
    return cached_package(spec, reporter=reporter).path


def _is_package(path: Path) -> bool:
    if path.is_dir():
        raise UsageError(
            f"{path} is a directory; workers get a package file",
            hint=f"pack it: poncho_package_create {path} env.tar.gz",
        )
    return is_package(path)


def _names(spec: Spec) -> set[str]:
    found = {match[1] for text in spec.conda if (match := _CONDA_NAME.match(text))}
    for text in spec.pip:
        try:
            found.add(Requirement(text).name)
        except InvalidRequirement:
            continue
    return {str(canonicalize_name(name)) for name in found}
