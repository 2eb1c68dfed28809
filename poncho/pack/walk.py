"""List what lies in a prefix, without touching it: files, portable links, empty directories."""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from poncho.errors import BuildError
from poncho.pack.lister import list_beside
from poncho.pack.listing import GONE, Row, rows
from poncho.pack.model import Entry

_REGULAR = stat.S_IFREG
_KIND = 0o170000  # stat.S_IFMT, without a call for each file
Meanwhile = Callable[[Sequence[str]], None]

# A conda or virtual environment keeps what its packages bring in one of these, a directory for each.
_MANY = re.compile(r"lib/(?:python3[^/]*/(?:site-packages/)?)?")
_OURS = "poncho"  # the directory of a package's own files, below its root


@dataclass(slots=True)
class Tree:
    """What a walk found; ``directories`` are all that were entered, ``warnings`` says what is left out or changed."""

    entries: list[Entry] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)
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


def walk(
    root: Path,
    prefixes: Sequence[str],
    leave_out: LeaveOut = NOTHING,
    *,
    below: str = "",
    meanwhile: Meanwhile | None = None,
) -> Tree:
    """Walk ``root`` and return its entries with paths relative to the package's root (``below`` is put before them).

    ``prefixes`` are the absolute spellings of the root: absolute links into them become relative. A link that leaves
    the root is packed as the file that it leads to; one that leads to no file is left out with a warning.
    A directory that is to be left out is not entered. With ``meanwhile`` another process lists a part, when there is much;
    it is called before that is waited for, with the directories of single packages. Raises BuildError when something cannot
    be read.
    """
    found = _Walk(str(root), below, prefixes, leave_out)
    try:
        if meanwhile is None:
            found.enter("")
        else:
            units = found.units()
            for unit, listed in list_beside(found.root, units, found.enter, partial(meanwhile, units)).items():
                found.enter(unit, listed)
    except OSError as error:
        raise cannot_read(error.filename or str(root), error) from error
    return found.tree


def cannot_read(path: str, error: OSError) -> BuildError:
    """Return the error that names a file of the environment that cannot be read."""
    return BuildError(
        f"{path}: cannot be read ({error.strerror})",
        hint="every file of the environment must be readable to be packed",
        context={"path": path},
    )


class _Walk:
    """What is found below ``root`` goes into ``tree``."""

    def __init__(self, root: str, below: str, prefixes: Sequence[str], leave_out: LeaveOut) -> None:
        self.root = root
        self.tree = Tree()
        self._below = below
        self._prefixes = prefixes
        self._leave_out = leave_out

    def units(self) -> list[str]:
        """Take in the directories in which most lie that are of one package or the other; return those in them."""
        found: list[str] = []
        left = [""]
        while left:
            for inner in self._list(left.pop(), None):
                (left if _MANY.fullmatch(inner) else found).append(inner)
        return found

    def enter(self, start: str, listed: Mapping[str, Sequence[Row]] | None = None) -> None:
        """Take in a directory (relative, closed by a slash) and all below it; ``listed`` is what lies in them, if known."""
        # With a list of what is left: a function that calls itself does not get as deep as a path can.
        left = [start]
        while left:
            left += self._list(left.pop(), listed)

    def _list(self, start: str, listed: Mapping[str, Sequence[Row]] | None) -> list[str]:
        try:
            found = rows(f"{self.root}/{start}") if listed is None else listed[start]
        except OSError as error:
            # Of what lies in the directory the system was told the name alone.
            name = error.filename if isinstance(error.filename, str) and "/" not in error.filename else ""
            raise cannot_read(f"{self.root}/{start}{name}".rstrip("/"), error) from error
        return self._take(start, found)

    def _take(self, start: str, found: Sequence[Row]) -> list[str]:
        """Take in what was found in a directory; return the directories in it that are to be entered."""
        place, below, add = f"{self.root}/{start}", self._below, self.tree.entries.append
        special, anything = self._leave_out.names, not start or start.startswith(_OURS + "/")
        self.tree.directories.add((below + start)[:-1])
        inner = []
        for name, mode, size, mtime, stamp in found:
            inside = start + name
            if (anything or name in special) and self._leave_out.decide(inside):
                continue
            kind = mode & _KIND
            if kind == _REGULAR:
                add(Entry(below + inside, place + name, size, 0o755 if mode & 0o111 else 0o644, mtime, stamp=stamp))
            elif kind == stat.S_IFDIR:
                inner.append(inside + "/")
            elif kind == stat.S_IFLNK:
                _link(inside, below + inside, place + name, self._prefixes, self.tree)
            elif mode == GONE:
                raise cannot_read(place + name, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
            else:
                self.tree.warnings.append(f"{below}{inside}: left out, it is a socket, pipe or device")
        if not found and start and not start.endswith("__pycache__/"):
            add(Entry(below + start[:-1], directory=True, mode=0o755))
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
