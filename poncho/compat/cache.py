"""Packages by what their spec asks for: built when missing, found when not."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

from poncho._types import Reporter, silent
from poncho.builder import CreateOptions, check_output, create
from poncho.engine import native_platform
from poncho.errors import StoreError
from poncho.install.local import local_source
from poncho.install.local_code import with_local_code
from poncho.resolution.local import locked_file, tree_digest
from poncho.spec import Spec, spec_digest
from poncho.store import BuilderCache, atomic_file, exclusive


def package_name(spec: Spec, platform: str) -> str:
    """Return the file name of a spec's package: the sha256 of platform, spec (channels in order) and local code."""
    code = {}
    for requirement in spec.pip:
        source = local_source(requirement)
        if source is not None and source.exists():
            code[requirement] = tree_digest(source) if source.is_dir() else locked_file("", "", source).sha256
    identity = {"format": 1, "platform": platform, "spec": spec_digest(spec), "code": code}
    return f"env-sha256-{hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()}.tar.gz"


def find_package(spec: Spec, directory: Path) -> Path | None:
    """Return the package of ``spec`` in ``directory``, or None where there is none yet."""
    target = directory / package_name(with_local_code(spec, Path(sys.prefix)), native_platform())
    return target if target.is_file() else None


def cached_package(
    spec: Spec,
    directory: Path,
    *,
    options: CreateOptions | None = None,
    force: bool = False,
    reporter: Reporter = silent,
) -> Path:
    """Return the package of ``spec`` in ``directory``; build it when it is missing or ``force`` asks for it.

    What is installed editable in this interpreter's environment is taken from its directory. The package appears by one
    rename; of several processes that want the same one, one builds. Raises PonchoError.
    """
    spec = with_local_code(spec, Path(sys.prefix))
    target = directory / package_name(spec, native_platform())
    if target.is_file() and not force:
        return target
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{directory}: cannot make the cache directory ({error.strerror})", hint="name one that you may write to"
        ) from error
    locks = ((options.cache if options else None) or BuilderCache.default()).directory("locks")
    key = hashlib.sha256(str(target.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    with exclusive(locks / f"{key}.lock"):
        if force or not target.is_file():
            create(spec, target, options=options, reporter=reporter)
    return target


def place_package(spec: Spec, target: Path, *, reporter: Reporter = silent) -> None:
    """Make ``target`` the package of ``spec``, out of the user's cache; one that is there and is the same one stays.

    Raises PonchoError; ``target`` appears whole or not at all.
    """
    check_output(target.absolute())
    package = cached_package(spec, BuilderCache.default().directory("packages"), reporter=reporter)
    if _head(package) != _head(target):
        with atomic_file(target) as private:
            shutil.copyfile(package, private)


def _head(package: Path) -> tuple[int, bytes] | None:
    """Return what tells packages apart: the size, and the header, which holds the digest of the content."""
    try:
        with package.open("rb") as stream:
            return package.stat().st_size, stream.read(512)
    except OSError:
        return None
