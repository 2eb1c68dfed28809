"""Who brought which member, as ``poncho/owners`` says it."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from poncho.errors import PackageError
from poncho.pack.ownership import HEAD
from poncho.pack.relocation import escape, unescape

OwnerKind = Literal["conda", "pip", "data", "poncho", "other"]
_KINDS: dict[bytes, OwnerKind] = {b"conda": "conda", b"pip": "pip", b"poncho": "poncho", b"-": "other"}


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Where a member comes from: a conda package, a distribution (``pip``), git or http data, PONCHO, or nobody knows.

    ``name`` is empty for the last two.
    """

    kind: OwnerKind
    name: str = ""


PONCHO, OTHER = Owner("poncho"), Owner("other")


def own_owner(path: str) -> Owner | None:
    """Return the owner of a member below ``poncho/``, which needs no list; None for all others."""
    if not path.startswith("poncho/"):
        return None
    parts = path.split("/", 3)
    return Owner("data", parts[2]) if len(parts) > 2 and parts[1] == "data" else PONCHO


def read_owners(text: bytes, paths: Collection[str]) -> dict[str, Owner]:
    """Return the owner of each of ``paths`` (all members of the package). Raises PackageError when they do not fit."""
    owners = {path: owner for path in paths if (owner := own_owner(path))}
    listed = sorted((path for path in paths if path not in owners), key=_in_contents)
    lines = text.split(b"\n")
    at = 0
    for line in lines[1:-1]:
        match line.split(b"\t"):
            case [count, kind, name] if count.isdigit() and len(count) < 10 and kind in _KINDS:
                owner = Owner(_KINDS[kind], os.fsdecode(unescape(name)))
            case _:
                raise _damaged()
        end = at + int(count)
        owners.update(dict.fromkeys(listed[at:end], owner))
        at = end
    if lines[0] != HEAD or at != len(listed):
        raise _damaged()
    return owners


def _in_contents(path: str) -> bytes:
    return escape(os.fsencode(path))


def _damaged() -> PackageError:
    return PackageError("the package's list of owners is damaged", hint="copy the package again")
