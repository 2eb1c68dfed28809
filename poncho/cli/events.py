"""Events as lines of JSON, for programs that show a build in their own way. The schema: docs/events.schema.json."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO

from poncho._redact import redact
from poncho._types import Event

_PAUSE = 0.2  # seconds between two progress events of one item


class JsonLines:
    """A reporter that writes one JSON object a line: ``event``, ``time`` (seconds since the start), ``step``, ….

    Progress comes at most five times a second for each thing that makes progress; everything else comes at once.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._shown: dict[tuple[str, str], float] = {}
        self._starts: dict[tuple[str, str], float] = {}

    def __call__(self, event: Event) -> None:
        now, key = time.monotonic(), (event.step, event.item)
        with self._lock:
            if event.kind == "progress":
                if now - self._shown.get(key, 0.0) < _PAUSE:
                    return
                self._shown[key] = now
            facts: dict[str, Any] = {"step": event.step}
            for name in ("message", "item", "unit"):
                if getattr(event, name):
                    facts[name] = redact(getattr(event, name))
            for name in ("done", "total"):
                if getattr(event, name) is not None:
                    facts[name] = getattr(event, name)
            if event.kind == "start":
                self._starts[key] = now
            elif event.kind == "done" and key in self._starts:
                facts["seconds"] = round(now - self._starts.pop(key), 3)
            write_line(event.kind, {"time": round(now - self._began, 3), **facts}, self._stream)


def write_line(event: str, facts: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """Write one object as a line, ``event`` first. A reader that has gone is no error."""
    stream = stream or sys.stderr
    with suppress(OSError, ValueError):
        stream.write(json.dumps({"event": event, **facts}, default=str) + "\n")
        stream.flush()
