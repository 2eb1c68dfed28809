"""Make a lock ready to be built here, or say why it cannot be: another platform, another interpreter, other code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._frozen import Frozen
from poncho._types import Event
from poncho.base import BaseChannel, base_channel
from poncho.engine import native_platform
from poncho.errors import ResolveError
from poncho.lock.codec import BASE_URL
from poncho.lock.model import Lock, LockedBase, LockedConda, LockedPip
from poncho.lock.places import is_local_remote
from poncho.resolution.environment import Means
from poncho.resolution.local import tree_digest
from poncho.spec.requirements import is_local


def installable(lock: Lock, *, means: Means) -> Lock:
    """Return the lock with this machine's interpreter where it names the base, everything local checked.

    Raises ResolveError: another platform's lock, an interpreter that differs from the locked one, local code that is
    not there or has changed.
    """
    if lock.platform not in (native_platform(), "noarch"):
        raise ResolveError(
            f"the lock is for {lock.platform}, and this machine is {native_platform()}",
            hint=f"build it on a {lock.platform} machine, or lock for this one: --platform {native_platform()}",
            context={"platform": lock.platform},
        )
    check_local(lock)
    bare = sum(not (item.sha256 or item.md5) for item in lock.conda)
    if bare:
        words = "conda package has" if bare == 1 else "conda packages have"
        means.reporter(
            Event("warning", "solve", f"{bare} {words} no checksum in the lock: what arrives is not checked")
        )
    return _with_base(lock, means)


def check_local(lock: Lock) -> None:
    """Raise ResolveError for local code and repositories that are not there, or are not what was locked."""
    for item in lock.pip:
        _check_code(item)
    for name, source in lock.git.items():
        if is_local_remote(source.remote) and not Path(source.remote).exists():
            raise ResolveError(
                f"{name}: the git repository {source.remote} was on the machine that made the lock, and is not here",
                hint="put a clone of it there, or give the spec an address that others can reach",
            )


def _check_code(item: LockedPip) -> None:
    if not is_local(item.requirement):
        return
    path = Path(item.requirement)
    if not path.exists() and item.requirement.endswith("]"):
        path = Path(item.requirement.rpartition("[")[0])
    if not path.exists():
        raise ResolveError(
            f"{item.name}: its code {path} was on the machine that made the lock, and is not here",
            hint="put it there; a package's own lock looks for it in the current directory",
            context={"path": str(path)},
        )
    if item.sha256 is None:
        return
    found = tree_digest(path) if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    if found != item.sha256:
        raise ResolveError(
            f"{item.name}: {path} has changed since it was locked",
            hint=f"lock it anew: poncho lock … --update {item.name}",
            context={"path": str(path), "locked": item.sha256, "found": found},
        )


def _with_base(lock: Lock, means: Means) -> Lock:
    base = lock.base
    if base is None:
        stray = next((item for item in lock.conda if item.url.startswith(BASE_URL)), None)
        if stray is not None:
            raise ResolveError(f"the lock takes {stray.name} from a base interpreter but names none", hint="lock again")
        return lock
    if not any(item.url.startswith(BASE_URL) for item in lock.conda):
        return lock
    channel = locked_base_channel(base, means)
    records = _records(channel)
    conda = tuple(_placed(item, channel, records, base) for item in lock.conda)
    return replace(lock, conda=conda)


def locked_base_channel(base: LockedBase, means: Means) -> BaseChannel:
    """Return the channel of the interpreter that a lock names. Raises ResolveError when this machine's is another."""
    try:
        channel = base_channel(base.version, cache=means.cache, reporter=means.reporter)
    except ResolveError as error:
        raise ResolveError(
            f"the lock's base is Python {base.version} ({base.kind}) of the machine that made it: {error.message}",
            hint="install that Python here, or lock again on this machine",
            context=error.context,
        ) from error
    if channel.sha256 != base.sha256:
        raise ResolveError(
            f"interpreter {base.version} differs from the locked one: this machine's Python {base.version} "
            f"({channel.kind}) or its pip is another build (sha256 {channel.sha256[:12]}…, locked {base.sha256[:12]}…)",
            hint="lock again on this machine; a spec that names a conda channel gives the same interpreter everywhere",
            context={"locked": base.sha256, "found": channel.sha256},
        )
    return channel


def _records(channel: BaseChannel) -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for subdir in (channel.platform, "noarch"):
        document = _json.loads((channel.path / subdir / "repodata.json").read_text(encoding="utf-8"))
        for section in ("packages", "packages.conda"):
            for filename, record in document.get(section, {}).items():
                found[f"{BASE_URL}{subdir}/{filename}"] = record
    return Frozen(found)


def _placed(
    item: LockedConda, channel: BaseChannel, records: Mapping[str, Mapping[str, Any]], base: LockedBase
) -> LockedConda:
    if not item.url.startswith(BASE_URL):
        return item
    record = records.get(item.url)
    if record is None:
        raise ResolveError(
            f"the base interpreter {base.version} of this machine has no {item.url.removeprefix(BASE_URL)}",
            hint="lock again on this machine",
        )
    # The same content may be compressed to other bytes here: what counts is the digest of the base.
    return replace(
        item,
        url=f"{channel.url}/{item.url.removeprefix(BASE_URL)}",
        channel=channel.url,
        sha256=record.get("sha256"),
        md5=record.get("md5"),
        size=record.get("size"),
    )
