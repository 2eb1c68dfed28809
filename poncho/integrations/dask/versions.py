"""Versions of client, scheduler and workers side by side: what differs, whether it matters, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from poncho._arguments import kind
from poncho.errors import PackageError, UsageError
from poncho.integrations.dask.command import DASK

_PROTOCOL = frozenset({"python", *DASK.exact, *DASK.pinned})


@dataclass(frozen=True, slots=True)
class Difference:
    """One package whose versions differ. ``workers`` maps addresses to versions; None is "not installed".

    ``breaks`` is True for what the three sides talk and pickle with (for Python: where 3.X differs); else it matters only
    where values of that package cross (arrays of numpy, frames of pandas).
    """

    name: str
    client: str | None
    scheduler: str | None
    workers: Mapping[str, str | None]
    breaks: bool

    def __str__(self) -> str:
        workers = ", ".join(sorted({version or "missing" for version in self.workers.values()})) or "none"
        client, scheduler = self.client or "missing", self.scheduler or "missing"
        return f"{self.name} (client {client}, scheduler {scheduler}, workers {workers})"


def check_client(client: Any) -> None:
    """Refuse what is no client, such as a cluster, and one that is asynchronous. Raises UsageError."""
    if not hasattr(client, "get_versions"):
        raise UsageError(f"a Client is needed, not {kind(client)}", hint="pass distributed.Client(cluster)")
    if getattr(client, "asynchronous", False):
        raise UsageError("the client is asynchronous", hint="pass a Client(asynchronous=False)")


def version_differences(client: Any) -> tuple[Difference, ...]:
    """Return what ``Client.get_versions`` finds to differ between client, scheduler and workers; what breaks comes first."""
    check_client(client)
    answer = client.get_versions()
    mine, scheduler = _packages(answer["client"]), _packages(answer["scheduler"])
    workers = {address: _packages(one) for address, one in answer["workers"].items()}
    found = []
    for name in sorted({*mine, *scheduler, *(name for one in workers.values() for name in one)}):
        ours, theirs = mine.get(name), scheduler.get(name)
        versions = {address: one.get(name) for address, one in workers.items()}
        # A scheduler handles no values of the program: that it lacks numpy is as it should be.
        sides = {ours, *versions.values()} | ({theirs} if name in _PROTOCOL else set())
        if name == "python":
            breaks = len({_minor(side) for side in sides}) > 1
            if not breaks:
                continue
        else:
            breaks = name in _PROTOCOL
        if len(sides) > 1:
            found.append(Difference(name, ours, theirs, versions, breaks))
    return tuple(sorted(found, key=lambda one: (not one.breaks, one.name)))


def check_versions(client: Any) -> tuple[Difference, ...]:
    """Return the differences that matter only where values cross; raise PackageError when there are others."""
    found = version_differences(client)
    broken = [one for one in found if one.breaks]
    if broken:
        wanted = [f"{one.name}=={one.client}" for one in broken if one.client and one.name != "python"]
        python = next((f"Python {_minor(one.client)}" for one in broken if one.name == "python"), None)
        listed = ", ".join([*([python] if python else []), *wanted])
        raise PackageError(
            f"client, scheduler and workers do not fit together: {'; '.join(map(str, broken))}",
            hint=f"build the package (and run the scheduler) with the client's {listed}; from a spec, "
            "poncho.integrations.dask adds them",
            context={"differences": [str(one) for one in found]},
        )
    return found


def _packages(side: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Return the versions that one side told, by name; older Dask tells pairs."""
    packages = (side or {}).get("packages", {})
    return dict(packages)


def _minor(version: str | None) -> str | None:
    return version and ".".join(version.split(".")[:2])
