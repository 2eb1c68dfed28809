"""An engine that does not solve again what it solved before, as long as all that the solution depends on is the same."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poncho._types import Event, Reporter
from poncho._words import counted
from poncho.engine.base import CondaEngine, SolveRequest
from poncho.engine.channel_state import channels_state
from poncho.lock.model import LockedConda
from poncho.store import Answers, BuilderCache, answer_key, plain

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/sys/module/nvidia/version"))


@dataclass(frozen=True, slots=True)
class RememberingEngine:
    """``engine``, with its solutions and this machine's virtual packages kept in the builder's cache.

    A solution holds while the request, the engine's version, the virtual packages and the indexes of all channels are the
    same. Where that cannot be told (channels on http), the engine solves each time.
    """

    engine: CondaEngine
    cache: BuilderCache
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def name(self) -> str:
        """Return the engine's name."""
        return self.engine.name

    @property
    def identity(self) -> str:
        """Return the engine's identity."""
        return self.engine.identity

    def solve(self, request: SolveRequest, *, reporter: Reporter) -> tuple[LockedConda, ...]:
        """Return the records of a solution, sorted by name; raises what the engine raises."""
        key = self._key(request)
        answers = Answers(self.cache.directory("solve"))
        known = _records(answers.get(key)) if key else None
        if known is not None:
            reporter(
                Event(
                    "done",
                    "solve",
                    f"{counted(len(known), 'conda package')}, as before",
                    done=len(known),
                    unit="packages",
                )
            )
            return known
        found = self.engine.solve(request, reporter=reporter)
        if key:
            answers.put(key, [plain(record) for record in found])
        return found

    def install(
        self, records: Sequence[LockedConda], prefix: Path, *, platform: str, offline: bool, reporter: Reporter
    ) -> None:
        """Install ``records`` into ``prefix`` as the engine does."""
        self.engine.install(records, prefix, platform=platform, offline=offline, reporter=reporter)

    def virtual_packages(self, platform: str) -> tuple[str, ...]:
        """Return the virtual packages; they hold until the machine is started again or its drivers change."""
        try:
            boot = _BOOT.read_text().strip()
        except OSError:
            return self.engine.virtual_packages(platform)
        overrides = {key: value for key, value in self.environ.items() if key.startswith("CONDA_OVERRIDE_")}
        drivers = [path.read_text() if path.is_file() else "" for path in _DRIVERS]
        key = answer_key("virtual packages 1", self.identity, platform, boot, _libc(), overrides, drivers)
        answers = Answers(self.cache.directory("solve"))
        known = answers.get(key)
        if isinstance(known, list):
            return tuple(map(str, known))
        found = self.engine.virtual_packages(platform)
        answers.put(key, list(found))
        return found

    def _key(self, request: SolveRequest) -> str | None:
        if any("::" in spec for spec in request.specs):
            return None  # it names a channel of its own
        state = channels_state(request.channels, request.platform)
        if state is None:
            return None
        virtual = request.virtual_packages
        asked = plain(request) | {"offline": False, "virtual_packages": None}
        return answer_key("solution 1", self.identity, asked, virtual or self.virtual_packages(request.platform), state)


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):  # another C library
        return ""


def _records(answer: Any) -> tuple[LockedConda, ...] | None:
    try:
        return None if answer is None else tuple(LockedConda(**one) for one in answer)
    except TypeError:
        return None
