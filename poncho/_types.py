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

    ``step`` is a stable word (``base``, ``solve``, ``fetch``, ``install``, ``pip``, ``data``, ``copy``, ``compile``, ``pack``);
    ``done`` and ``total`` count ``unit`` (``bytes``, ``files``, ``packages``, ``objects``) where that is known. Where a
    step works on several things side by side, ``item`` tells them apart, and the numbers are those of the item.
    """

    kind: EventKind
    step: str
    message: str = ""
    done: int | None = None
    total: int | None = None
    unit: str = ""
    item: str = ""


class Reporter(Protocol):
    """Where the library sends what it is doing. It must be quick, and callable from several threads."""

    def __call__(self, event: Event) -> None: ...


def silent(event: Event) -> None:
    """Report to nobody: the library's default."""
