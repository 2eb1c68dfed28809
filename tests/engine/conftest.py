"""An engine over the test channel, and what it reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from poncho._types import Event
from poncho.engine import SolveRequest, native_platform
from poncho.engine.rattler import RattlerEngine
from poncho.lock.model import LockedConda
from poncho.store import BuilderCache


@dataclass
class Bench:
    """An engine of this test's own cache; ``events`` is all that it reported."""

    engine: RattlerEngine
    events: list[Event] = field(default_factory=list)

    def solve(self, channels: list[str], specs: list[str], **options: object) -> tuple[LockedConda, ...]:
        platform = str(options.pop("platform", native_platform()))
        request = SolveRequest(tuple(channels), tuple(specs), platform, **options)  # type: ignore[arg-type]
        return self.engine.solve(request, reporter=self.events.append)

    def install(self, records: tuple[LockedConda, ...], prefix: Path, *, offline: bool = False) -> None:
        platform = native_platform()
        self.engine.install(records, prefix, platform=platform, offline=offline, reporter=self.events.append)

    def messages(self, kind: str) -> list[str]:
        return [event.message for event in self.events if event.kind == kind]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(RattlerEngine(BuilderCache(tmp_path / "cache")))
