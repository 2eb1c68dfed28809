"""What packing takes from the builder's cache: looks at files and compressed chunks, for one prefix and one codec."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from poncho._version import __version__
from poncho.errors import StoreError
from poncho.pack.blocks import BUCKET, Blocks
from poncho.pack.buffers import Buffers
from poncho.pack.compress import identity
from poncho.pack.copier import Copier
from poncho.pack.known import Known
from poncho.pack.model import Origin, PackOptions
from poncho.pack.plan import Plan
from poncho.pack.runpath import patchelf
from poncho.store import BuilderCache

# To be raised when what is made of a file's content changes.
_LOOKS = 1


@dataclass(frozen=True, slots=True)
class Caches:
    """What packing before left to be used again."""

    blocks: Blocks
    known: Known | None


@contextmanager
def copying_blocks(cache: BuilderCache | None, options: PackOptions) -> Iterator[Copier | None]:
    """Yield who copies blocks out of the cache, begun already where there are some; None where ``open_caches`` gives none."""
    copier = None
    if cache is not None and identity(options.format or "tar.gz", options.level) is not None:
        with suppress(StoreError, OSError):
            root = cache.directory(BUCKET)
            copier = Copier(root)
            with os.scandir(root) as blocks:
                if any(blocks):
                    copier.start()
    try:
        yield copier
    finally:
        if copier is not None:
            copier.close()


def open_caches(
    cache: BuilderCache | None,
    plan: Plan,
    options: PackOptions,
    buffers: Buffers,
    *,
    epoch: int,
    fresh: Collection[str],
    origin: Origin,
) -> Caches | None:
    """Return the caches; None without ``cache``, where nothing is compressed, and where the cache cannot be written.

    ``fresh`` are those of the plan's prefixes that were made for this build, under names that nobody could know before: no
    file that is older can hold them, so what was found in it then holds.
    """
    codec = identity(options.format or "tar.gz", options.level)
    if cache is None or codec is None:
        return None
    lasting = [prefix for prefix in plan.prefixes if prefix not in fresh]
    context = json.dumps([__version__, _LOOKS, lasting, sorted(plan.pythons), patchelf()])
    try:
        blocks = Blocks.within(cache, f"{codec} {epoch}", buffers)
        return Caches(blocks, None if origin == "copied" else Known.within(cache, context))
    except StoreError:
        return None
