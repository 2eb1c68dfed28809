"""A lock that came without a spec gets an exact one: what it holds is what is wanted."""

from __future__ import annotations

from dataclasses import replace

from poncho.lock.model import Lock
from poncho.spec import Spec, portable, spec_digest


def lifted(lock: Lock) -> Lock:
    """Return the lock with the spec that asks for exactly its packages; one that has a spec stays as it is."""
    if lock.spec is not None:
        return lock
    conda = tuple(f"{item.name}={item.version}={item.build}".rstrip("=") for item in lock.conda)
    spec = Spec(
        channels=lock.channels,
        conda=() if lock.base else conda,
        pip=tuple(item.requirement for item in lock.pip),
        python=lock.base.version if lock.base else None,
    )
    spec = portable(spec)
    return replace(lock, spec=spec, spec_digest=spec_digest(spec))
