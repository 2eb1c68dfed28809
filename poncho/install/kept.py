"""Environments that stay in the builder's cache, so that the next build changes what has changed and leaves the rest alone.

``environments/<key>-<token>/``: ``env`` (the prefix; it never moves, as its path is in its files), ``lock`` and ``state.json``.
The key stands for the conda packages and the programs that install; of pip packages, those are exchanged that differ.
``<key>-base`` has the conda packages alone: pip requirements are resolved against it.

What makes it right:
- ``state.json`` exists only while the environment is whole: it is deleted before anything is changed and written at the end. What
  has none is deleted by the next build.
- Who changes an environment holds ``lock`` alone, who packs it holds it together with others.
- It also holds a stamp of each directory. An environment that somebody else has touched is not used again.
- Files are unlinked and made anew, never written in place: they may be links to other caches.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from packaging.utils import canonicalize_name

from poncho._types import Event, Reporter
from poncho.errors import PonchoError
from poncho.install.collisions import conda_files
from poncho.install.records import recorded_distributions, remove_files, with_parents
from poncho.install.slots import Slot, State, trim
from poncho.lock.model import LockedPip
from poncho.store import BuilderCache, Flock, answer_key, exclusive, remove_tree
from poncho.store.stamps import renew_stamps, take_stamps

# So many packages are exchanged even where that is most of an environment.
_FEW = 4


class Filler(Protocol):
    """What installs: ``conda`` into a new prefix, ``pip`` on top, ``compile`` the bytecode (of some directories only)."""

    def conda(self, prefix: Path) -> None: ...

    def pip(self, items: Sequence[LockedPip], prefix: Path) -> None: ...

    def compile(self, prefix: Path, directories: Sequence[str] | None) -> None: ...


class _CannotUpdateError(Exception):
    """Exchanging packages would not give what a new environment has."""


class KeptEnvironments:
    """The environments that hold one set of conda packages, by ``key`` (hexadecimal)."""

    def __init__(self, cache: BuilderCache, key: str, filler: Filler, reporter: Reporter) -> None:
        self._cache = cache
        self._root = cache.directory("environments")
        self._key = key[:24]
        self._filler = filler
        self._reporter = reporter

    @contextmanager
    def conda_only(self) -> Iterator[Path]:
        """Yield a prefix with the conda packages alone, to be read. Raises what the filler raises."""
        slot = Slot(self._root / f"{self._key}-base")
        while True:
            with slot.lock() as lock:
                lock.shared()
                if not lock.works:
                    break
                if lock.is_current() and slot.state() is not None:
                    slot.touch()
                    yield slot.prefix
                    return
                lock.exclusive()
                if lock.is_current() and slot.state() is None:
                    self._fill(slot, lambda: self._filler.conda(slot.prefix), {})
        with self._cache.scratch("base") as scratch:
            self._filler.conda(scratch / "env")
            yield scratch / "env"

    @contextmanager
    def with_pip(self, wanted: Sequence[LockedPip], *, new: bool = False) -> Iterator[Path]:
        """Yield a prefix with the conda packages, ``wanted`` and bytecode, to be read; with ``new``, one that does not stay.

        Raises what the filler raises.
        """
        identities = {str(canonicalize_name(item.name)): identity(item) for item in wanted}
        lock = None if new else self._prepared(wanted, identities)
        if lock is None:
            with self._cache.scratch("build") as scratch:
                self._new(scratch / "env", wanted)
                yield scratch / "env"
            return
        with lock:
            try:
                yield lock.path.parent / "env"
            finally:
                lock.close()
                trim(self._root)

    def _prepared(self, wanted: Sequence[LockedPip], identities: dict[str, str]) -> Flock | None:
        """Return the shared lock of an environment that holds ``wanted``; None where there are no locks."""
        name = f"environment-{self._key}-{_digest(identities)}.lock"
        # Of several builders that want the same, one builds; the others find it.
        with exclusive(self._cache.directory("locks") / name):
            while True:
                lock = self._find(identities) or self._update(wanted, identities) or self._make(wanted, identities)
                if lock is None or not lock.works:
                    return None
                # Taking less of a lock may lose it for a moment, and somebody may have come between.
                lock.shared()
                state = Slot(lock.path.parent).state() if lock.is_current() else None
                if state is not None and state.pip == identities:
                    return lock
                lock.close()

    def _find(self, identities: dict[str, str]) -> Flock | None:
        for slot in self._slots():
            lock = slot.lock()
            if lock.shared(wait=False) and lock.is_current():
                state = slot.state()
                if state is not None and state.pip == identities and self._is_untouched(slot, state):
                    slot.touch()
                    self._reporter(Event("start", "install", "the environment of an earlier build"))
                    self._reporter(Event("done", "install", "the environment of an earlier build, as it is"))
                    return lock
            lock.close()
        return None

    def _update(self, wanted: Sequence[LockedPip], identities: dict[str, str]) -> Flock | None:
        """Change the environment that differs least, when that is less work than a new one."""
        nearest: list[tuple[int, str, Slot]] = []
        for slot in self._slots():
            state = slot.state()
            if state is not None:
                differing = len({name for name, _ in state.pip.items() ^ identities.items()})
                if differing <= max(_FEW, len(identities) // 2):
                    nearest.append((differing, slot.path.name, slot))
        for _, _, slot in sorted(nearest, key=lambda one: one[:2]):
            lock = slot.lock()
            state = slot.state() if lock.exclusive(wait=False) and lock.is_current() else None
            if state is not None and self._is_untouched(slot, state):
                try:
                    self._exchange(slot, state, wanted, identities)
                    return lock
                except (_CannotUpdateError, PonchoError, OSError, ValueError) as error:
                    # A new environment shows whether it was this one's fault.
                    self._reporter(Event("info", "install", f"a new environment is made: {error}"))
                    slot.delete(self._cache)
                except BaseException:
                    slot.delete(self._cache)
                    raise
            lock.close()
        return None

    def _make(self, wanted: Sequence[LockedPip], identities: dict[str, str]) -> Flock | None:
        slot = Slot(self._root / f"{self._key}-{secrets.token_hex(4)}")
        lock = slot.lock()
        lock.exclusive()
        if not lock.works:
            slot.delete(self._cache)
            lock.close()
            return None
        try:
            self._fill(slot, lambda: self._new(slot.prefix, wanted), identities)
        except BaseException:
            lock.close()
            raise
        return lock

    def _new(self, prefix: Path, wanted: Sequence[LockedPip]) -> None:
        self._filler.conda(prefix)
        self._filler.pip(wanted, prefix)
        self._filler.compile(prefix, None)

    def _fill(self, slot: Slot, work: Callable[[], None], identities: dict[str, str]) -> None:
        try:
            if slot.prefix.exists():
                remove_tree(slot.prefix)
            work()
            slot.write_state(identities, take_stamps(slot.prefix))
        except BaseException:
            slot.delete(self._cache)
            raise

    def _exchange(self, slot: Slot, state: State, wanted: Sequence[LockedPip], identities: dict[str, str]) -> None:
        """Take out the pip packages that are not wanted so, install those that are missing."""
        going = {name for name, one in state.pip.items() if identities.get(name) != one}
        names_now = {name for name, one in identities.items() if state.pip.get(name) != one}
        coming = [item for item in wanted if canonicalize_name(item.name) in names_now]
        names = ", ".join(sorted(going | names_now))
        self._reporter(Event("start", "install", f"the environment of an earlier build is used; different: {names}"))
        slot.forget_state()
        prefix = slot.prefix
        owned = set(conda_files(prefix).owners)
        before = recorded_distributions(prefix)
        stay = [one for one in before if one.name not in going]
        kept = owned.union(*(one.files for one in stay))
        leaving = [one for one in before if one.name in going]
        if len(leaving) != len(going):
            raise _CannotUpdateError("a package to take out is not recorded as it should be")
        old = [file for one in leaving for file in one.files]
        if not kept.isdisjoint(old):
            raise _CannotUpdateError("packages share files")
        changed = remove_files(prefix, old)
        if any((prefix / one.directory).exists() for one in leaving):
            raise _CannotUpdateError("a package left files behind")
        self._reporter(Event("done", "install", f"the environment of an earlier build; different: {names}"))
        self._filler.pip(coming, prefix)
        arrived = recorded_distributions(prefix, but={one.directory for one in stay})
        if {one.name for one in arrived} != {canonicalize_name(item.name) for item in coming}:
            raise _CannotUpdateError("a package is not recorded as it should be")
        new = [file for one in arrived for file in one.files]
        if not kept.isdisjoint(new) or len(new) != len(set(new)):
            raise _CannotUpdateError("packages share files")
        sources = {file.rpartition("/")[0] for file in (*old, *new) if file.endswith(".py")}
        self._filler.compile(prefix, sorted(sources))
        changed |= with_parents({file.rpartition("/")[0] for file in new})
        changed |= with_parents({f"{directory}/__pycache__" for directory in sources})
        slot.write_state(identities, renew_stamps(prefix, state.stamps, changed))

    def _is_untouched(self, slot: Slot, state: State) -> bool:
        try:
            if take_stamps(slot.prefix) == state.stamps:
                return True
        except OSError:
            pass
        self._reporter(Event("info", "install", f"{slot.prefix}: was changed by somebody else and is not used"))
        slot.forget_state()
        return False

    def _slots(self) -> list[Slot]:
        return [
            Slot(path)
            for path in sorted(self._root.glob(f"{self._key}-*"))
            if not path.name.endswith("-base") and path.is_dir()
        ]


def identity(item: LockedPip) -> str:
    """Return what tells a locked pip package from another: the bytes where they are known, else where it is from."""
    return f"{item.version} {item.sha256 or ''} {'' if item.sha256 else item.url or ''} {item.requirement}"


def _digest(identities: dict[str, str]) -> str:
    return answer_key(identities)[:24]
