"""``poncho/owners``: which conda package or distribution brought each member, so that a look inside needs no unpacking."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

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
    # Mostly they come in order already; what keeps that order is sorted in no time.
    listed = [path for path in dict.fromkeys(paths) if not path.startswith("poncho/")]
    # All at once: no path has a NUL in it.
    written_out = os.fsencode("\0".join(listed))
    escaped = escape(written_out)
    if escaped is written_out and written_out.isascii():
        listed.sort()
    else:
        listed = [path for _, path in sorted(zip(escaped.split(b"\0"), listed, strict=True))] if listed else []
    groups = owners.groups
    written: dict[tuple[int, str] | None, bytes] = {group: _written(group) for group in set(groups.values())}
    written[None] = b"-\t"
    lines = [HEAD]
    count, before = 0, b""
    for path in listed:
        group = groups.get(path)
        if group is None and path.endswith(".pyc"):
            group = groups.get(source_of(path) or "")
        owner = b"poncho\t" if path in own else written[group]
        if owner is before:
            count += 1
            continue
        if count:
            lines.append(b"%d\t%b" % (count, before))
        count, before = 1, owner
    if count:
        lines.append(b"%d\t%b" % (count, before))
    return b"\n".join(lines) + b"\n"


def _written(group: tuple[int, str]) -> bytes:
    name, _, kind = group[1].rpartition(" ")
    return f"{kind}\t".encode() + escape(os.fsencode(name))
