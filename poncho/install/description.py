"""What an environment holds, conda's or a virtual one, as a lock: for who wants to know, with nothing copied."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from poncho._types import Event, Reporter, silent
from poncho.base import base_channel
from poncho.base.facts import InterpreterFacts
from poncho.base.find import ask_interpreter
from poncho.engine import CondaEngine, native_platform
from poncho.engine.pip_tools import clean_environment, run_tool
from poncho.errors import BuildError
from poncho.install.distributions import InstalledDistribution, editable_distributions, installed_distributions
from poncho.install.existing import describe_prefix, locked_pip
from poncho.install.virtual import is_virtual_environment, read_settings
from poncho.lock.model import Lock
from poncho.resolution import resolve_conda
from poncho.spec import Spec, portable, spec_digest
from poncho.store import BuilderCache

_SITE = "import site; print('\\n'.join(site.getsitepackages()))"


def describe_environment(
    prefix: Path,
    *,
    engine: Callable[[], CondaEngine],
    cache: BuilderCache,
    reporter: Reporter = silent,
    environ: Mapping[str, str] | None = None,
) -> Lock:
    """Return what a conda or virtual environment holds as a lock; pip packages have no sha256 in it.

    Of a virtual environment the interpreter that it borrows is the base. What is installed editable is named in a warning:
    there is nothing to fetch it from. The prefix is only read. Raises BuildError for what is no environment.
    """
    environ = os.environ if environ is None else environ
    virtual = is_virtual_environment(prefix)
    lock = _describe_virtual(prefix, engine(), cache, reporter, environ) if virtual else describe_prefix(prefix)[1]
    for item in editable_distributions(prefix):
        said = f"{item.name}: is installed editable, and not listed here: a package has its code as a wheel"
        reporter(Event("warning", "pip", said))
    return lock


def _describe_virtual(
    venv: Path, engine: CondaEngine, cache: BuilderCache, reporter: Reporter, environ: Mapping[str, str]
) -> Lock:
    python = venv / "bin" / "python"
    base = base_channel(interpreter=python, cache=cache, reporter=reporter, environ=environ)
    platform = native_platform()
    records = resolve_conda(Spec(), engine=engine, base=base, platform=platform, reporter=reporter)
    # The first of a name is the one that is imported: the virtual environment's own.
    system = read_settings(venv).get("include-system-site-packages", "").lower() == "true"
    below = _of_interpreter(ask_interpreter(python, environ), environ) if system else ()
    editable = {item.name for item in editable_distributions(venv)}
    named = {item.name: item for item in (*below, *installed_distributions(venv)) if item.name not in editable}
    pip = tuple(locked_pip(named[name]) for name in sorted(named))
    version = base.python_version
    asked = portable(Spec(conda=(f"python={version}",), pip=tuple(one.requirement for one in pip), python=version))
    lock = Lock(platform, spec_digest(asked), spec=asked, pip=pip)
    return replace(lock, base=base.locked, conda=records)


def _of_interpreter(facts: InterpreterFacts, environ: Mapping[str, str]) -> Iterator[InstalledDistribution]:
    """Yield what the interpreter itself has, which a virtual environment may show."""
    if facts.kind == "conda":
        raise BuildError(
            f"the virtual environment shows the packages of the conda environment {facts.prefix}, a part of it only",
            hint="install what it adds into the conda environment, and name that one",
        )
    argv = [str(facts.executable), "-I", "-B", "-S", "-c", _SITE]
    said = run_tool(argv, env=clean_environment(environ), step=f"run {facts.executable}").stdout
    for one in importlib.metadata.distributions(path=[line for line in said.splitlines() if line]):
        fields: Mapping[str, str] = dict(one.metadata.items())  # type: ignore[attr-defined]
        if (name := fields.get("Name")) and (version := fields.get("Version")):
            place = Path(str(getattr(one, "_path", "")))
            yield InstalledDistribution(canonicalize_name(name), version, place, "", one.read_text("direct_url.json"))
