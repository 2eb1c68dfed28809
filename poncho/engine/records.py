"""Between repodata records (JSON objects) and the entries of a lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poncho.lock.model import LockedConda


def locked_from_record(record: Mapping[str, Any]) -> LockedConda:
    """Return the lock entry of a repodata record (``name``, ``version``, ``build``, ``subdir``, ``url``, …)."""
    return LockedConda(
        name=str(record["name"]),
        version=str(record["version"]),
        build=str(record["build"]),
        subdir=str(record["subdir"]),
        channel=str(record.get("channel") or str(record["url"]).rsplit("/", 2)[0]),
        url=str(record["url"]),
        sha256=record.get("sha256"),
        md5=record.get("md5"),
        size=record.get("size"),
        record=dict(record),
    )


def record_from_locked(locked: LockedConda) -> dict[str, Any]:
    """Return the repodata record of a lock entry; what the entry says wins over its record.

    An entry that does not know what the package depends on (of an explicit list) has no ``depends``.
    """
    facts: dict[str, Any] = {
        "name": locked.name,
        "version": locked.version,
        "build": locked.build,
        "subdir": locked.subdir,
        "url": locked.url,
        "fn": locked.filename,
        "channel": locked.channel,
        "sha256": locked.sha256,
        "md5": locked.md5,
        "size": locked.size,
    }
    known = {key: value for key, value in facts.items() if value is not None}
    return {"build_number": 0, **locked.record, **known}
