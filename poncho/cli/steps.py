"""What a build has done so far, as the events tell it: one value for each step, for whoever shows it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from poncho._redact import redact
from poncho._types import Event
from poncho._words import human_bytes, shown

_WINDOW = 8.0  # seconds over which a rate is taken
_SAMPLE = 0.25
# How much slower than from the beginning on, at most, the rest is thought to go: a halt of some seconds is not the end.
_SLOWER = 3.0


@dataclass(slots=True)
class _Item:
    done: int | None = None
    total: int | None = None
    unit: str = ""
    running: bool = True


@dataclass(slots=True)
class Step:
    """One step: when it began and ended (None: it goes on), what it said last, and its numbers, summed over its items.

    ``samples`` are times and numbers of the last seconds, ``first`` is the first of the count that goes on.
    """

    name: str
    began: float
    message: str = ""
    ended: float | None = None
    done: int | None = None
    total: int | None = None
    unit: str = ""
    items: dict[str, _Item] = field(default_factory=dict)
    samples: deque[tuple[float, int]] = field(default_factory=deque)
    first: tuple[float, int] = (0.0, 0)

    def seconds(self, now: float) -> float:
        """Return how long it took, or takes by now."""
        return (now if self.ended is None else self.ended) - self.began

    def rate(self, now: float) -> float | None:
        """Return units a second over the last seconds; None when too little is known."""
        while len(self.samples) > 2 and now - self.samples[0][0] > _WINDOW:
            self.samples.popleft()
        if self.done is None or not self.samples or now - self.samples[0][0] < 2 * _SAMPLE:
            return None
        gained = self.done - self.samples[0][1]
        return gained / (now - self.samples[0][0]) if gained > 0 else None

    def left(self, now: float) -> float | None:
        """Return the seconds that the rest takes at this rate; None when that is not known."""
        rate = self.rate(now)
        if rate is None or self.total is None or self.done is None or self.total <= self.done:
            return None
        began, already = self.first
        return (self.total - self.done) / max(rate, (self.done - already) / (now - began) / _SLOWER)

    @property
    def share(self) -> float | None:
        """Return how much is done, from 0 to 1; None when that is not known."""
        if self.done is None or not self.total:
            return None
        return min(1.0, self.done / self.total)

    @property
    def amount(self) -> str:
        """Return the numbers in words: ``12.3 MB of 40.1 MB``, ``3 of 48 packages``."""
        if self.done is None:
            return ""
        known = self.total is not None and (self.ended is None or self.done != self.total)
        numbers = [self.done, self.total] if known else [self.done]
        if self.unit == "bytes":
            return " of ".join(human_bytes(n) for n in numbers if n is not None)
        return f"{' of '.join(str(n) for n in numbers if n is not None)} {self.unit}".rstrip()


class Steps:
    """The steps in the order in which they began. Fed with events; not safe for threads by itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps: dict[str, Step] = {}

    @property
    def all(self) -> list[Step]:
        """Return all steps."""
        return list(self._steps.values())

    def add(self, event: Event) -> Step:
        """Take an event in and return its step."""
        now = self._clock()
        step = self._steps.get(event.step)
        if step is None:
            step = self._steps[event.step] = Step(event.step, now)
        elif event.kind in ("start", "progress") and step.ended is not None:
            # The same step goes on: pip resolves, then installs; several files come one after the other.
            if not event.item or step.items.get(event.item) is None:
                step.samples.clear()
            step.ended = None
        if event.message:
            step.message = one_line(event.message)
        item = step.items.get(event.item)
        if item is None:
            item = step.items[event.item] = _Item()
        if event.kind == "start" and not event.item:
            step.items = {"": _Item(event.done, event.total, event.unit)}
            step.samples.clear()
        elif event.done is not None:
            if event.unit and item.unit not in ("", event.unit):
                step.samples.clear()
            item.done, item.total, item.unit = event.done, event.total, event.unit
        if event.kind == "done":
            item.running = False
        self._sum(step, now)
        if event.kind == "done" and not any(one.running for one in step.items.values()):
            step.ended = now
        return step

    def _sum(self, step: Step, now: float) -> None:
        items = [one for one in step.items.values() if one.done is not None]
        units = {one.unit for one in items}
        if len(units) == 1:
            step.unit = units.pop()
            step.done = sum(one.done or 0 for one in items)
            known = all(one.total is not None for one in items)
            step.total = sum(one.total or 0 for one in items) if known and items else None
        elif units:
            # Bytes of one file and objects of a repository: no sum has a meaning, so the latest is shown.
            last = next((one for one in reversed(items) if one.running), items[-1])
            step.done, step.total, step.unit = last.done, last.total, last.unit
            step.samples.clear()
        else:
            step.done = step.total = None
        if step.done is not None and (not step.samples or now - step.samples[-1][0] >= _SAMPLE):
            if not step.samples:
                step.first = (now, step.done)
            step.samples.append((now, step.done))


def one_line(text: str) -> str:
    """Return somebody's words as one line without secrets, fit for a terminal."""
    return shown(" ".join(redact(text).split()))
