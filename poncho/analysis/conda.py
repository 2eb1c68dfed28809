"""What conda recorded about a prefix: ``conda-meta/<name>-<version>-<build>.json``, one file per conda package."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from poncho import _json

_CHANNEL = re.compile(rb'"channel"\s*:\s*"((?:[^"\\]|\\.)*)"')
_URL = re.compile(rb'"url"\s*:\s*"((?:[^"\\]|\\.)*)"')
_PLATFORM = re.compile(r"/(?:noarch|(?:linux|osx|win|emscripten|wasi|freebsd|zos)-[a-z0-9]+)$")
# Where conda's own "defaults" come from, whatever the mirror: repo.HOST/pkgs/main.
_DEFAULTS = re.compile(r"repo\.[^/]+/pkgs/(?:main|r|pro|free|mro|msys2)/")


@dataclass(frozen=True)
class CondaRecord:
    """One installed conda package."""

    name: str
    version: str
    build: str
    file: Path

    @property
    def match(self) -> str:
        """Return ``name=version=build``."""
        return f"{self.name}={self.version}={self.build}"

    @cached_property
    def data(self) -> bytes:
        """Return the record's JSON text (empty when it cannot be read)."""
        try:
            return self.file.read_bytes()
        except OSError:
            return b""

    @cached_property
    def files(self) -> frozenset[str]:
        """Return the paths that the conda package installed, relative to the prefix."""
        try:
            return frozenset(name for name in _json.loads(self.data).get("files", ()) if isinstance(name, str))
        except (ValueError, AttributeError, TypeError):
            return frozenset()

    @cached_property
    def channel(self) -> str | None:
        """Return the channel's short name, or its URL without platform and credentials; None where there is none."""
        for pattern in (_CHANNEL, _URL):
            if (found := pattern.search(self.data)) and (
                text := found.group(1).decode("utf-8", "replace").replace("\\/", "/")
            ):
                if pattern is _URL:
                    text = text.rpartition("/")[0]
                return short_channel(text)
        return None


class CondaMeta:
    """The conda packages of a prefix, read as far as they are asked for."""

    def __init__(self, prefix: Path) -> None:
        self._records: dict[str, CondaRecord] = {}
        for file in sorted((prefix / "conda-meta").glob("*.json")):
            # Neither a version nor a build can hold a dash, so the file's name says all three.
            parts = file.name.removesuffix(".json").rsplit("-", 2)
            if len(parts) == 3:
                self._records[parts[0]] = CondaRecord(parts[0], parts[1], parts[2], file)

    def get(self, name: str) -> CondaRecord | None:
        """Return the installed conda package of that name."""
        return self._records.get(name.lower())

    def owner(self, path: str, *, likely: tuple[str, ...] = ()) -> CondaRecord | None:
        """Return the conda package that installed ``path`` (relative to the prefix); those named ``likely`` are asked
        first.

        A path that ends in ``/`` asks for anything below it.
        """
        needle = path.encode()
        first = [record for name in likely if (record := self._records.get(name))]
        for record in (*first, *self._records.values()):
            if needle in record.data and self._installed(record, path):
                return record
        return None

    @staticmethod
    def _installed(record: CondaRecord, path: str) -> bool:
        if path.endswith("/"):
            return any(name.startswith(path) for name in record.files)
        return path in record.files

    @cached_property
    def is_base_only(self) -> bool:
        """Tell whether there are only python and pip out of a folder: a repackaged interpreter, not conda's own."""
        return set(self._records) <= {"python", "pip"} and all(
            (record.channel or "").startswith("file://") for record in self._records.values()
        )

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Return the channels the prefix was made from.

        conda does not record their priority. The one that gave most conda packages stands first, equals by name, and
        ``defaults`` last: with strict priority that is the order that was in force.
        """
        counts = Counter(channel for record in self._records.values() if (channel := record.channel))
        return tuple(sorted(counts, key=lambda channel: (channel == "defaults", -counts[channel], channel)))


def short_channel(text: str) -> str | None:
    """Return a channel as people write it: ``conda-forge``, ``defaults``, or a URL without platform and credentials.

    ``pypi`` and the like, which are no channels, give None.
    """
    text = _PLATFORM.sub("", text.strip().rstrip("/"))
    if text in ("", "pypi", "<unknown>", "unknown", "@", "None"):
        return None
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        host = f"{host}:{parts.port}" if parts.port else host
    except ValueError:
        return None
    path = re.sub(r"^/t/[^/]+", "", parts.path).rstrip("/")
    if _DEFAULTS.match(f"{host}{path}/"):
        return "defaults"
    if host and host == public_host():
        return path.lstrip("/") or None
    return f"{parts.scheme}://{host}{path}"


@lru_cache(maxsize=1)
def public_host() -> str | None:
    """Return the host that a channel's bare name stands for, as the conda engine knows it; None without that engine."""
    try:
        from rattler import Channel
    except ImportError:
        return None
    return urlsplit(Channel("name").base_url).hostname
