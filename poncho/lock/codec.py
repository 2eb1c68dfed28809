"""A lock as JSON text that a person can read and diff, and back (``poncho.lock.reading``).

Same lock, same text: sorted keys, lists in a fixed order, one fact a line. No credential is written, and nothing of
where this machine keeps its base interpreter: its packages have URLs such as ``base:linux-64/python-3.11.7-0.conda``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from poncho._redact import strip_channel, strip_credentials
from poncho.lock.model import Lock, LockedConda, LockedPip
from poncho.lock.places import relative
from poncho.lock.reading import (
    BASE_KEYS,
    BASE_URL,
    CONDA_KEYS,
    FORMAT,
    GIT_KEYS,
    HTTP_KEYS,
    PIP_KEYS,
    REPEATED,
    loads,
)
from poncho.spec.codec import document as spec_document
from poncho.spec.portable import portable

_STRIPPED = {
    "channel": strip_channel,
    "remote": strip_credentials,
    "requirement": strip_credentials,
    "url": strip_credentials,
}

__all__ = ["BASE_URL", "FORMAT", "document", "dumps", "loads"]


def dumps(lock: Lock, *, base: Path | None = None) -> str:
    """Return the lock as JSON text: indent 1, sorted keys, a newline at the end. Credentials in URLs are left out.

    ``base`` is the directory that the text will lie in: local code below it is written relative to it (``./code``).
    """
    return json.dumps(document(lock, base=base), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def document(lock: Lock, *, base: Path | None = None) -> dict[str, Any]:
    """Return the lock as a JSON object; what is empty or unknown is left out of the entries."""
    if base is not None:
        lock = relative(lock, base)
    local = lock.base is not None
    return {
        "poncho_lock": FORMAT,
        "platform": lock.platform,
        "spec": spec_document(portable(lock.spec)) if lock.spec else None,
        "spec_digest": lock.spec_digest,
        "virtual_packages": list(lock.virtual_packages),
        "channels": [strip_channel(channel) for channel in lock.channels],
        "base": _plain(lock.base, BASE_KEYS) if lock.base else None,
        "conda": [_conda_document(entry, local) for entry in sorted(lock.conda, key=lambda entry: entry.name)],
        "pip": [_pip_document(entry) for entry in sorted(lock.pip, key=lambda one: canonicalize_name(one.name))],
        "git": {name: _plain(entry, GIT_KEYS) for name, entry in lock.git.items()},
        "http": {name: _plain(entry, HTTP_KEYS) for name, entry in lock.http.items()},
    }


def _conda_document(entry: LockedConda, local: bool) -> dict[str, Any]:
    plain = _plain(entry, CONDA_KEYS)
    record = {key: value for key, value in entry.record.items() if key not in REPEATED}
    plain.pop("record", None)
    if record:
        plain["record"] = record
    if local and entry.url.startswith("file:"):
        plain |= {"url": f"{BASE_URL}{entry.subdir}/{entry.filename}", "channel": BASE_URL}
    return plain


def _pip_document(entry: LockedPip) -> dict[str, Any]:
    plain = _plain(entry, PIP_KEYS)
    # Where this machine keeps its wheels; name, version and sha256 find the file on any index.
    if str(plain.get("url", "")).startswith("file:"):
        del plain["url"]
    return plain


def _plain(value: object, keys: tuple[str, ...]) -> dict[str, Any]:
    found = {key: getattr(value, key) for key in keys}
    return {
        key: _STRIPPED[key](one) if key in _STRIPPED else dict(one) if isinstance(one, Mapping) else one
        for key, one in found.items()
        if one is not None and one is not False and one != {}
    }
