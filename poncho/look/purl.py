"""Package URLs (purl, ECMA-427): names of packages that vulnerability and licence services understand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote


def purl(kind: str, name: str, version: str, qualifiers: Mapping[str, str] | None = None) -> str:
    """Return ``pkg:KIND/NAME@VERSION?KEY=VALUE``: percent-encoded, qualifiers sorted, empty ones left out.

    A name of ``pypi`` is lower case with ``-`` for ``_``, as that type asks.
    """
    if kind == "pypi":
        name = re.sub("_", "-", name.lower())
    text = f"pkg:{kind}/{_encoded(name)}"
    if version:
        text += f"@{_encoded(version)}"
    pairs = [f"{key}={_encoded(value, '/')}" for key, value in sorted((qualifiers or {}).items()) if value]
    return f"{text}?{'&'.join(pairs)}" if pairs else text


def _encoded(text: str, safe: str = "") -> str:
    return quote(text.encode("utf-8", "replace"), safe=safe + ":")
