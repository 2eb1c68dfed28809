"""``poncho/owners``: which conda package or distribution brought each member, so that a look inside needs no unpacking."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

from poncho.pack.owners import Owners
from poncho.pack.pyc import source_of
from poncho.pack.relocation import escape

OWNERS = "poncho/owners"
HEAD = b"poncho-owners 1"


def ownership(paths: Iterable[str], owners: Owners, own: Collection[str]) -> bytes:
    """Return the content of ``poncho/owners``: runs ``COUNT <tab> KIND <tab> NAME`` over the members outside ``poncho/``.

    ``paths`` are all members, in any order; the runs follow the order of ``poncho/contents``. ``own`` are PONCHO's.
    KIND is ``conda``, ``pip`` (NAME as PEP 503 compares it), ``poncho`` or ``-`` for what nobody brought (NAME empty).
    """
    listed = sorted((escape(os.fsencode(path)), path) for path in set(paths) if not path.startswith("poncho/"))
    written = {group: _written(group) for group in set(owners.groups.values())}
    runs = groupby(_owner(path, owners, own, written) for _, path in listed)
    lines = [b"%d\t%b" % (sum(1 for _ in run), owner) for owner, run in runs]
    return b"\n".join([HEAD, *lines]) + b"\n"


def _owner(path: str, owners: Owners, own: Collection[str], written: Mapping[tuple[int, str], bytes]) -> bytes:
    if path in own:
        return b"poncho\t"
    group = owners.groups.get(path)
    if group is None and (source := source_of(path)):
        group = owners.groups.get(source)
    return b"-\t" if group is None else written[group]


def _written(group: tuple[int, str]) -> bytes:
    name, _, kind = group[1].rpartition(" ")
    return f"{kind}\t".encode() + escape(os.fsencode(name))
