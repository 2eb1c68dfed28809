"""Locks that other tools wrote: explicit lists, conda-lock.yml, pylock.toml here; pixi.lock in ``poncho.engine``."""

from poncho.lock.foreign.conda_lock import read_conda_lock
from poncho.lock.foreign.explicit import read_explicit
from poncho.lock.foreign.kind import LockKind, lock_kind
from poncho.lock.foreign.lifted import lifted
from poncho.lock.foreign.pylock import pip_entries, read_pylock

__all__ = ["LockKind", "lifted", "lock_kind", "pip_entries", "read_conda_lock", "read_explicit", "read_pylock"]
