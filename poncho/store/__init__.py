"""Directories and files that appear whole or not at all, and the builder's caches made of them."""

from poncho.store.atomic import atomic_directory, atomic_file, remove_tree
from poncho.store.cache import BuilderCache
from poncho.store.lock import exclusive

__all__ = ["BuilderCache", "atomic_directory", "atomic_file", "exclusive", "remove_tree"]
