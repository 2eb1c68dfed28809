"""What was downloaded before: files by sha256, and for each URL what it held when it was last looked at."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._redact import redact
from poncho.store import BuilderCache, atomic_file, exclusive

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """What a URL held: digest and size of the bytes transferred, and the server's validators (RFC 9110, 8.8)."""

    sha256: str
    size: int
    etag: str | None = None
    last_modified: str | None = None
    encoding: str | None = None


class ContentStore:
    """The http part of the builder's cache. The key of a URL is a digest, because a URL may hold a secret."""

    def __init__(self, cache: BuilderCache) -> None:
        self._root = cache.directory("http")
        for kind in ("sha256", "index", "partial", "locks"):
            cache.directory(f"http/{kind}")

    def content(self, sha256: str) -> Path:
        """Return where the bytes with this digest are, or would be."""
        return self._root / "sha256" / sha256[:2] / sha256

    def valid(self, sha256: str) -> bool:
        """Tell whether the bytes with this digest are here; a file that was damaged since is deleted."""
        path = self.content(sha256)
        if not path.is_file():
            return False
        if digest_of(path) == sha256:
            return True
        path.unlink(missing_ok=True)
        return False

    def entry(self, url: str) -> Entry | None:
        """Return what ``url`` held when it was last fetched; None when that is not known, or its bytes are gone."""
        try:
            text = _json.loads(self._index(url).read_text(encoding="utf-8"))
            entry = Entry(**text["entry"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return entry if _well_formed(entry) and self.content(entry.sha256).is_file() else None

    def publish(self, url: str, entry: Entry, file: Path) -> None:
        """Take ``file`` (complete, in this store's ``partial``) in as the content of ``url``."""
        target = self.content(entry.sha256)
        target.parent.mkdir(exist_ok=True)
        file.chmod(0o444)
        os.replace(file, target)
        self.remember(url, entry)

    def remember(self, url: str, entry: Entry) -> None:
        """Note what ``url`` holds now."""
        with atomic_file(self._index(url)) as path:
            path.write_text(json.dumps({"url": redact(url), "entry": asdict(entry)}, sort_keys=True), encoding="utf-8")

    def partial(self, url: str) -> Partial:
        """Return the place where a download of ``url`` grows."""
        return Partial(self._root / "partial" / _key(url))

    def locked(self, url: str) -> AbstractContextManager[None]:
        """Let one download of ``url`` run at a time."""
        return exclusive(self._root / "locks" / f"{_key(url)}.lock")

    def _index(self, url: str) -> Path:
        return self._root / "index" / f"{_key(url)}.json"


class Partial:
    """A download that is not complete, with what is needed to go on with it later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes = path.with_name(f"{path.name}.json")

    @property
    def size(self) -> int:
        """Return how many bytes are there."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def validators(self) -> dict[str, Any]:
        """Return the validators of the response that the bytes are from."""
        try:
            notes = _json.loads(self._notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def begin(self, etag: str | None, last_modified: str | None) -> None:
        """Start anew: no bytes, and the validators of what comes."""
        self.path.write_bytes(b"")
        self._notes.write_text(json.dumps({"etag": etag, "last_modified": last_modified}), encoding="utf-8")

    def delete(self) -> None:
        """Forget all of it."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def forget_notes(self) -> None:
        """Drop what is no longer needed once the bytes were published."""
        self._notes.unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """Return the sha256 of a file's content as 64 hexadecimal digits."""
    state = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _key(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()


def _well_formed(entry: Entry) -> bool:
    texts = (entry.etag, entry.last_modified, entry.encoding)
    return (
        isinstance(entry.sha256, str)
        and len(entry.sha256) == 64
        and set(entry.sha256) <= set("0123456789abcdef")
        and isinstance(entry.size, int)
        and all(text is None or isinstance(text, str) for text in texts)
    )
