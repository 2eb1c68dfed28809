"""The node's store of unpacked packages, as ``bin/poncho_package_run`` keeps it (docs/store.md): list it, prune it."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from poncho._trees import walk
from poncho._types import Event, Reporter, silent
from poncho._words import counted
from poncho.errors import StoreError
from poncho.store.atomic import remove_tree
from poncho.store.fetched import drop_fetched, fetched
from poncho.store.liveness import InUseError, sole_user, started, users
from poncho.store.mounts import IMAGE, unmount

# The runner looks in the same places, in the same order.
_SCRATCH = ("_CONDOR_SCRATCH_DIR", "SLURM_TMPDIR", "OSG_WN_TMP", "WORK_QUEUE_SANDBOX", "TMPDIR")
_PREFIX = Path("poncho/state/prefix")
_ENTER = Path("poncho/state/enter")
_DIGEST = Path("poncho/state/digest")
_GONE = ".gone."


@dataclass(frozen=True, slots=True)
class Entry:
    """One unpacked package: its name, directory, package digest, size on disk in bytes, and when it was last used.

    The size counts the package file too, where it was fetched by URL and is kept.

    ``used`` is in seconds since the epoch. The kernel keeps it (the access time of a file that each start reads): to a
    day with the usual mount option relatime; the time of unpacking where the file system keeps no access times.
    """

    name: str
    path: Path
    digest: str
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune did: entries deleted, entries kept although they were due because they are in use, bytes freed."""

    deleted: tuple[Entry, ...]
    in_use: tuple[Entry, ...]
    freed: int


def node_store_path(environ: Mapping[str, str]) -> Path:
    """Return the directory that the runner uses under these variables; it need not exist.

    Raises StoreError when no directory can be written.
    """
    named = environ.get("PONCHO_STORE")
    if named:
        return Path(named).absolute()
    for place in (*(environ.get(name, "") for name in _SCRATCH), "/tmp", "/var/tmp"):
        if place.startswith("/") and os.path.isdir(place) and os.access(place, os.W_OK):
            return Path(place, f"poncho-{os.geteuid()}")
    raise StoreError("no directory for the store can be written", hint="set PONCHO_STORE to a directory on this node")


class NodeStore:
    """The store in ``root``. Nothing here is needed for it to be right: runners and prunes may run at the same time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def entries(self) -> list[Entry]:
        """Return the unpacked packages, the longest unused first. Raises StoreError when the store cannot be read."""
        found = []
        kept = fetched(self.root)
        for path in self._directories():
            if path.name.startswith((".", "work.")):
                continue
            try:
                digest = (path / _DIGEST).read_text().strip()
                read = [(path / name).stat() for name in (_ENTER, _PREFIX) if (path / name).exists()]
                read = read or [(path / _DIGEST).stat()]
            except (OSError, ValueError):
                continue  # not one of ours, or being deleted
            size = tree_size(path) + sum(package.size for package in kept if package.is_source_of([path.name]))
            found.append(Entry(path.name, path, digest, size, _used(read)))
        return sorted(found, key=lambda entry: (entry.used, entry.name))

    def find(self, name: str) -> Entry:
        """Return the entry whose name or digest begins with ``name``. Raises StoreError when there is not just one."""
        entries = self.entries()
        exact = [entry for entry in entries if entry.name == name]
        found = exact or [entry for entry in entries if entry.name.startswith(name) or entry.digest.startswith(name)]
        if len(found) != 1:
            what = "nothing" if not found else counted(len(found), "package")
            raise StoreError(f"{self.root}: {what} in the store is called {name}", hint="see: poncho store list")
        return found[0]

    def prune(
        self,
        *,
        max_age: float | None = None,
        max_size: int | None = None,
        names: Iterable[str] | None = None,
        dry_run: bool = False,
        reporter: Reporter = silent,
    ) -> Pruned:
        """Delete what was not used for ``max_age`` seconds, then the longest unused until ``max_size`` bytes are left.

        ``names`` deletes just these; without any of the three, everything. What a process uses stays, always; what
        killed runners left behind goes, always. With ``dry_run`` nothing is deleted and ``deleted`` says what would be.
        Raises StoreError when the store is somebody else's or cannot be written.
        """
        entries = self.entries()
        if entries and not dry_run and (not os.access(self.root, os.W_OK) or self._is_foreign()):
            raise StoreError(f"{self.root}: the store is not yours to prune", hint="its owner can prune it")
        due = _due(entries, time.time(), max_age, max_size) if names is None else [self.find(name) for name in names]
        deleted: list[Entry] = []
        in_use: list[Entry] = []
        for entry in due:
            taken = not self.in_use(entry) if dry_run else self._delete(entry)
            (deleted if taken else in_use).append(entry)
            said = "deleted" if taken else "in use, kept"
            reporter(Event("info", "prune", f"{entry.name}: {said}", done=entry.size, unit="bytes"))
        if not dry_run:
            self._sweep()
            if due or not entries:
                drop_fetched(self.root, {entry.name for entry in self.entries()}, self._locked)
        return Pruned(tuple(deleted), tuple(in_use), sum(entry.size for entry in deleted))

    def in_use(self, entry: Entry) -> bool:
        """Return whether a process of this node uses the entry."""
        try:
            with sole_user(entry.path / _PREFIX):
                pass
        except InUseError:
            return True
        return bool(users(entry.path))

    def _delete(self, entry: Entry) -> bool:
        with self._locked(entry.name) as locked:
            if not locked or users(entry.path):
                return False
            aside = self.root / f"{_GONE}{os.getpid()}.{secrets.token_hex(4)}"
            try:
                with sole_user(entry.path / _PREFIX) as leased:
                    entry.path.rename(aside)
            except (InUseError, FileNotFoundError):
                return False
            except OSError as error:
                raise StoreError(f"{entry.path}: cannot be deleted ({error.strerror})") from error
            if not leased and users(aside):
                # No leases on this file system: somebody came between looking and renaming.
                aside.rename(entry.path)
                return False
        _remove(aside)
        return True

    @contextmanager
    def _locked(self, name: str) -> Iterator[bool]:
        """Hold the lock under which a runner unpacks; yield False when a runner holds it."""
        descriptor = os.open(self.root / f".lock.{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            except OSError:  # no locks on this file system; the rename decides
                yield True
            else:
                yield True
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Delete what killed runners and prunes left."""
        here = _this_machine()
        for path in self._directories():
            if path.name.startswith(_GONE) or (path.name.startswith("work.") and _is_left(path, here)):
                _remove(path)

    def _directories(self) -> list[Path]:
        try:
            with os.scandir(self.root) as found:
                return sorted(Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.root}: the store cannot be read ({error.strerror})") from error

    def _is_foreign(self) -> bool:
        return self.root.stat().st_uid != os.geteuid() != 0


def _remove(directory: Path) -> None:
    """Delete a directory of the store; what is mounted in it goes first. What cannot be unmounted stays."""
    if unmount(directory) and unmount(directory / "root"):
        remove_tree(directory)


def tree_size(root: Path) -> int:
    """Return how many bytes a directory takes on the disk; a mounted image, and files that go away meanwhile, do not count."""
    image = os.path.join(root, IMAGE)
    total = 0
    seen: set[tuple[int, int]] = set()
    for parent, directories, files in walk(root):
        directories[:] = [name for name in directories if os.path.join(parent, name) != image]
        for name in (*directories, *files):
            try:
                status = os.lstat(os.path.join(parent, name))
            except OSError:
                continue
            if status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def _used(read: Iterable[os.stat_result]) -> float:
    """Return when one of the files was last read or written: which of them a start reads, its way decides."""
    return max(time for status in read for time in (status.st_atime, status.st_mtime))


def _due(entries: list[Entry], now: float, max_age: float | None, max_size: int | None) -> list[Entry]:
    if max_age is None and max_size is None:
        return entries
    due = [entry for entry in entries if max_age is not None and now - entry.used > max_age]
    left = [entry for entry in entries if entry not in due]
    total = sum(entry.size for entry in left)
    for entry in left:
        if max_size is None or total <= max_size:
            break
        due.append(entry)
        total -= entry.size
    return due


def _this_machine() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid").partition("[")[2].rstrip("]")
    except OSError:
        namespace = ""
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname()) + "+" + namespace


def _is_left(path: Path, here: str) -> bool:
    """Return whether the process that worked in this directory was on this machine and is gone."""
    machine, _, process = path.name.removeprefix("work.").rpartition("+")[0].rpartition("+")
    start = path.name.rpartition("+")[2]
    if machine != here or not process.isdigit() or not start.isdigit():
        return False
    try:
        watcher = int((path / "watcher").read_text())
    except (OSError, ValueError):
        pass
    else:
        if started(watcher) is not None:
            return False
    return started(int(process)) != int(start)
