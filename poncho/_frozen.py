"""A mapping that stays what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

V = TypeVar("V", covariant=True)


class Frozen(Mapping[str, V]):
    """A copy of a mapping, which nothing changes. Unlike ``types.MappingProxyType`` it goes to other processes and can be
    copied, so that the values of the library that hold one can.

    >>> import copy, pickle
    >>> once = Frozen({"numpy": "1.26"})
    >>> pickle.loads(pickle.dumps(once)) == copy.deepcopy(once) == {"numpy": "1.26"}
    True
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, V] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, name: str) -> V:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)
