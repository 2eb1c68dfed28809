"""What the URL of a conda package says about it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from poncho.lock.model import LockedConda
from poncho.lock.reading import PLATFORM

_SUFFIXES = (".conda", ".tar.bz2")
_SCHEMES = ("https", "http", "file", "s3", "oci")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!~-]*")


def from_url(url: str, *, md5: str | None = None, sha256: str | None = None) -> LockedConda:
    """Return the lock entry of ``…/CHANNEL/SUBDIR/NAME-VERSION-BUILD.conda`` (or ``.tar.bz2``).

    Raises ValueError, whose message says what is wrong with the URL.
    """
    parts = urlsplit(url)
    folder, _, filename = parts.path.rpartition("/")
    root, _, subdir = folder.rpartition("/")
    suffix = next((end for end in _SUFFIXES if filename.endswith(end)), None)
    if parts.scheme not in _SCHEMES or parts.query or any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError(f"{url!r} is no URL of a conda package")
    if suffix is None:
        raise ValueError(f"{url!r} is no URL of a conda package: it does not end with .conda or .tar.bz2")
    if not (root or parts.netloc) or not PLATFORM.fullmatch(subdir):
        raise ValueError(f"{url!r} is in no folder such as linux-64 or noarch")
    pieces = filename[: -len(suffix)].rsplit("-", 2)
    if len(pieces) != 3 or not all(_PART.fullmatch(piece) for piece in pieces):
        raise ValueError(f"{filename!r} is not NAME-VERSION-BUILD")
    name, version, build = pieces
    channel = url[: -len(f"/{subdir}/{filename}")]
    return LockedConda(name.lower(), version, build, subdir, channel, url, sha256=sha256, md5=md5)


def digests(text: str) -> tuple[str | None, str | None]:
    """Return (md5, sha256) of ``HEX``, ``md5:HEX`` or ``sha256:HEX``; raises ValueError for anything else."""
    if not text:
        return None, None
    kind, colon, value = text.rpartition(":")
    value = value.lower()
    if set(value) - set("0123456789abcdef") or (colon and kind not in ("md5", "sha256")):
        raise ValueError(f"{text!r} is no md5 or sha256")
    if len(value) == 32 and kind in ("", "md5"):
        return value, None
    if len(value) == 64 and kind in ("", "sha256"):
        return None, value
    raise ValueError(f"{text!r} is no md5 (32 hexadecimal digits) or sha256 (64)")
