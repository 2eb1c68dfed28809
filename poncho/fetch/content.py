"""What was downloaded before: files by sha256, and for each URL what it held when it was last looked at."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._redact import redact
from poncho.store import BuilderCache, atomic_file, exclusive
from poncho.store.atomic import take_away

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
        self.damaged: set[str] = set()

    def content(self, sha256: str) -> Path:
        """Return where the bytes with this digest are, or would be."""
        return self._root / "sha256" / sha256[:2] / sha256

    def valid(self, sha256: str) -> bool:
        """Tell whether the bytes with this digest are here; what is damaged is deleted, and then in ``damaged``."""
        path = self.content(sha256)
        if not os.path.lexists(path):
            return False
        with suppress(OSError):  # what cannot be read is of no use either
            if path.is_file() and digest_of(path) == sha256:
                return True
        self.damaged.add(sha256)
        take_away(path)
        return False

    def entry(self, url: str) -> Entry | None:
        """Return what ``url`` held when it was last fetched; None when that is not known, or its bytes are gone."""
        try:
            text = _json.loads(self._index(url).read_text(encoding="utf-8"))
            entry = Entry(**text["entry"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return entry if _well_formed(entry) and os.path.lexists(self.content(entry.sha256)) else None

    def publish(self, url: str, entry: Entry, file: Path) -> None:
        """Take ``file`` (complete, in this store's ``partial``) in as the content of ``url``."""
        target = self.content(entry.sha256)
        if not target.parent.is_dir():
            take_away(target.parent)
        target.parent.mkdir(exist_ok=True)
        _clear(target)
        file.chmod(0o444)
        os.replace(file, target)
        self.remember(url, entry)

    def remember(self, url: str, entry: Entry) -> None:
        """Note what ``url`` holds now."""
        _clear(self._index(url))
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
            found = self.path.lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    def validators(self) -> dict[str, Any]:
        """Return the validators of the response that the bytes are from."""
        try:
            notes = _json.loads(self._notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def begin(self, etag: str | None, last_modified: str | None) -> None:
        """Start anew: no bytes, and the validators of what comes."""
        _clear(self.path)
        _clear(self._notes)
        self.path.write_bytes(b"")
        self._notes.write_text(json.dumps({"etag": etag, "last_modified": last_modified}), encoding="utf-8")

    def delete(self) -> None:
        """Forget all of it."""
        take_away(self.path)
        take_away(self._notes)

    def forget_notes(self) -> None:
        """Drop what is no longer needed once the bytes were published."""
        take_away(self._notes)


def digest_of(path: Path) -> str:
    """Return the sha256 of a file's content as 64 hexadecimal digits."""
    state = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _clear(path: Path) -> None:
    """Take away what is no file where one is to be written."""
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        take_away(path)


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
