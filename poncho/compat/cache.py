"""Packages by what their spec asks for: built when missing, found when not. They lie in the builder's cache, ``packages``."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from poncho._types import Event, Reporter, silent
from poncho.builder import CreateOptions, create
from poncho.compat.approximate import Approximation, find_superset
from poncho.compat.identity import Today, package_identity, today
from poncho.engine import native_platform
from poncho.errors import StoreError
from poncho.install.local_code import with_local_code
from poncho.lock.codec import loads as read_lock
from poncho.package import open_package
from poncho.spec import Spec
from poncho.store import BuilderCache, answer_key, atomic_file, exclusive
from poncho.store.outputs import check_output

_FICLONE = 0x40049409


@dataclass(frozen=True, slots=True)
class Cached:
    """The package that was served: whether it was ``built`` now, and what it is instead, where it is an approximation."""

    path: Path
    built: bool
    approximation: Approximation | None = None


def package_name(
    spec: Spec, platform: str, *, options: CreateOptions | None = None, reporter: Reporter = silent
) -> str:
    """Return the file name of a spec's package, as of today; see ``package_identity``. Raises what ``today`` raises."""
    options = options or CreateOptions()
    cache = options.cache or BuilderCache.default()
    now = today(spec, platform, cache=cache, offline=options.offline, reporter=reporter)
    return _name(spec, platform, now, options)


def find_package(spec: Spec, directory: Path, *, options: CreateOptions | None = None) -> Path | None:
    """Return the package of ``spec`` in ``directory``, or None where there is none yet."""
    spec = _own(spec, options)
    target = directory / package_name(spec, native_platform(), options=options)
    return target if target.is_file() else None


def cached_package(
    spec: Spec,
    directory: Path | None = None,
    *,
    options: CreateOptions | None = None,
    force: bool = False,
    approx: bool = False,
    keep: bool = True,
    reporter: Reporter = silent,
) -> Cached:
    """Return the package of ``spec``, out of the builder's cache; build it when it is missing or ``force`` asks for it.

    With ``directory`` (None: the cache itself) a copy is put there, and one that is there is taken. ``approx`` takes any
    package of the cache, or of ``directory``, that satisfies the spec. Without ``keep``, a package that is built goes to
    ``directory`` alone. What is installed editable in this interpreter's environment is taken from its directory. A
    package appears by one rename; of several processes that want the same one, one builds. Raises PonchoError.
    """
    options = options or CreateOptions()
    cache = options.cache or BuilderCache.default()
    spec = _own(spec, options)
    platform = native_platform()
    with cache.in_use():
        now = today(spec, platform, cache=cache, offline=options.offline, reporter=reporter)
        name = _name(spec, platform, now, options)
        kept = cache.directory("packages")
        target = _directory(directory or kept) / name
        if target.is_file() and not force:
            _touch(kept / name)  # a prune goes by when a package was last of use
            return Cached(target, built=False)
        if approx and not force and not (kept / name).is_file():
            places = dict.fromkeys((kept, target.parent))
            near = find_superset(spec, now, list(places), platform=platform, cache=cache, reporter=reporter)
            if near is not None:
                _touch(near.path)
                if directory is None or near.path.parent == target.parent:
                    return Cached(near.path, False, near)
                return Cached(_copied(near.path, target.parent / near.path.name), False, near)
        with exclusive(cache.directory("locks") / f"package-{answer_key(str(target.absolute()), name)[:32]}.lock"):
            return _built(spec, platform, name, target, kept, keep, force, options, cache, reporter)


def place_package(
    spec: Spec,
    target: Path,
    *,
    options: CreateOptions | None = None,
    approx: bool = False,
    reporter: Reporter = silent,
) -> Cached:
    """Make ``target`` the package of ``spec``, out of the user's cache; one that is there and is the same one stays.

    Raises PonchoError; ``target`` appears whole or not at all.
    """
    check_output(target.absolute())
    cache = (options.cache if options else None) or BuilderCache.default()
    with cache.in_use():
        found = cached_package(spec, options=options, approx=approx, reporter=reporter)
        if _head(found.path) != _head(target):
            _copied(found.path, target)
    return Cached(target, found.built, found.approximation)


def _built(
    spec: Spec,
    platform: str,
    name: str,
    target: Path,
    kept: Path,
    keep: bool,
    force: bool,
    options: CreateOptions,
    cache: BuilderCache,
    reporter: Reporter,
) -> Cached:
    if target.is_file() and not force:
        return Cached(target, built=False)
    source = kept / name if keep else target
    # Whatever directory it is for: the one in the cache is built once.
    with exclusive(cache.directory("locks") / f"package-{name[:40]}.lock"):
        built = force or not source.is_file()
        if built:
            source = _build(spec, platform, source, options, cache, reporter)
        else:
            _touch(source)
            reporter(Event("info", "pack", f"{source.name}: taken from the cache"))
        if source.parent != target.parent:
            return Cached(_copied(source, target.parent / source.name), built)
    return Cached(source, built)


def _build(
    spec: Spec, platform: str, place: Path, options: CreateOptions, cache: BuilderCache, reporter: Reporter
) -> Path:
    """Build into the directory of ``place``; a branch may have moved meanwhile, so the name is that of what was built."""
    with cache.scratch("package") as scratch:
        made = scratch / place.name
        create(spec, made, options=options, reporter=reporter)
        text = open_package(made).lock_text
        now = Today.of_lock(spec, read_lock(text)) if text else None
        name = _name(spec, platform, now, options) if now else place.name
        target = place.with_name(name)
        if not _same_file_system(made, place.parent):
            return _copied(made, target)
        os.replace(made, target)
        return target


def _name(spec: Spec, platform: str, now: Today, options: CreateOptions) -> str:
    identity = package_identity(spec, platform, now, ignore_editable=options.pack.ignore_editable)
    return f"env-sha256-{identity}.tar.gz"


def _own(spec: Spec, options: CreateOptions | None) -> Spec:
    ignored = options is not None and options.pack.ignore_editable
    return spec if ignored else with_local_code(spec, Path(sys.prefix))


def _directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot make the cache directory ({error.strerror})", hint="name one that you may write to"
        ) from error
    return path


def _copied(source: Path, target: Path) -> Path:
    """Copy a package. Not a link: who writes into his copy must not change the one in the cache."""
    with atomic_file(target) as private:
        if not _cloned(source, private):
            shutil.copyfile(source, private)
    return target


def _cloned(source: Path, target: Path) -> bool:
    """Share the blocks where the file system can (btrfs, XFS): no time and no space."""
    try:
        with source.open("rb") as reading, target.open("r+b") as writing:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
    except OSError:
        return False
    return True


def _same_file_system(first: Path, second: Path) -> bool:
    return first.stat().st_dev == second.stat().st_dev


def _touch(path: Path) -> None:
    with suppress(OSError):
        os.utime(path)


def _head(package: Path) -> tuple[int, bytes] | None:
    """Return what tells packages apart: the size, and the header, which holds the digest of the content."""
    try:
        with package.open("rb") as stream:
            return package.stat().st_size, stream.read(512)
    except OSError:
        return None
