"""Tell whether a process uses a directory of the node's store, and keep new ones out while it is taken away.

A runner keeps ``poncho/state/prefix`` of the environment open for the command that it becomes, which costs it no process.
The kernel grants a write lease (fcntl(2), F_SETLEASE) only on a file that nobody has open, whatever the user, container
or pid namespace; while it is held, a runner that opens the file waits. So between "nobody uses it" and "it is gone from
its place" nobody can begin to use it. /proc is read as well, for processes that closed what they inherited.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# linux/sched.h: a process that ends; its files and locks may be closed already, though it is no zombie yet.
_PF_EXITING = 0x4
_LINKS = ("exe", "cwd", "root")
_NO_LEASES = (errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES, errno.EPERM)


class InUseError(Exception):
    """Somebody has the file open."""


@contextmanager
def sole_user(path: Path) -> Iterator[bool]:
    """Hold a write lease on the file ``path`` while the block runs; yield False where the system has no leases.

    Keep the block short: who opens the file meanwhile waits. Raises InUseError when somebody has it open.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        yield False
        return
    try:
        yield _lease(descriptor)
    finally:
        os.close(descriptor)


def _lease(descriptor: int) -> bool:
    try:
        # The kernel tells the holder by a signal that somebody waits; SIGIO would end this process, SIGURG is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        if error.errno in _NO_LEASES:
            return False
        raise InUseError from error
    except AttributeError:  # not Linux
        return False
    return True


def users(directory: Path) -> list[int]:
    """Return the ids of the processes in /proc that run from ``directory``, stand in it, map or open files of it, or
    were started with its path in their environment. Processes of others that may not be looked into are left out.
    """
    path = os.fsencode(directory)
    return [pid for pid in _processes() if pid != os.getpid() and _uses(Path("/proc", str(pid)), path)]


def started(pid: int) -> int | None:
    """Return when the process began, in clock ticks since the system did; None when it is gone, 0 where unknown."""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return 0
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return None
    exiting = int(fields[6]) & _PF_EXITING
    return None if exiting or fields[0] in (b"Z", b"X") else int(fields[19])


def _processes() -> Iterator[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit())


def _uses(process: Path, path: bytes) -> bool:
    if any(_below(_link(process / name), path) for name in _LINKS):
        return True
    for name in ("environ", "maps"):
        try:
            if _mentions((process / name).read_bytes(), path):
                return True
        except OSError:
            continue
    try:
        with os.scandir(process / "fd") as descriptors:
            return any(_below(_link(Path(entry.path)), path) for entry in descriptors)
    except OSError:
        return False


def _link(path: Path) -> bytes:
    try:
        return os.readlink(os.fsencode(path))
    except OSError:
        return b""


def _below(found: bytes, path: bytes) -> bool:
    return found == path or found.startswith(path + b"/")


def _mentions(text: bytes, path: bytes) -> bool:
    at = text.find(path)
    while at >= 0:
        # The name must end there: the path of one environment may begin with that of another.
        if text[at + len(path) : at + len(path) + 1] in (b"", b"/", b"\0", b":", b"\n", b" "):
            return True
        at = text.find(path, at + 1)
    return False
