"""Explicit lists: ``@EXPLICIT`` and one URL a line, with ``#md5`` or ``#sha256:…`` (``conda list --explicit``).

Format: conda's user guide, "Building identical conda environments", and ``conda/misc.py``. What the packages depend on
does not stand there; the engine reads it from the packages themselves when it installs them.
"""

from __future__ import annotations

import re

from poncho.errors import SpecError
from poncho.lock.foreign.urls import digests, from_url
from poncho.lock.model import Lock, LockedConda
from poncho.lock.reading import PLATFORM

_PLATFORM_LINE = re.compile(r"(?m)^#[ \t]*platform:[ \t]*(\S+)[ \t]*$")


def read_explicit(text: str, *, platform: str, source: str | None = None) -> Lock:
    """Return the Lock of an explicit list. ``platform`` counts where the list names none.

    Raises SpecError naming file and line.
    """
    found: dict[str, LockedConda] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#") or line == "@EXPLICIT":
            continue
        url, _, digest = line.partition("#")
        try:
            md5, sha256 = digests(digest.strip())
            entry = from_url(url.strip(), md5=md5, sha256=sha256)
        except ValueError as error:
            raise SpecError(
                f"line {number}: {error}", source=source, hint="each line is a URL, # and a digest"
            ) from error
        if entry.name in found:
            raise SpecError(f"line {number}: {entry.name} stands twice in this list", source=source)
        found[entry.name] = entry
    if not found:
        raise SpecError("an explicit list without a package", source=source)
    named = _PLATFORM_LINE.search(text)
    said = sorted({item.subdir for item in found.values() if item.subdir != "noarch"})
    if len(said) > 1:
        raise SpecError(f"holds packages of several platforms: {', '.join(said)}", source=source)
    chosen = said[0] if said else named[1] if named and PLATFORM.fullmatch(named[1]) else platform
    conda = tuple(found[name] for name in sorted(found))
    return Lock(chosen, "", channels=tuple(dict.fromkeys(item.channel for item in conda)), conda=conda)
