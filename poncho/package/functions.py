"""Try a function in a package: load it in a clean process there, import what it needs, compare with the spec."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from poncho import _json
from poncho._arguments import as_path
from poncho._types import Event, Reporter, silent
from poncho.analysis import Analysis, analyze
from poncho.analysis.functions import name_of
from poncho.analysis.model import Tier
from poncho.engine.pip_tools import clean_environment
from poncho.errors import AnalysisError, PackageError
from poncho.runner import last_words, runner_path

_OWN = ("python", "pip")
_NOT_SET_UP = 125  # the runner's exit status


@dataclass(frozen=True, slots=True)
class Loaded:
    """A distribution of which something was loaded; ``listed`` tells whether the spec names it (else it came as a
    dependency), ``wanted`` the version that the spec asks for and does not get."""

    name: str
    version: str
    modules: tuple[str, ...]
    listed: bool
    wanted: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionCheck:
    """What happened in the package.

    ``failed`` maps an import (or the function's name) to what went wrong. ``unused`` are names in the spec of which
    nothing was loaded. ``lent`` tells that the package has no cloudpickle, so that a copy of the caller's was used.
    """

    function: str
    python: str
    failed: Mapping[str, str]
    loaded: tuple[Loaded, ...]
    unused: tuple[str, ...]
    lent: bool = False

    @property
    def differing(self) -> tuple[Loaded, ...]:
        """Return what was loaded in another version than the spec asks for."""
        return tuple(one for one in self.loaded if one.wanted is not None)

    @property
    def right(self) -> bool:
        """Tell whether all could be loaded, in the versions that the spec asks for."""
        return not self.failed and not self.differing

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        rows = [
            {"name": one.name, "version": one.version, "modules": list(one.modules), "in_spec": one.listed}
            | ({"wanted": one.wanted} if one.wanted is not None else {})
            for one in self.loaded
        ]
        return {
            "function": self.function,
            "right": self.right,
            "python": self.python,
            "failed": dict(self.failed),
            "loaded": rows,
            "unused": list(self.unused),
            "cloudpickle": "lent" if self.lent else "from the package",
        }


def verify_function(
    environment: Path | str,
    function: Any,
    *,
    analysis: Analysis | None = None,
    timeout: float = 300,
    reporter: Reporter = silent,
) -> FunctionCheck:
    """Unpickle a live function in a clean process in ``environment`` and import all that it needs; it is not called.

    ``environment`` is a package, or the directory of one. The process is started by the runner, in an empty directory,
    and sees nothing of this one. ``analysis`` is what is compared with (default: of ``function``, in the running
    environment). ``timeout`` is in seconds.

    Raises AnalysisError for a function that cannot be pickled here, PackageError when the environment cannot be
    entered or the process ends by itself.
    """
    import cloudpickle

    name = name_of(function)
    if analysis is None:
        analysis = analyze(function, strict=False)
    try:
        pickled = cloudpickle.dumps(function)
    except Exception as error:
        raise AnalysisError(
            f"{name} cannot be pickled: {type(error).__name__}: {error}",
            hint="open files, connections and locks inside the function, not around it",
        ) from error
    job = {"pickle": base64.b64encode(pickled).decode("ascii"), "python": list(sys.version_info[:2])}
    return _check(as_path(environment, "a package"), name, analysis, job, timeout, reporter)


def verify_imports(
    environment: Path | str,
    analysis: Analysis,
    *,
    code: str | None = None,
    names: Sequence[str] = (),
    timeout: float = 300,
    reporter: Reporter = silent,
) -> FunctionCheck:
    """Import in a clean process in ``environment`` all that ``analysis`` found; with ``code``, source that stands alone,
    run it there and look for the functions ``names`` in it.

    Raises PackageError when the environment cannot be entered, or the process ends by itself.
    """
    job = {"code": code, "names": list(names)} if code is not None else {}
    return _check(
        as_path(environment, "a package"), ", ".join(names) or "the program", analysis, job, timeout, reporter
    )


def _check(
    environment: Path, name: str, analysis: Analysis, job: dict[str, Any], timeout: float, reporter: Reporter
) -> FunctionCheck:
    reporter(Event("start", "verify", f"loading {name} in {environment.name}"))
    imports = {one for finding in analysis.findings if finding.included for one in _importable(finding.imports)}
    imports |= {one.name for one in analysis.unresolved if one.tier <= Tier.CONDITIONAL} | set(analysis.shipped)
    lent = importlib.util.find_spec("cloudpickle")
    job["imports"] = sorted(imports)
    result = _run(environment, job, Path(lent.origin).parent if lent and lent.origin else None, timeout)
    failed = {one: str(error) for one, error in result["imports"].items() if error}
    if result["function"]:
        failed[name] = str(result["function"])
    wanted = dict(_wanted(analysis))
    loaded = tuple(
        Loaded(
            one["name"],
            one["version"],
            tuple(one["modules"]),
            canonicalize_name(one["name"]) in wanted,
            _misses(wanted.get(canonicalize_name(one["name"])), one["version"]),
        )
        for one in result["loaded"]
    )
    seen = {canonicalize_name(one.name) for one in loaded}
    # What failed was not left unused.
    tried = {canonicalize_name(one.name) for one in analysis.findings if set(one.imports) & failed.keys()}
    unused = tuple(sorted(wanted.keys() - seen - tried - set(_OWN)))
    check = FunctionCheck(name, result["python"], failed, loaded, unused, result["cloudpickle"] == "lent")
    reporter(Event("done", "verify", "right" if check.right else f"{len(check.failed) + len(check.differing)} faults"))
    return check


def _importable(names: Sequence[str]) -> Iterator[str]:
    # A finding also lists what the program takes by ``from``: attributes are looked up as such.
    return (name for name in names if all(part.isidentifier() for part in name.split(".")))


def _run(environment: Path, job: dict[str, Any], lent: Path | None, timeout: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="poncho-verify-") as directory:
        work = Path(directory)
        (work / "empty").mkdir()
        (work / "lent").mkdir()
        if lent is not None:
            (work / "lent" / "cloudpickle").symlink_to(lent)
        (work / "job.json").write_text(json.dumps({**job, "lent": str(work / "lent")}), encoding="utf-8")
        (work / "probe.py").write_bytes(files("poncho").joinpath("runtime").joinpath("function_probe.py").read_bytes())
        inside = ["python", "-I", "-B", str(work / "probe.py"), str(work / "job.json"), str(work / "result.json")]
        argv = [str(runner_path()), "-e", str(environment.absolute()), "--", *inside]
        try:
            done = subprocess.run(
                argv,
                cwd=work / "empty",
                env=dict(clean_environment(os.environ)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PackageError(
                f"{environment}: loading the function took longer than {timeout:g} s",
                hint="an import of it waits for something: try it by hand with poncho run",
            ) from error
        except OSError as error:
            raise PackageError(f"{environment}: cannot be entered: {error.strerror}") from error
        try:
            result: dict[str, Any] = _json.loads((work / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            if done.returncode == _NOT_SET_UP and (said := last_words("\n".join(lines))):
                raise PackageError(said[0], hint=said[1]) from error
            ending = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
            raise PackageError(
                f"{environment}: the process that loads the function ended with {ending}"
                + (f": {lines[-1]}" if lines else ""),
                context={"stderr": "\n".join(lines[-20:])},
            ) from error
        return result


def _wanted(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Yield the names in the spec, canonical, and the version specifier of each (empty: any)."""
    for match in analysis.spec.conda:
        name, _, rest = re.sub(r"^[^:]+::", "", match).partition("=")
        version = rest.lstrip("=").partition("=")[0]
        exact = f"=={version}.*" if version and not re.search(r"[*<>!|,]", version) else ""
        yield canonicalize_name(re.split(r"[ <>!~]", name)[0]), exact
    for text in analysis.spec.pip:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        yield canonicalize_name(requirement.name), str(requirement.specifier)


def _misses(specifier: str | None, version: str) -> str | None:
    """Return the version asked for when ``version`` is another one."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    if not specifier:
        return None
    try:
        return None if SpecifierSet(specifier).contains(version, prereleases=True) else specifier
    except (InvalidSpecifier, InvalidVersion):
        return None
