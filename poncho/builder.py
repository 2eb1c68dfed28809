"""Build a package: a spec, a lock, an existing prefix or a conda environment's name in; one archive out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from poncho._arguments import as_path, kind, several
from poncho._types import Event, Reporter, silent
from poncho.analysis import find_environment as find_active_environment
from poncho.engine import find_environment, native_platform, select_engine
from poncho.engine.remembered import RememberingEngine
from poncho.errors import SpecError, UsageError
from poncho.fetch import kept_data
from poncho.install import Installer, prepare_existing, with_local_code
from poncho.install.description import describe_environment
from poncho.lock.codec import dumps as lock_text
from poncho.lock.foreign import lifted
from poncho.lock.model import Lock, LockedConda
from poncho.lock.portable import portable as portable_lock
from poncho.pack import Overlay, PackedPackage, PackOptions, check_tools, pack
from poncho.resolution import Means, check_local, installable, resolve_spec, update_lock, with_places
from poncho.source import check_fresh, is_own_lock, is_package, read_lock, read_source, read_text
from poncho.space import Space
from poncho.spec import Spec, as_spec, decode, dumps, included_files, portable, spec_digest
from poncho.store import BuilderCache, atomic_file
from poncho.store.outputs import check_apart, check_kept, check_output, check_outside, why_not


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """How to build.

    ``conda_executable`` None is py-rattler, ``cache`` None the user's; ``offline`` asks nobody. A name in the spec that is
    installed editable in ``environment`` (None: the active one) means that code, unless ``pack.ignore_editable``.
    ``ignore_missing`` packs a conda environment whose packages lack files. Without ``reuse`` only downloads and bytecode of
    earlier builds are taken: all is installed, read and compressed anew.

    ``lock`` is a file: with ``locked`` it is read and built from, and refused when the spec has changed since; without,
    it gets the lock of what was built. ``pack`` is a ``poncho.pack.PackOptions``: format, level, threads, trim and more.
    """

    conda_executable: str | None = None
    offline: bool = False
    cache: BuilderCache | None = None
    environment: Path | None = None
    ignore_missing: bool = False
    lock: Path | None = None
    locked: bool = False
    reuse: bool = True
    pack: PackOptions = field(default_factory=PackOptions)


def create(
    source: Spec | Lock | Mapping[str, Any] | str | Path,
    output: str | Path,
    *,
    options: CreateOptions | None = None,
    reporter: Reporter = silent,
) -> PackedPackage:
    """Build the package ``output`` from ``source``: a Spec, a Lock, a JSON object, or the path or name of what to pack.

    A path or name is, in this order: the directory of a conda or virtual environment, a file that holds a spec, a lock of
    any kind or a package (which is built again from its own lock), the name of a conda environment. ``output`` appears
    whole or not at all. Raises PonchoError of the step that failed; nothing is left behind.
    """
    options = _checked(options)
    target = as_path(output, "output").absolute()
    check_outputs(source, output, options)
    options = replace(options, pack=options.pack.for_output(os.fspath(output)))
    check_tools(options.pack)
    cache = options.cache or BuilderCache.default()
    with Space(cache, target, options.offline) as space:
        return _create(source, target, options, cache, space, reporter)


def _create(
    source: Spec | Lock | Mapping[str, Any] | str | Path,
    target: Path,
    options: CreateOptions,
    cache: BuilderCache,
    space: Space,
    reporter: Reporter,
) -> PackedPackage:
    found = read(source, options=options, reporter=reporter)
    if isinstance(found, Path):
        if options.locked:
            raise UsageError(
                "an environment is packed as it is, so there is no lock to build it from",
                hint="leave --locked out; --lock alone writes what is installed there",
            )
        return _create_from_prefix(found, target, options, reporter)
    with cache.in_use():
        lock = _locked(found, options, reporter)
        space.learn(lock)
        created = _create_from_lock(lock, target, options, reporter)
        if options.lock is not None and not options.locked:
            write_lock(lock, options.lock)
        return created


def resolve(
    source: Spec | Lock | Mapping[str, Any] | str | Path,
    *,
    options: CreateOptions | None = None,
    platform: str | None = None,
    environment: str | None = None,
    update: Sequence[str] = (),
    reporter: Reporter = silent,
) -> Lock:
    """Return the lock of ``source`` (what ``create`` takes): everything resolved, nothing packed.

    Of an environment it is what is installed there; pip packages have no sha256 then.

    ``platform`` is a conda subdir (None: this machine's), ``environment`` one of those in a pixi.lock or a category of a
    conda-lock.yml. With ``update``, names of packages, these alone move: in ``options.lock``, or in ``source`` when that
    is a lock. Entries have their size in bytes where the channel or index says it. Raises PonchoError.
    """
    options, update = _checked(options), several(update)
    found = read(source, options=options, platform=platform, environment=environment, reporter=reporter)
    if isinstance(found, Path):
        found, options = _described(found, options, platform, reporter), replace(options, ignore_missing=False)
    if not update:
        return _locked(found, options, reporter, platform=platform)
    if isinstance(found, Lock):
        old, spec = found, with_places(found.spec, found) if found.spec else Spec()
    elif options.lock is not None:
        old, spec = read_lock(options.lock, means=_means(options, reporter), platform=platform), found
        check_fresh(old, spec, options.lock, moving=update)
    else:
        raise UsageError(
            "--update needs the lock to update", hint="name it: -o lock.json, or give it instead of the spec"
        )
    new = update_lock(old, update, spec=_with_local_code(spec, options, reporter), means=_means(options, reporter))
    if isinstance(found, Lock):
        return new
    asked = portable(spec)
    return replace(new, spec=asked, spec_digest=spec_digest(asked))


def _described(prefix: Path, options: CreateOptions, platform: str | None, reporter: Reporter) -> Lock:
    means = _means(options, reporter)
    lock = describe_environment(prefix, engine=lambda: means.engine, cache=means.cache, reporter=reporter)
    if platform not in (None, lock.platform):
        hint = "leave the platform out, or lock a spec for it"
        raise UsageError(f"{prefix}: is an environment for {lock.platform}, not for {platform}", hint=hint)
    return lock


def write_lock(lock: Lock, path: str | Path) -> None:
    """Write a lock; ``path`` appears whole or not at all. Local code below its directory is written relative to it."""
    if not isinstance(lock, Lock):
        raise UsageError(f"a Lock is needed, not {kind(lock)}", hint="poncho.resolve(spec) returns one")
    target = as_path(path, "the lock's file").absolute()
    check_output(target, example="lock.json")
    with atomic_file(target) as private:
        private.write_text(lock_text(lock, base=target.parent.resolve()), encoding="utf-8")


def read(
    source: Spec | Lock | Mapping[str, Any] | BinaryIO | str | Path,
    *,
    options: CreateOptions | None = None,
    platform: str | None = None,
    environment: str | None = None,
    reporter: Reporter = silent,
) -> Spec | Lock | Path:
    """Return the spec or lock that ``source`` is or holds, or the directory of the environment that it names.

    A stream, such as standard input, holds a spec or a lock. Raises PonchoError.
    """
    options = _checked(options)
    if environment is not None and not _may_hold_environments(source):
        raise UsageError(
            "there are no environments to choose from: a pixi.lock or conda-lock.yml has some",
            hint="leave --environment out",
        )
    if isinstance(source, Lock):
        return lifted(source)
    if isinstance(source, (Spec, Mapping)):
        return as_spec(source)
    means = _means(options, reporter)
    if not isinstance(source, (str, os.PathLike)):
        _check_readable(source)
        name = "standard input"
        text = decode(source.read(), source=name)
        return read_text(text, means=means, source=name, platform=platform, environment=environment)
    path = as_path(source, "what to build")
    if os.path.isdir(path):
        return path.absolute()
    if os.path.exists(path):
        return read_source(path, means=means, platform=platform, environment=environment)
    if path.name != str(source) or path.suffix in (".json", ".yml", ".yaml", ".txt", ".toml", ".py", ".lock"):
        raise SpecError(
            f"cannot be read ({why_not(path)})",
            source=str(source),
            hint="name a spec, a lock or a package, the directory of an environment, or a conda environment by its name",
        )
    return find_environment(str(source))


def _may_hold_environments(source: object) -> bool:
    return hasattr(source, "read") or (isinstance(source, (str, os.PathLike)) and os.path.isfile(source))


def _checked(options: CreateOptions | None) -> CreateOptions:
    """Return the options, their paths as paths. Raises UsageError."""
    if options is None:
        return CreateOptions()
    if not isinstance(options, CreateOptions):
        raise UsageError(f"options must be CreateOptions, not {kind(options)}", hint="pass poncho.CreateOptions(…)")
    lock, environment = options.lock, options.environment
    return replace(
        options,
        lock=None if lock is None else as_path(lock, "lock"),
        environment=None if environment is None else as_path(environment, "environment"),
    )


def _check_readable(source: object) -> None:
    """Refuse what is neither a spec in any form nor a stream of one. Raises UsageError."""
    if isinstance(getattr(source, "spec", None), Spec):
        raise UsageError(f"{type(source).__name__} is no spec, but holds one", hint="pass that: analysis.spec")
    if not hasattr(source, "read"):
        raise UsageError(
            f"nothing can be built from {kind(source)}", hint="pass a Spec, a Lock, a JSON object, or a path"
        )


def _locked(
    found: Spec | Lock,
    options: CreateOptions,
    reporter: Reporter,
    *,
    platform: str | None = None,
) -> Lock:
    if options.ignore_missing:
        said = "--ignore-missing-files has no effect: it is for conda environments, and this is none"
        reporter(Event("warning", "solve", said))
    if isinstance(found, Lock):
        if options.locked and options.lock is not None:
            raise UsageError(
                "what is named first is no spec: a lock or an environment is taken as it is, and no other lock checks it",
                hint="name the spec there, or leave --locked out",
            )
        return found
    means = _means(options, reporter)
    if options.locked:
        if options.lock is None:
            raise UsageError("a locked build needs the lock of the spec", hint="name it: --lock lock.json --locked")
        lock = read_lock(options.lock, means=means, platform=platform)
        check_fresh(lock, found, options.lock)
        check_local(lock)
        return lock
    spec = _with_local_code(found, options, reporter)
    return resolve_spec(spec, written=found, means=means, platform=platform or native_platform())


def _means(options: CreateOptions, reporter: Reporter) -> Means:
    cache = options.cache or BuilderCache.default()
    engine = RememberingEngine(select_engine(options.conda_executable, cache=cache), cache)
    means = Means(engine, cache, options.offline, reporter)
    return replace(means, prefix=lambda conda: _installer(conda, means).environments().conda_only())


def check_outputs(source: object, output: str | Path | None, options: CreateOptions) -> None:
    """Refuse, before any work is done, what ``create`` would write where it cannot, over what it reads, or twice.

    ``output`` None is a build that writes no package. A package may take its own place, and so may a lock of ours.
    Raises StoreError, UsageError.
    """
    lock = options.lock
    texts = included_files(Path(source)) if isinstance(source, (str, Path)) else ()
    if output is not None:
        target = Path(output).absolute()
        check_output(target, directory=options.pack.for_output(os.fspath(output)).format == "dir")
        check_kept(target, source, *texts, lock if options.locked else None, unless=is_package)
        check_outside(target, source, unless=is_package)
    if lock is not None and not options.locked:
        check_output(lock.absolute(), example="lock.json")
        check_apart(output, lock)
        check_kept(lock, source, *texts, unless=is_own_lock)
        check_outside(lock, source, unless=is_own_lock)


def _create_from_lock(lock: Lock, target: Path, options: CreateOptions, reporter: Reporter) -> PackedPackage:
    """Install what ``lock`` says, as far as no earlier build has, and pack it."""
    means = _means(options, reporter)
    ready = installable(lock, means=means)
    data, tree = kept_data(ready.git, ready.http, cache=means.cache, offline=options.offline, reporter=reporter)
    with _installer(ready.conda, means).environments().with_pip(ready.pip, new=not options.reuse) as prefix:
        return pack(
            prefix,
            target,
            data=tree,
            variables=data.variables,
            spec_text=dumps(lock.spec or Spec()),
            lock_text=lock_text(portable_lock(lock)),
            options=options.pack,
            cache=means.cache if options.reuse else None,
            origin="lasting",
            reporter=reporter,
        )


def _installer(conda: Sequence[LockedConda], means: Means) -> Installer:
    return Installer(conda, means.engine, native_platform(), means.cache, means.offline, means.reporter)


def _with_local_code(spec: Spec, options: CreateOptions, reporter: Reporter) -> Spec:
    if options.pack.ignore_editable:
        return spec
    local = with_local_code(spec, options.environment or find_active_environment().prefix)
    for item in set(local.pip) - set(spec.pip):
        reporter(
            Event("warning", "pip", f"{item}: the code on this machine is packed, because it is installed editable")
        )
    return local


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
        created = pack(
            found.prefix,
            target,
            overlay=Overlay(found.more, found.replaces),
            spec_text=dumps(portable(found.spec)),
            lock_text=lock_text(portable_lock(found.lock)),
            options=replace(options.pack, build_prefixes=(*options.pack.build_prefixes, *found.spellings)),
            cache=cache if options.reuse else None,
            origin="lasting" if found.prefix == prefix else "copied",
            reporter=reporter,
        )
    if options.lock is not None:
        write_lock(found.lock, options.lock)
    return created
