"""Types that several floors share: JSON values and the reporter that progress goes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

EventKind = Literal["start", "progress", "done", "info", "warning"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in one step of a build.

    ``step`` is a stable word (``solve``, ``fetch``, ``install``, ``pip``, ``data``, ``compile``, ``pack``); ``done``
    and ``total`` count ``unit`` (``bytes``, ``files``, ``packages``) where that is known.
    """

    kind: EventKind
    step: str
    message: str = ""
    done: int | None = None
    total: int | None = None
    unit: str = ""


class Reporter(Protocol):
    """Where the library sends what it is doing. It must be quick, and callable from several threads."""

    def __call__(self, event: Event) -> None: ...


def silent(event: Event) -> None:
    """Report to nobody: the library's default."""
