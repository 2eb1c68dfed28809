"""Directories and files that appear whole or not at all, and the builder's caches made of them."""

from poncho.store.answers import Answers, answer_key, plain
from poncho.store.atomic import atomic_directory, atomic_file, remove_tree
from poncho.store.cache import BuilderCache
from poncho.store.flock import Flock
from poncho.store.lock import exclusive

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
