"""List what lies in a prefix, without touching it: files, portable links, empty directories."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poncho.errors import BuildError
from poncho.pack.model import Entry

_REGULAR = stat.S_IFREG
_KIND = 0o170000  # stat.S_IFMT, without a call for each file
_OURS = "poncho"  # the directory of a package's own files, below its root


@dataclass(slots=True)
class Tree:
    """What a walk found; ``warnings`` says what is left out or changed."""

    entries: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """What is not to be packed.

    ``decide`` is asked for a path relative to the root, but only where that can matter: at the top, in ``poncho/``, and for the
    ``names`` wherever they are.
    """

    names: Collection[str]
    decide: Callable[[str], bool]


NOTHING = LeaveOut(frozenset(), lambda path: False)


def walk(root: Path, prefixes: Sequence[str], leave_out: LeaveOut = NOTHING, *, below: str = "") -> Tree:
    """Walk ``root`` and return its entries with paths relative to the package's root (``below`` is put before them).

    ``prefixes`` are the absolute spellings of the root: absolute links into them become relative. A link that leaves
    the root is packed as the file that it leads to; one that leads to no file is left out with a warning.
    A directory that is to be left out is not entered. Raises BuildError when something cannot be read.
    """
    tree = Tree()
    try:
        _walk(str(root), below, prefixes, leave_out, tree)
    except OSError as error:
        raise cannot_read(error.filename or str(root), error) from error
    return tree


def cannot_read(path: str, error: OSError) -> BuildError:
    """Return the error that names a file of the environment that cannot be read."""
    return BuildError(
        f"{path}: cannot be read ({error.strerror})",
        hint="every file of the environment must be readable to be packed",
        context={"path": path},
    )


def _walk(root: str, below: str, prefixes: Sequence[str], leave_out: LeaveOut, tree: Tree) -> None:
    # With a list of what is left: a function that calls itself does not get as deep as a path can.
    left = [""]
    while left:
        start = left.pop()
        place = f"{root}/{start}"
        directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            names = os.listdir(directory)
            left += _directory(directory, names, place, start, below, prefixes, leave_out, tree)
        except OSError as error:
            name = error.filename if isinstance(error.filename, str) else ""
            raise cannot_read(os.path.join(place, name), error) from error
        finally:
            os.close(directory)
        if not names and start and not start.endswith("__pycache__/"):
            tree.entries.append(Entry(below + start[:-1], directory=True, mode=0o755))


def _directory(
    directory: int,
    names: Sequence[str],
    place: str,
    start: str,
    below: str,
    prefixes: Sequence[str],
    leave_out: LeaveOut,
    tree: Tree,
) -> list[str]:
    """Take in the children of an open directory but for those that are directories: return these."""
    # Not os.scandir(): it makes an object for each name, of which nothing but the name is of use here. From an open directory
    # the system finds a file in two thirds of the time that it needs for a long path.
    stat_at, add = os.stat, tree.entries.append
    special, anything = leave_out.names, not start or start.startswith(_OURS + "/")
    inner = []
    for name in names:
        inside = start + name
        if (anything or name in special) and leave_out.decide(inside):
            continue
        info = stat_at(name, dir_fd=directory, follow_symlinks=False)
        mode = info.st_mode
        kind = mode & _KIND
        if kind == _REGULAR:  # as _file does it, for the thousands of them
            add(
                Entry(
                    below + inside,
                    place + name,
                    info.st_size,
                    0o755 if mode & 0o111 else 0o644,
                    int(info.st_mtime),
                    stamp=f"{info.st_dev} {info.st_ino} {info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}",
                )
            )
        elif kind == stat.S_IFDIR:
            inner.append(inside + "/")
        elif kind == stat.S_IFLNK:
            _link(inside, below + inside, place + name, prefixes, tree)
        else:
            tree.warnings.append(f"{below}{inside}: left out, it is a socket, pipe or device")
    return inner


def _file(path: str, source: str, info: os.stat_result) -> Entry:
    mode = 0o755 if info.st_mode & 0o111 else 0o644
    return Entry(path, source, info.st_size, mode, int(info.st_mtime), stamp=_stamp(info))


def _stamp(info: os.stat_result) -> str:
    return f"{info.st_dev} {info.st_ino} {info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}"


def _link(inside: str, path: str, source: str, prefixes: Sequence[str], tree: Tree) -> None:
    target = os.readlink(source)
    if ".." in _inner(target):
        # What x/.. means depends on whether x is a link.
        target = os.path.realpath(source)
    portable = portable_target(inside, target, prefixes)
    if portable is not None:
        tree.entries.append(Entry(path, link=portable, mode=0o777))
        return
    try:
        info = os.stat(source)
    except OSError:
        tree.warnings.append(f"{path}: left out, a link to {target} outside of the environment, where nothing is")
        return
    if stat.S_ISREG(info.st_mode):
        tree.entries.append(_file(path, source, info))
        tree.warnings.append(f"{path}: packed as a file, it is a link to {target} outside of the environment")
    else:
        tree.warnings.append(f"{path}: left out, a link to {target} outside of the environment")


def portable_target(path: str, target: str, prefixes: Sequence[str]) -> str | None:
    """Return what the link at ``path`` (relative to the root) must say to be portable; None when it leaves the root."""
    directory = posixpath.dirname(path)
    if target.startswith("/"):
        for prefix in prefixes:
            plain = posixpath.normpath(target)
            if plain == prefix or plain.startswith(prefix + "/"):
                # From a root: of relative paths it asks the system where this process is, which may be nowhere.
                return posixpath.relpath(f"/{plain[len(prefix) :].lstrip('/')}", f"/{directory}")
        return None
    if ".." not in _inner(target):
        up = sum(part == ".." for part in target.split("/"))
        if up <= (directory.count("/") + 1 if directory else 0):
            return target
    # It goes out, but perhaps in again (../../env/lib), or turns back halfway (lib/x/../y).
    plain = posixpath.normpath(posixpath.join(prefixes[0], directory, target))
    return portable_target(path, plain, prefixes)


def _inner(target: str) -> list[str]:
    """Return the parts of a relative target from the first that is not ``..`` on."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        del parts[0]
    return parts
