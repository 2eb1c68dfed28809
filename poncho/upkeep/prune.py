"""Delete what was not used for long from the builder's cache, and never what a builder is using."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from poncho._types import Event, Reporter, silent
from poncho.errors import StoreError
from poncho.install.slots import delete_unused, trim
from poncho.store import BuilderCache, Flock, remove_tree
from poncho.upkeep.inventory import BUCKETS, Item, inventory

# Private files that writers rename when they are whole; after so many seconds their writer is gone.
_ABANDONED = 86400.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune did: items deleted, items kept although they were due because builders run, bytes freed.

    ``left_behind`` counts what killed builders had left.
    """

    deleted: tuple[Item, ...]
    in_use: tuple[Item, ...]
    freed: int
    left_behind: int


def prune(
    cache: BuilderCache,
    *,
    older_than: float | None = None,
    max_size: int | None = None,
    everything: bool = False,
    buckets: Iterable[str] | None = None,
    dry_run: bool = False,
    reporter: Reporter = silent,
) -> Pruned:
    """Delete what was not used for ``older_than`` seconds, then the longest unused until ``max_size`` bytes are left.

    With ``everything``, all of it; without any of the three, only what killed builders left. ``buckets`` limits it to
    some; programs' own modules go only when they are named. While builders run, what they may be reading stays;
    environments are deleted when no builder uses them. Raises StoreError when the cache cannot be written, or is a
    directory in which something else lies.
    """
    if not cache.root.is_dir():
        return Pruned((), (), 0, 0)
    cache.check()
    if not dry_run and not os.access(cache.root, os.W_OK):
        raise StoreError(f"{cache.root}: the cache cannot be written", hint="its owner can prune it")
    named = BUCKETS if buckets is None else list(buckets)
    chosen = [name for name in named if buckets is not None or not BUCKETS[name].asked]
    found = [item for items in inventory(cache, chosen).values() for item in items]
    due = _due(found, time.time(), older_than, max_size, everything)
    deleted: list[Item] = []
    kept: list[Item] = []
    aside = cache.directory("tmp") / f"prune-{secrets.token_hex(6)}"
    with cache.alone() as alone:
        if dry_run:
            for item in due:
                (deleted if alone or BUCKETS[item.bucket].robust else kept).append(item)
            return Pruned(tuple(deleted), tuple(kept), sum(item.size for item in deleted), 0)
        aside.mkdir()
        holder = Flock(aside, directory=True)
        holder.exclusive(wait=False)
        for item in due:
            gone = (alone or BUCKETS[item.bucket].robust) and _take(item, aside, cache)
            (deleted if gone else kept).append(item)
        left = _leftovers(cache, alone=alone)
    with holder:
        remove_tree(aside)
    left += cache.sweep()
    if (cache.root / "environments").is_dir():
        trim(cache.root / "environments")
    freed = sum(item.size for item in deleted)
    reporter(Event("done", "prune", f"{len(deleted)} items deleted", done=freed, unit="bytes"))
    return Pruned(tuple(deleted), tuple(kept), freed, left)


def _due(items: list[Item], now: float, older_than: float | None, max_size: int | None, everything: bool) -> list[Item]:
    if everything:
        return items
    due = [item for item in items if older_than is not None and now - item.used > older_than]
    if max_size is None:
        return due
    gone = set(map(id, due))
    left = sorted((item for item in items if id(item) not in gone), key=lambda item: item.used)
    total = sum(item.size for item in left)
    for item in left:
        if total <= max_size:
            break
        due.append(item)
        total -= item.size
    return due


def _take(item: Item, aside: Path, cache: BuilderCache) -> bool:
    """Take an item out of its place; what leads to it goes first."""
    if item.bucket == "environments":
        return delete_unused(item.paths[0], cache)
    for path in item.paths:
        try:
            path.rename(aside / secrets.token_hex(6))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(f"{path}: cannot be deleted ({error.strerror})") from error
    return True


def _leftovers(cache: BuilderCache, *, alone: bool) -> int:
    """Delete private files that killed writers left in the buckets, and locks that nobody can hold."""
    count = 0
    now = time.time()
    for name in (*BUCKETS, "locks"):
        root = cache.root / name
        for path in (*root.glob("*.tmp"), *root.glob(".*.tmp"), *root.glob("*/*.tmp"), *root.glob("*/.*.tmp")):
            with suppress(OSError):
                if alone or now - path.lstat().st_mtime > _ABANDONED:
                    remove_tree(path) if path.is_dir() else path.unlink()
                    count += 1
    if alone:
        for path in (cache.root / "locks").glob("*.lock"):
            path.unlink(missing_ok=True)
        for path in (cache.root / "http" / "index").glob("*.json"):
            with suppress(OSError):
                if now - path.stat().st_mtime > 365 * _ABANDONED:
                    path.unlink()
    return count
