"""Check conda package archives against the sha256 that a lock or channel index gives them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from poncho.errors import FetchError
from poncho.lock.model import LockedConda


def check_local_archive(locked: LockedConda) -> None:
    """Raise FetchError unless a package with a ``file://`` URL has its sha256, or its md5 where that is all.

    Engines check only downloads.
    """
    parts = urlsplit(locked.url)
    if parts.scheme != "file":
        return
    path = Path(unquote(parts.path))
    if not path.is_file():
        raise FetchError(
            f"cannot read the conda package {path}: no such file",
            hint="the channel has changed since it was solved: solve again",
        )
    if locked.sha256:
        check_sha256(path, locked.sha256)
    elif locked.md5:
        _check(path, locked.md5, "md5")


def check_sha256(path: Path, expected: str) -> None:
    """Raise FetchError unless the file has this sha256 (hexadecimal)."""
    _check(path, expected, "sha256")


def _check(path: Path, expected: str, algorithm: str) -> None:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FetchError(f"cannot read the conda package {path}: {error.strerror}") from error
    if digest.hexdigest() != expected.lower():
        found = digest.hexdigest()
        raise FetchError(
            f"the conda package {path.name} is not the one asked for: its {algorithm} is {found}, not {expected}",
            hint="the package was rebuilt or damaged: index the channel again, then solve again",
            context={"expected": expected, "found": found, "path": str(path)},
        )
