"""``pylock.toml`` (PEP 751): distributions with hashes, for any interpreter that it allows.

Which of its files are wanted depends on interpreter and platform: ``pip_entries`` chooses, as PEP 751 says how.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, cast

from packaging.markers import Environment, InvalidMarker, UndefinedEnvironmentName
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.tags import Tag

from poncho.errors import SpecError
from poncho.lock.model import LockedPip
from poncho.spec.reader import Reader
from poncho.spec.requirements import check_requirement, real_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PART = re.compile(r"([^\[.]+)|\[(\d+)\]")


def read_pylock(text: str, *, source: str | None = None) -> Pylock:
    """Return what a pylock.toml holds, validated. Raises SpecError with a pointer."""
    try:
        return Pylock.from_dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"not TOML: {error}", source=source) from error
    except PylockValidationError as error:
        where = "".join(f"/{name or number}" for name, number in _PART.findall(error.context or ""))
        raise SpecError(_line(error.message), pointer=where or "/", source=source) from error
    except (ValueError, TypeError, AttributeError, RecursionError, InvalidMarker) as error:
        raise SpecError(f"not a pylock.toml: {_line(error)}", source=source) from error


def pip_entries(
    lock: Pylock, *, marker_environment: Mapping[str, str], tags: Sequence[Tag], base: Path, source: str | None = None
) -> tuple[LockedPip, ...]:
    """Return what ``lock`` installs into an interpreter of these markers and tags; paths start from ``base``.

    Raises SpecError for an interpreter that it does not allow, a file that fits none of the tags, and for what cannot
    be handed to an installer.
    """
    python = marker_environment.get("python_full_version", "")
    if lock.requires_python is not None and not lock.requires_python.contains(python, prereleases=True):
        raise SpecError(
            f"is for Python {lock.requires_python}, not {python}",
            pointer="/requires-python",
            source=source,
        )
    try:
        chosen = list(lock.select(environment=cast(Environment, dict(marker_environment)), tags=tags))
    except (PylockSelectError, UndefinedEnvironmentName, ValueError) as error:
        raise SpecError(f"cannot be installed here: {_line(error)}", source=source) from error
    names: dict[str, LockedPip] = {}
    for place, (package, what) in enumerate(chosen):
        fail = Reader(None, f"/packages/{place}", source).fail
        entry = _entry(package, what, base, fail)
        check_requirement(entry.requirement, fail)
        names[package.name] = entry
    return tuple(names[name] for name in sorted(names))


def _entry(package: Package, what: object, base: Path, fail: Callable[..., NoReturn]) -> LockedPip:
    name, version = str(package.name), str(package.version or "")
    if isinstance(what, PackageVcs):
        where = what.url or Path(real_path(str(what.path), base, fail)).as_uri()
        url = f"{what.type}+{where}@{what.commit_id}{_subdirectory(what.subdirectory)}"
        return LockedPip(name, version, f"{name} @ {url}", url=url)
    if isinstance(what, PackageDirectory):
        return LockedPip(name, version, real_path(f"{what.path}/{what.subdirectory or ''}", base, fail))
    assert isinstance(what, (PackageArchive, PackageWheel, PackageSdist))
    sha256 = what.hashes.get("sha256")
    if what.url is None:
        return LockedPip(name, version, real_path(str(what.path), base, fail), sha256=sha256, size=what.size)
    direct = isinstance(what, PackageArchive) or not version
    fragment = _subdirectory(what.subdirectory) if isinstance(what, PackageArchive) else ""
    requirement = f"{name} @ {what.url}{fragment}" if direct else f"{name}=={version}"
    return LockedPip(name, version, requirement, url=what.url, sha256=sha256, size=what.size)


def _line(error: object) -> str:
    """Return the words of an error as one line; packaging draws an arrow below what it cannot parse."""
    return " ".join(part.strip() for part in str(error).splitlines() if part.strip(" ^~"))


def _subdirectory(path: str | None) -> str:
    return f"#subdirectory={path}" if path else ""
