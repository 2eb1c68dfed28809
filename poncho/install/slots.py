"""One kept environment as a directory: its lock, what says that it is whole, deleting it.

``environments/<key>-<token>/``: ``env`` (the prefix), ``lock`` and ``state.json``. See ``poncho.install.kept``.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poncho.store import BuilderCache, Flock, remove_tree
from poncho.store.answers import read_answer, write_answer
from poncho.store.stamps import Stamps, take_stamps

_FORMAT = 1
# How many environments stay; the longest unused goes when there is one more.
_KEPT = 8
_JUST_MADE = 60.0
_NAME = re.compile(r"[0-9a-f]{24}-(?:[0-9a-f]{8}|base)\Z")


@dataclass(frozen=True, slots=True)
class State:
    """What a whole environment holds: identities of pip packages by name, and a stamp of each directory."""

    pip: dict[str, str]
    stamps: Stamps


class Slot:
    """One directory of ``environments``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prefix = path / "env"
        self._state = path / "state.json"

    def lock(self) -> Flock:
        """Return the lock, open and not held; the directory is made when it is missing."""
        while True:
            self.path.mkdir(exist_ok=True)
            try:
                return Flock(self.path / "lock")
            except FileNotFoundError:
                continue  # deleted by another one meanwhile

    def state(self) -> State | None:
        """Return what the environment holds, None when it is not whole."""
        found: Any = read_answer(self._state)
        try:
            if found["format"] != _FORMAT or found["prefix"] != str(self.prefix):
                return None
            return State(dict(found["pip"]), dict(found["stamps"]))
        except (TypeError, KeyError, ValueError):
            return None

    def forget_state(self) -> None:
        """Mark the environment as not whole."""
        self._state.unlink(missing_ok=True)

    def write_state(self, pip: dict[str, str], stamps: Stamps) -> None:
        """Mark the environment as whole."""
        write_answer(self._state, {"format": _FORMAT, "prefix": str(self.prefix), "pip": pip, "stamps": dict(stamps)})

    def touch(self) -> None:
        """Note that it was used now."""
        with suppress(OSError):
            os.utime(self._state)

    def delete(self, cache: BuilderCache) -> None:
        """Delete it; the caller holds the lock alone."""
        aside = cache.directory("tmp") / f"gone-{secrets.token_hex(6)}"
        with suppress(OSError):
            self.path.rename(aside)
        remove_tree(aside if aside.exists() else self.path)


def trim(root: Path, *, keep: int = _KEPT) -> None:
    """Delete what killed builders left of environments, and the longest unused beyond ``keep``; none that is in use."""
    cache = BuilderCache(root.parent)
    whole: list[tuple[float, Slot]] = []
    now = time.time()
    for path in root.iterdir():
        if not _NAME.match(path.name):
            continue
        slot = Slot(path)
        try:
            whole.append(((path / "state.json").stat().st_mtime, slot))
        except OSError:
            with suppress(OSError):
                if now - path.stat().st_mtime > _JUST_MADE:
                    delete_unused(slot.path, cache)
    environments = sorted((used, slot.path) for used, slot in whole if not slot.path.name.endswith("-base"))
    for _, path in environments[: max(0, len(environments) - keep)]:
        delete_unused(path, cache)
    left = {path.name.partition("-")[0] for _, path in environments[max(0, len(environments) - keep) :]}
    bases = sorted((used, slot.path) for used, slot in whole if slot.path.name.endswith("-base"))
    unused = [path for _, path in bases if path.name.partition("-")[0] not in left]
    for path in unused[: max(0, len(unused) - 2)]:
        delete_unused(path, cache)


def delete_unused(path: Path, cache: BuilderCache) -> bool:
    """Delete one kept environment unless a process uses it; return whether it is gone."""
    slot = Slot(path)
    if not path.is_dir():
        return True
    with slot.lock() as lock:
        if not lock.exclusive(wait=False) or not lock.is_current():
            return False
        slot.delete(cache)
    return True


def is_untouched(path: Path) -> bool | None:
    """Tell whether a kept environment is as its build left it; None when it is being changed, or is not whole."""
    slot = Slot(path)
    state = slot.state()
    if state is None:
        return None
    try:
        return take_stamps(slot.prefix) == state.stamps
    except OSError:
        return False
