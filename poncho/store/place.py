"""Where the builder's cache lies, and that it is one: nothing is ever deleted from a directory that is somebody else's."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from poncho.errors import PonchoError, StoreError

# All that lies in a cache; a directory with anything else in it is no cache of ours.
KINDS = frozenset(
    {
        "analysis",
        "base",
        "blocks",
        "bytecode",
        "conda",
        "data",
        "environments",
        "git",
        "http",
        "index",
        "locks",
        "looks",
    }
    | {"modules", "packages", "pip", "solve", "tmp"}
)
BUILDERS = ".builders"
TAG = "CACHEDIR.TAG"
# The first line is what programs for backups look for: Bryan Ford, "Cache Directory Tagging Specification".
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n"
_TEXT = _SIGNATURE + b"# This directory is the cache of PONCHO's builder. All in it can be deleted while none runs.\n"
_OURS = b"PONCHO"
# All that an analysis of an earlier version made, which needs no lock.
_OF_ANALYSES = frozenset({"analysis", "index", "modules"})
# What a file system puts into directories by itself.
_NOBODY_S = frozenset({"lost+found", ".snapshot"})


def cache_root() -> Path:
    """Return the directory in ``PONCHO_CACHE_DIR`` (or ``PONCHO_CACHE``), else the user's cache directory (XDG).

    Raises StoreError for a user who has no home.
    """
    named = os.environ.get("PONCHO_CACHE_DIR") or os.environ.get("PONCHO_CACHE")
    if named:
        return Path(named).absolute()
    import platformdirs

    try:
        found = Path(platformdirs.user_cache_dir("poncho"))
    except RuntimeError:
        found = Path("~")
    if not found.is_absolute():  # "~" as it is: what some versions return
        raise StoreError(
            "there is no home directory to keep a cache in", hint="set PONCHO_CACHE_DIR to a directory, or HOME"
        )
    return found


def answers_root(kind: str) -> Path:
    """Return (and make) the directory in the builder's cache for answers of one kind. Raises StoreError and OSError."""
    root = cache_root()
    claim(root)
    found = root / kind
    found.mkdir(parents=True, exist_ok=True)
    return found


def claim(root: Path) -> None:
    """Make ``root`` the builder's cache, if it is not: it is made when it is missing, and gets its tag.

    Raises StoreError for a directory in which something else lies, and when it cannot be made.
    """
    if is_claimed(root):
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        _tag(root)
    except OSError as error:
        raise cannot_make(root, error) from error


def is_claimed(root: Path) -> bool:
    """Tell whether ``root`` is the builder's cache. Raises StoreError for a directory in which something else lies."""
    if _is_ours(root / TAG):
        return True
    stranger = _stranger(root)
    if stranger is not None:
        raise StoreError(
            f"{root}: is no cache of PONCHO, there is {stranger} in it",
            hint=f"give the cache a directory of its own, for example PONCHO_CACHE_DIR={root / 'poncho'}",
        )
    return False


def cannot_make(path: Path, error: OSError) -> PonchoError:
    """Return the error for a directory of the cache that cannot be made."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        from poncho.store.atomic import disk_full  # an analysis has no other use for it, and waits while it loads

        return disk_full(path, error)
    return StoreError(
        f"{path}: cannot make the cache directory ({error.strerror})",
        hint="set PONCHO_CACHE_DIR to a directory that you may write to",
    )


def _stranger(root: Path) -> str | None:
    """Return the name of something that does not belong into a cache, None when there is no such thing.

    A directory without a tag passes when it is empty, or holds parts of a cache alone, and is one: by its name, or by the lock
    of the builders. So CI may keep ``~/.cache/poncho/pip``, and nothing else.
    """
    try:
        names = set(os.listdir(root))
    except OSError:
        return None
    names = {name for name in names if not name.startswith(f".{TAG}.")} - _NOBODY_S
    if TAG in names and _is_ours(root / TAG):
        return None  # another builder came first
    if BUILDERS in names or "poncho" in root.name:
        names -= KINDS | {BUILDERS, TAG}
    elif names <= _OF_ANALYSES:
        return None
    return min(names, default=None)


def _is_ours(tag: Path) -> bool:
    try:
        return _OURS in tag.read_bytes()
    except OSError:
        return False


def _tag(root: Path) -> None:
    private = root / f".{TAG}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        private.write_bytes(_TEXT)
        private.replace(root / TAG)
    except OSError as error:
        with suppress(OSError):
            private.unlink()
        # What is there can still be read; who wants to write finds out by himself.
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise
