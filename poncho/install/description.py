"""What an environment holds, conda's or a virtual one, as a lock: for who wants to know, with nothing copied."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from poncho._types import Event, Reporter, silent
from poncho.base import base_channel
from poncho.base.find import ask_interpreter
from poncho.engine import CondaEngine, native_platform
from poncho.install.distributions import (
    InstalledDistribution,
    distributions_in,
    editable_distributions,
    site_packages,
)
from poncho.install.existing import describe_prefix, locked_pip
from poncho.install.virtual import is_virtual_environment, shown_sites
from poncho.lock.model import Lock
from poncho.resolution import resolve_conda
from poncho.spec import Spec, portable, spec_digest
from poncho.store import BuilderCache


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
    shown = shown_sites(venv, ask_interpreter(python, environ), environ)
    base = base_channel(interpreter=python, cache=cache, reporter=reporter, environ=environ)
    platform = native_platform()
    records = resolve_conda(Spec(), engine=engine, base=base, platform=platform, reporter=reporter)
    named: dict[str, InstalledDistribution] = {}
    for site in (*site_packages(venv), *shown):
        # What lies in the first directory is what is imported.
        named = {item.name: item for item in distributions_in(site)} | named
    for item in editable_distributions(venv):
        named.pop(item.name, None)
    pip = tuple(locked_pip(named[name]) for name in sorted(named))
    version = base.python_version
    asked = portable(Spec(conda=(f"python={version}",), pip=tuple(one.requirement for one in pip), python=version))
    lock = Lock(platform, spec_digest(asked), spec=asked, pip=pip)
    return replace(lock, base=base.locked, conda=records)
