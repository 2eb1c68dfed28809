"""What a file holds: a spec, a lock of any kind, or a package with its own lock inside. Told by content, not by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from poncho._home import working_directory
from poncho._types import Event
from poncho.engine import native_platform
from poncho.engine.pixi_lock import read_pixi_lock
from poncho.errors import PackageError, SpecError
from poncho.lock.codec import loads
from poncho.lock.compare import spec_changes
from poncho.lock.foreign import lifted, lock_kind, read_conda_lock, read_explicit, read_pylock
from poncho.lock.model import Lock
from poncho.package import open_package
from poncho.resolution import Means, changed_names, lock_from_pylock
from poncho.spec import Spec, decode, loads_spec, portable, spec_digest
from poncho.spec.foreign import UTF_16, has_script_block

# Larger than any lock that was seen (a pixi.lock of ten environments has 5 MB), smaller than what exhausts memory.
_LIMIT = 64 << 20
_INSTALLABLE = re.compile(r"(?m)^\[build-system\]")  # of a pyproject.toml
_ARCHIVES = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"hsqs", b"BZh", b"\xfd7zXZ")


def read_source(
    path: Path, *, means: Means, platform: str | None = None, environment: str | None = None
) -> Spec | Lock:
    """Return the spec or lock in a file; local code in it starts from its directory.

    A package gives its own lock; local code of that is looked for in the current directory. Raises SpecError,
    PackageError, and what completing a pylock.toml raises.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except OSError as error:
        raise SpecError(
            f"cannot be read ({error.strerror})", source=str(path), hint="check the path, and whether you may read it"
        ) from error
    if _is_package(data):
        if environment is not None:
            raise SpecError("has no environments to choose from", source=str(path), hint="leave --environment out")
        return _of_package(path)
    if len(data) > _LIMIT:
        raise SpecError(
            f"larger than {_LIMIT >> 20} MiB: this is no spec and no lock",
            source=str(path),
            hint="name a spec, a lock or a package",
        )
    text = decode(data, source=str(path))
    base = path.absolute().parent
    return read_text(text, means=means, source=str(path), base=base, platform=platform, environment=environment)


def read_text(
    text: str,
    *,
    means: Means,
    source: str | None = None,
    base: Path | None = None,
    platform: str | None = None,
    environment: str | None = None,
) -> Spec | Lock:
    """Return the spec or lock that a text is; see ``read_source``. ``base`` defaults to the current directory."""
    base = base or working_directory()
    kind = lock_kind(text, source=source)
    wanted = platform or native_platform()
    if environment is not None and kind not in ("conda-lock", "pixi"):
        raise SpecError("has no environments to choose from", source=source, hint="leave --environment out")
    if kind is None:
        spec = loads_spec(text, source=source, base=base, there=True)
        if source is not None and _INSTALLABLE.search(text) and text.lstrip()[:1] != "{" and not has_script_block(text):
            said = f'{source}: its requirements are packed, the project itself is not: that is a spec with "pip": ["{base}"]'
            means.reporter(Event("warning", "solve", said))
        return spec
    if kind == "poncho":
        lock = loads(text, source=source, base=base)
    elif kind == "explicit":
        lock = read_explicit(text, platform=wanted, source=source)
    elif kind == "conda-lock":
        lock = read_conda_lock(text, platform=wanted, environment=environment, source=source)
    elif kind == "pixi":
        lock = read_pixi_lock(
            text, platform=wanted, environment=environment, cache=means.cache, source=source, base=base
        )
    else:
        pylock = read_pylock(text, source=source)
        lock = lock_from_pylock(pylock, platform=wanted, means=means, base=base, source=source)
    if platform is not None and lock.platform != platform:
        hint = "leave --platform out, or lock the spec for that one"
        raise SpecError(f"is a lock for {lock.platform}, not for {platform}", source=source, hint=hint)
    return lifted(lock)


def read_lock(path: Path, *, means: Means, platform: str | None = None) -> Lock:
    """Return the lock in a file. Raises SpecError for one that is missing, or holds a spec."""
    try:
        path.stat()
    except FileNotFoundError as error:
        raise SpecError("no such file", source=str(path), hint=f"make it: poncho lock spec.json -o {path}") from error
    except OSError:
        pass  # said where it is opened
    found = read_source(path, means=means, platform=platform)
    if isinstance(found, Spec):
        raise SpecError("is a spec, not a lock", source=str(path), hint="poncho lock SPEC -o lock.json makes one")
    return found


def check_fresh(lock: Lock, spec: Spec, path: Path, *, moving: Sequence[str] = ()) -> None:
    """Raise SpecError, saying what changed, unless ``lock`` was made for ``spec``, or for one that differs in the packages
    and variables ``moving`` only.
    """
    if lock.spec_digest == spec_digest(portable(spec)):
        return
    names = changed_names(lock.spec, spec) if lock.spec else None
    known = {spelling for name in moving for spelling in (name, name.lower(), canonicalize_name(name))}
    if names is not None and names <= known:
        return
    # Only a lock of ours may be written anew: a package with a lock inside, or another tool's, stays what it is.
    own = is_own_lock(path)
    again = f"poncho lock {spec.source or 'SPEC'} -o {path if own else 'lock.json'}"
    if not own:
        again += ", and name that lock"
    elif names:
        again += "; all else stays as it is with " + " ".join(f"--update {name}" for name in sorted({*names, *moving}))
    changes = spec_changes(lock.spec, spec) if lock.spec else ()
    raise SpecError(
        f"the lock is stale, the spec has changed: {'; '.join(changes) or 'it has another digest'}",
        source=str(path),
        hint=f"lock it again: {again}",
        context={"changes": list(changes)},
    )


def is_package(path: Path) -> bool:
    """Tell whether a file is a package, or another archive, and no text."""
    try:
        with path.open("rb") as stream:
            return _is_package(stream.read(1 << 20))
    except OSError:
        return False


def is_own_lock(path: Path) -> bool:
    """Tell whether a file is a lock of PONCHO's own, which a newer one may replace."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LIMIT)
        return not _is_package(data) and lock_kind(decode(data)) == "poncho"
    except (OSError, SpecError):
        return False


def _is_package(data: bytes) -> bool:
    # A self-extracting package begins like a script; no text holds a zero byte, but for UTF-16.
    if data.startswith(UTF_16):
        return False
    return data.startswith(_ARCHIVES) or data[257:262] == b"ustar" or b"\0" in data[: 1 << 20]


def _of_package(path: Path) -> Lock:
    try:
        package = open_package(path)
    except PackageError as error:
        why = error.message.removeprefix(f"{path}: ")
        other = why == "is not a package"
        raise SpecError(
            f"is not text (UTF-8), so it is no spec, and no package {'either' if other else f'that can be read: {why}'}",
            source=str(path),
            hint='name a spec, a lock or a package; a spec brings data along that it has in "http" or "git"'
            if other
            else error.hint or "build or copy it again",
        ) from error
    if package.lock_text is None:
        raise PackageError(
            f"{path}: has no lock inside, so it cannot be built again", hint="PONCHO's own packages have one"
        )
    return lifted(loads(package.lock_text, source=f"{path}:poncho/lock.json", base=working_directory()))
