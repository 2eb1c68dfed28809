"""Directories and files that appear whole or not at all, and the builder's caches made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poncho.store.answers import Answers, answer_key, plain
    from poncho.store.atomic import atomic_directory, atomic_file, remove_tree
    from poncho.store.cache import BuilderCache
    from poncho.store.flock import Flock
    from poncho.store.lock import exclusive

_HOMES = {
    "Answers": "answers",
    "BuilderCache": "cache",
    "Flock": "flock",
    "answer_key": "answers",
    "atomic_directory": "atomic",
    "atomic_file": "atomic",
    "exclusive": "lock",
    "plain": "answers",
    "remove_tree": "atomic",
}

__all__ = [
    "Answers",
    "BuilderCache",
    "Flock",
    "answer_key",
    "atomic_directory",
    "atomic_file",
    "exclusive",
    "plain",
    "remove_tree",
]


def __getattr__(name: str) -> Any:
    # Lazy: an analysis asks only for answers, and locks and private directories take longer to load than that.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'poncho.store' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"poncho.store.{home}"), name)
