"""A pylock.toml names no interpreter: this machine's base takes that place."""

from __future__ import annotations

import platform as machine
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from packaging.pylock import Pylock
from packaging.tags import platform_tags

from poncho.engine import native_platform
from poncho.errors import ResolveError
from poncho.lock.foreign import lifted, pip_entries
from poncho.lock.model import Lock, LockedPip
from poncho.resolution.conda import resolve_conda
from poncho.resolution.environment import Means, choose_base
from poncho.resolution.local import locked_directory, locked_file
from poncho.resolution.wheels import python_tags
from poncho.spec import Spec
from poncho.spec.requirements import is_local


def lock_from_pylock(pylock: Pylock, *, platform: str, means: Means, base: Path, source: str | None = None) -> Lock:
    """Return the lock of this machine's interpreter with the distributions that ``pylock`` gives it.

    Raises SpecError (nothing in the file fits), ResolveError (another platform, no interpreter that it allows).
    """
    if platform != native_platform():
        raise ResolveError(
            f"a pylock.toml names no interpreter, and this machine has none for {platform}",
            hint="lock a spec that names a conda channel",
        )
    wanted = str(pylock.requires_python) if pylock.requires_python else None
    asked = Spec(python=wanted, pip=("placeholder",))
    channel = choose_base(asked, platform, means)
    assert channel is not None
    conda = resolve_conda(
        asked, engine=means.engine, base=channel, platform=platform, offline=means.offline, reporter=means.reporter
    )
    version = channel.python_version.rstrip("+")
    found = pip_entries(
        pylock,
        marker_environment=_markers(version),
        tags=python_tags([int(part) for part in version.split(".")[:2]], list(platform_tags())),
        base=base,
        source=source,
    )
    pip = tuple(_with_digest(item) for item in found)
    lock = Lock(
        platform,
        "",
        virtual_packages=means.engine.virtual_packages(platform),
        base=channel.locked,
        conda=conda,
        pip=pip,
    )
    return lifted(lock)


def _with_digest(item: LockedPip) -> LockedPip:
    if not is_local(item.requirement):
        return item
    path = Path(item.requirement)
    if path.is_dir():
        return replace(locked_directory(item.name, item.version, path), name=item.name)
    found = locked_file(item.name, item.version, path)
    if item.sha256 is not None and found.sha256 != item.sha256:
        raise ResolveError(f"{path}: is not the file that was locked: its sha256 is {found.sha256}, not {item.sha256}")
    return found


def _markers(version: str) -> Mapping[str, str]:
    """Return the marker environment (PEP 508) of CPython ``version`` on this machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": version,
        "os_name": "posix",
        "platform_machine": machine.machine(),
        "platform_python_implementation": "CPython",
        "platform_release": machine.release(),
        "platform_system": machine.system(),
        "platform_version": machine.version(),
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "sys_platform": "linux" if machine.system() == "Linux" else "darwin",
    }
