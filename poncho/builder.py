"""Build a package: a spec, an existing prefix or a conda environment's name in; one archive out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poncho._types import Event, Reporter, silent
from poncho.analysis import find_environment as find_active_environment
from poncho.base import base_channel
from poncho.engine import find_environment, native_platform, select_engine
from poncho.errors import BuildError, SpecError, StoreError
from poncho.fetch import FetchedData, fetch_data
from poncho.install import compile_bytecode, install_conda, install_pip, prepare_existing, with_local_code
from poncho.lock.codec import dumps as lock_text
from poncho.lock.model import Lock
from poncho.lock.portable import portable as portable_lock
from poncho.pack import Overlay, PackedPackage, PackOptions, pack
from poncho.resolve import resolve_conda, resolve_pip, wanted_python
from poncho.spec import Spec, as_spec, dumps, load_spec, portable, spec_digest
from poncho.store import BuilderCache


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """How to build.

    ``conda_executable`` None is py-rattler, ``cache`` None the user's; ``offline`` asks nobody. A name in the spec that is
    installed editable in ``environment`` (None: the active one) means that code, unless ``pack.ignore_editable``.
    ``ignore_missing`` packs a conda environment whose packages lack files.
    """

    conda_executable: str | None = None
    offline: bool = False
    cache: BuilderCache | None = None
    environment: Path | None = None
    ignore_missing: bool = False
    pack: PackOptions = field(default_factory=PackOptions)


def create(
    source: Spec | Mapping[str, Any] | str | Path,
    output: str | Path,
    *,
    options: CreateOptions | None = None,
    reporter: Reporter = silent,
) -> PackedPackage:
    """Build the package ``output`` from ``source``: a Spec, a JSON object, or the path or name of what to pack.

    A path or name is, in this order: the directory of a conda or virtual environment, a file that holds a spec, the name
    of a conda environment. ``output`` appears whole or not at all. Raises PonchoError of the step that failed; nothing is
    left behind.
    """
    options = options or CreateOptions()
    target = Path(output).absolute()
    check_output(target)
    if isinstance(source, (Spec, Mapping)):
        return _create_from_spec(as_spec(source), target, options, reporter)
    path = Path(source)
    if path.is_dir():
        return _create_from_prefix(path.absolute(), target, options, reporter)
    if path.exists():
        return _create_from_spec(load_spec(path), target, options, reporter)
    if path.name != str(source) or path.suffix in (".json", ".yml", ".yaml", ".txt", ".toml", ".py"):
        raise SpecError("no such file or directory", source=str(source))
    return _create_from_prefix(find_environment(str(source)), target, options, reporter)


def check_output(target: Path) -> None:
    """Refuse an output that could not be written, before any work is done. Raises StoreError."""
    if target.is_dir():
        raise StoreError(f"{target}: is a directory", hint=f"name a file, for example {target / 'env.tar.gz'}")
    if not target.parent.is_dir():
        raise StoreError(f"{target.parent}: no such directory", hint=f"create it first: mkdir -p {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise StoreError(f"{target.parent}: cannot be written", hint="choose a directory that you may write to")


def _create_from_spec(spec: Spec, target: Path, options: CreateOptions, reporter: Reporter) -> PackedPackage:
    cache = options.cache or BuilderCache.default()
    spec = _with_local_code(spec, options, reporter)
    with cache.scratch("build") as work:
        data = fetch_data(spec.git, spec.http, work / "data", cache=cache, offline=options.offline, reporter=reporter)
        lock = _build_prefix(spec, work / "env", data, cache, options, reporter)
        return pack(
            work / "env",
            target,
            data=work / "data" if data.variables else None,
            variables=data.variables,
            spec_text=dumps(portable(spec)),
            lock_text=lock_text(portable_lock(lock)),
            options=options.pack,
            reporter=reporter,
        )


def _with_local_code(spec: Spec, options: CreateOptions, reporter: Reporter) -> Spec:
    if options.pack.ignore_editable:
        return spec
    local = with_local_code(spec, options.environment or find_active_environment().prefix)
    for item in set(local.pip) - set(spec.pip):
        reporter(
            Event("warning", "pip", f"{item}: the code on this machine is packed, because it is installed editable")
        )
    return local


def _build_prefix(
    spec: Spec, prefix: Path, data: FetchedData, cache: BuilderCache, options: CreateOptions, reporter: Reporter
) -> Lock:
    """Install everything but the data into ``prefix``; return the lock that says what that was."""
    engine = select_engine(options.conda_executable, cache=cache)
    platform = native_platform()
    base = None if spec.names_a_channel else base_channel(wanted_python(spec), cache=cache, reporter=reporter)
    records = resolve_conda(
        spec, engine=engine, base=base, platform=platform, offline=options.offline, reporter=reporter
    )
    install_conda(records, prefix, engine=engine, platform=platform, offline=options.offline, reporter=reporter)
    lock = Lock(
        platform=platform,
        spec_digest=spec_digest(portable(spec)),
        virtual_packages=engine.virtual_packages(platform),
        channels=spec.channels,
        base=base.locked if base else None,
        conda=records,
        git=data.git,
        http=data.http,
    )
    if spec.pip:
        python = prefix / "bin" / "python"
        if not python.exists():
            raise BuildError("the spec has pip packages but no Python", hint='add "python" to the conda dependencies')
        pip = resolve_pip(spec.pip, python=python, offline=options.offline, cache=cache, reporter=reporter)
        install_pip(pip, prefix=prefix, offline=options.offline, cache=cache, reporter=reporter)
        lock = replace(lock, pip=pip)
    compile_bytecode(prefix, cache=cache, reporter=reporter)
    return lock


def _create_from_prefix(prefix: Path, target: Path, options: CreateOptions, reporter: Reporter) -> PackedPackage:
    cache = options.cache or BuilderCache.default()
    reporter(Event("info", "pack", f"packing the environment in {prefix}"))
    with cache.scratch("build") as work:
        found = prepare_existing(
            prefix,
            work,
            engine=lambda: select_engine(options.conda_executable, cache=cache),
            cache=cache,
            offline=options.offline,
            ignore_editable=options.pack.ignore_editable,
            ignore_missing=options.ignore_missing,
            reporter=reporter,
        )
        return pack(
            found.prefix,
            target,
            overlay=Overlay(found.more, found.replaces),
            spec_text=dumps(portable(found.spec)),
            lock_text=lock_text(portable_lock(found.lock)),
            options=replace(options.pack, build_prefixes=(*options.pack.build_prefixes, *found.spellings)),
            reporter=reporter,
        )
