"""What a local conda channel's index is at this moment: enough to know that a solution still holds.

Channels on http are left to the engine: it keeps their indexes for as long as the server allows, and asks again then; what it has
may be older than what the server would say now, so that nobody else can tell what a solution rests on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

# What engines read, in any of its forms; a solver may take either, so all that exist count.
_INDEXES = ("repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json")
_SMALL = 8 << 20

State: TypeAlias = list[list[str]]


def channels_state(urls: Iterable[str], platform: str) -> State | None:
    """Return what identifies the indexes of channels (``file://`` or absolute paths) for a conda subdir and ``noarch``.

    By their content; large ones by size, times and inode. None for other channels, and where there is no index.
    """
    state: State = []
    for url in urls:
        root = _path(url)
        if root is None:
            return None
        for subdir in (platform, "noarch"):
            for name in _INDEXES:
                found = _state(root / subdir / name)
                if found is None:
                    return None
                state.append(found)
    return state if any(len(one) > 1 for one in state) else None


def _path(url: str) -> Path | None:
    if url.startswith("/"):
        return Path(url)
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _state(path: Path) -> list[str] | None:
    try:
        status = path.stat()
        if status.st_size > _SMALL:
            times = (status.st_mtime_ns, status.st_ctime_ns)
            return [str(path), *map(str, (status.st_size, *times, status.st_ino))]
        return [str(path), hashlib.sha256(path.read_bytes()).hexdigest()]
    except (FileNotFoundError, NotADirectoryError):
        return [str(path)]
    except OSError:
        return None
