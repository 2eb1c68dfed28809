"""What the parts of the worker share: how an error is told, how an event is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Send = Callable[[dict[str, Any]], None]


class Failure(Exception):  # noqa: N818
    """What the caller turns into an error of its own: ``kind`` is ``resolve``, ``spec``, ``fetch`` or ``build``."""

    def __init__(self, kind: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.answer = {"kind": kind, "message": message, **facts}
