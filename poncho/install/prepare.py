"""An environment that exists already becomes what the packer takes, and stays as it is: everything new is made elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from poncho._types import Event, Reporter, silent
from poncho.engine import CondaEngine, native_platform
from poncho.errors import PonchoError
from poncho.install.bytecode import compile_bytecode
from poncho.install.damage import check_files
from poncho.install.distributions import editable_distributions, installed_distributions
from poncho.install.editables import LocalWheels, install_editables
from poncho.install.existing import check_prefix, describe_prefix, locked_pip
from poncho.install.virtual import is_virtual_environment, rebuild_virtual_environment
from poncho.lock.model import Lock, LockedPip
from poncho.spec import Spec, portable, spec_digest
from poncho.store import BuilderCache


@dataclass(frozen=True, slots=True)
class Existing:
    """What to pack. ``more`` holds files to put over the prefix's, ``replaces`` which editable installs they stand for.

    ``spellings`` are further paths that stand for the prefix in its files.
    """

    prefix: Path
    spec: Spec
    lock: Lock
    more: Path
    replaces: frozenset[str]
    spellings: tuple[str, ...] = ()


def prepare_existing(
    prefix: Path,
    work: Path,
    *,
    engine: Callable[[], CondaEngine],
    cache: BuilderCache,
    offline: bool = False,
    ignore_editable: bool = False,
    ignore_missing: bool = False,
    reporter: Reporter = silent,
    environ: Mapping[str, str] | None = None,
) -> Existing:
    """Look at the conda or virtual environment in ``prefix`` and make in ``work`` what it lacks to travel.

    That is: wheels of code that is installed editable, bytecode, and for a virtual environment all of it, with the
    interpreter that it borrows. The prefix is only read. Raises BuildError for what is no environment, lacks files of its
    conda packages (unless ``ignore_missing``), or refers to code that cannot be built (unless ``ignore_editable``).
    """
    environ = os.environ if environ is None else environ
    more = work / "more"
    more.mkdir()
    if is_virtual_environment(prefix):
        made = work / "env"
        rebuilt = rebuild_virtual_environment(
            prefix, made, engine=engine(), cache=cache, platform=native_platform(), reporter=reporter, environ=environ
        )
        local = LocalWheels()
        if not ignore_editable:
            local = _editables(prefix, made, more, cache, offline, reporter, environ)
        compile_bytecode(made, cache=cache, reporter=reporter, environ=environ)
        spec, lock = _describe_virtual(prefix, made, local)
        lock = replace(lock, base=rebuilt.base.locked, conda=rebuilt.records)
        spellings = tuple(dict.fromkeys((os.path.abspath(prefix), os.path.realpath(prefix))))
        found = Existing(made, spec, lock, more, local.replaces, spellings)
    else:
        check_prefix(prefix)
        check_files(prefix, ignore_missing=ignore_missing, reporter=reporter)
        local = (
            LocalWheels() if ignore_editable else _editables(prefix, prefix, more, cache, offline, reporter, environ)
        )
        spec, lock = describe_prefix(prefix)
        if local.locked:
            lock = replace(lock, pip=tuple(sorted((*lock.pip, *local.locked), key=lambda one: one.name)))
        _compile_missing(prefix, more, cache, reporter, environ)
        found = Existing(prefix, spec, lock, more, local.replaces)
    if local.locked:
        compile_bytecode(found.prefix, tree=more, into=more, cache=cache, reporter=reporter, environ=environ)
    return found


def _editables(
    environment: Path,
    prefix: Path,
    more: Path,
    cache: BuilderCache,
    offline: bool,
    reporter: Reporter,
    environ: Mapping[str, str],
) -> LocalWheels:
    python = prefix / "bin" / "python"
    return install_editables(
        environment, python, more, cache=cache, offline=offline, reporter=reporter, environ=environ
    )


def _compile_missing(
    prefix: Path, more: Path, cache: BuilderCache, reporter: Reporter, environ: Mapping[str, str]
) -> None:
    """Compile what the environment has no bytecode of; without any when its Python does not run on this machine."""
    try:
        compile_bytecode(prefix, into=more, cache=cache, reporter=reporter, environ=environ)
    except PonchoError as error:
        reporter(Event("info", "compile", f"nothing is compiled: {error.message}"))


def _describe_virtual(venv: Path, prefix: Path, local: LocalWheels) -> tuple[Spec, Lock]:
    editable = {item.name for item in editable_distributions(venv)}
    installed = {item.name: item for item in installed_distributions(prefix) if item.name not in editable}
    pip: tuple[LockedPip, ...] = tuple(locked_pip(item) for item in installed.values())
    python = next((prefix / "conda-meta").glob("python-*.json")).name.split("-")[1]
    spec = Spec(
        conda=(f"python={python}",), pip=tuple(item.requirement for item in pip), python=python, source=str(venv)
    )
    pip = tuple(sorted((*pip, *local.locked), key=lambda one: one.name))
    asked = portable(spec)
    return spec, Lock(native_platform(), spec_digest(asked), spec=asked, pip=pip)
