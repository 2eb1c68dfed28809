"""``pixi.lock``, read by rattler, whose own format it is: every version that py-rattler knows (4 to 7 are tested)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from poncho._home import working_directory
from poncho.engine.pip_tools import clean_environment
from poncho.engine.records import locked_from_record
from poncho.engine.worker import WorkerFailure, call_worker
from poncho.errors import SpecError
from poncho.lock.model import Lock, LockedPip
from poncho.spec.reader import Reader
from poncho.spec.requirements import check_requirement, real_path
from poncho.store import BuilderCache

_DEFAULT = "default"


def read_pixi_lock(
    text: str,
    *,
    platform: str,
    cache: BuilderCache,
    environment: str | None = None,
    source: str | None = None,
    base: Path | None = None,
) -> Lock:
    """Return the Lock of one environment (None: ``default``) and platform. Local code starts from ``base``.

    Raises SpecError with rattler's own words.
    """
    with cache.scratch("lock") as scratch:
        path = scratch / "pixi.lock"
        path.write_text(text, encoding="utf-8")
        request = {"op": "read_lock", "path": str(path), "platform": platform, "environment": environment or _DEFAULT}
        try:
            found = call_worker(request, env=clean_environment(os.environ), reporter=lambda event: None)
        except WorkerFailure as failure:
            raise _error(failure, source) from None
    conda = tuple(sorted((locked_from_record(record) for record in found["conda"]), key=lambda item: item.name))
    pip = (_pip(entry, place, base or working_directory(), source) for place, entry in enumerate(found["pypi"]))
    return Lock(
        platform,
        "",
        channels=tuple(channel.rstrip("/") for channel in found["channels"]),
        conda=conda,
        pip=tuple(sorted(pip, key=lambda item: canonicalize_name(item.name))),
    )


def _pip(entry: Mapping[str, Any], place: int, base: Path, source: str | None) -> LockedPip:
    name, version, where = str(entry["name"]), str(entry["version"] or ""), str(entry["location"])
    sha256, fail = entry["sha256"], Reader(None, f"pypi package {place}", source).fail
    if where.startswith(("./", "../", "/", ".")):
        return LockedPip(name, version, real_path(where, base, fail))
    where = where.removeprefix("direct+")
    indexed = sha256 is not None and version and not where.startswith("git+")
    requirement = f"{name}=={version}" if indexed else f"{name} @ {where}"
    check_requirement(requirement, fail)
    return LockedPip(name, version, requirement, url=where, sha256=sha256 if indexed else None)


def _error(failure: WorkerFailure, source: str | None) -> SpecError:
    names = failure.answer.get("names")
    if failure.kind == "platform":
        return SpecError(failure.message, source=source, hint=f"it is for {names or 'no platform'}")
    if failure.kind == "environment":
        hint = f"it has {names}: poncho lock {source or 'pixi.lock'} --environment NAME -o lock.json"
        return SpecError(failure.message, source=source, hint=hint)
    words = " ".join(line.strip() for line in failure.message.splitlines() if line.strip())
    return SpecError(f"cannot be read as a pixi.lock: {words}", source=source)
