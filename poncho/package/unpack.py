"""Unpack a package into a new directory and relocate it to there: checked, whole or not at all, nothing of it executed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poncho._arguments import as_path
from poncho._types import Event, Reporter, silent
from poncho._words import counted, human_bytes
from poncho.errors import StoreError
from poncho.pack.layout import KEY
from poncho.package.reading import Opened, open_members, read_members
from poncho.package.relocate import apply_records, foreign_records, replace_prefix
from poncho.package.tarstream import TarMember
from poncho.package.verify import OWN, check_members
from poncho.store.atomic import atomic_directory, exact_bytes

_CONDA_UNPACK = "bin/conda-unpack"
_WANTED = OWN | {_CONDA_UNPACK}
_SPARE = 1.05  # directories and the ends of blocks


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was unpacked: where, the package's digest (None for other people's archives), counts, and whether its files
    name the directory now (``relocated``).
    """

    path: Path
    digest: str | None
    files: int
    bytes: int
    relocated: bool


def unpack(path: Path | str, directory: Path | str, *, relocate: bool = True, reporter: Reporter = silent) -> Unpacked:
    """Unpack the package ``path`` into ``directory``, which must be new or empty and appears whole or not at all.

    Every byte is checked on the way. ``relocate`` False leaves the placeholder in the files, as plain tar does. Archives of
    others are relocated by conda-pack's records, read as data. Raises PackageError for a damaged or hostile package;
    StoreError when the directory holds something, cannot be written, or there is not enough room, or when no environment
    can run there.
    """
    path, directory = as_path(path, "a package"), as_path(directory, "a directory")
    target = Path(os.path.realpath(directory))
    if relocate:
        _check_name(target)
    reporter(Event("start", "unpack", f"unpacking {path.name}"))
    with open_members(path) as opened, atomic_directory(target, into_empty=True) as private:
        if private is None:
            raise StoreError(
                f"{directory}: holds something already", hint="name a directory that is new or empty, or empty this one"
            )
        _check_room(private, opened)
        writer = _Writer(private, opened, reporter)
        try:
            members = read_members(opened, wanted=_WANTED.__contains__, sink=writer)
            writer.finish()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _cannot_write(directory, error) from error
        files = sum(item.kind == "file" for item in members.items.values())
        size = sum(item.size for item in members.items.values())
        digest = None
        if members.texts.keys() >= OWN:
            digest = check_members(path, opened, members).digest
        relocated = relocate and _relocate(private, target, digest, members.texts.get(_CONDA_UNPACK))
    reporter(Event("done", "unpack", f"{directory}: {counted(files, 'file')}", done=size, total=size, unit="bytes"))
    return Unpacked(target, digest, files, size, relocated)


class _Writer:
    """Writes members below a private directory, after the guard has judged their names. Links come last."""

    def __init__(self, root: Path, opened: Opened, reporter: Reporter) -> None:
        self._root = os.fspath(root)
        self._known = {""}
        self._links: list[tuple[str, bytes]] = []
        self._reporter = reporter
        self._done = self._said = 0
        self._total = opened.said.facts.bytes if opened.said else None

    def __call__(self, name: str, member: TarMember, content: Iterator[bytes]) -> Iterator[bytes]:
        """Write one member, passing its content on."""
        path = f"{self._root}/{name}"
        if member.kind == "directory":
            self._directory(name)
            return
        self._directory(name.rpartition("/")[0])
        if member.kind == "link":
            self._links.append((path, member.link))
        elif member.kind == "hardlink":
            os.link(f"{self._root}/{os.fsdecode(member.link.removeprefix(b'./'))}", path, follow_symlinks=False)
        else:
            yield from self._file(path, member, content)

    def _file(self, path: str, member: TarMember, content: Iterator[bytes]) -> Iterator[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, member.mode & 0o777 | 0o400)
        try:
            for piece in content:
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
                self._progress(len(piece))
                yield piece
            # Files of .pyc that are valid by their source's time need it.
            os.utime(descriptor, (member.mtime, member.mtime))
        finally:
            os.close(descriptor)

    def finish(self) -> None:
        """Make the symbolic links: nothing was written through one."""
        for path, target in self._links:
            os.symlink(target, os.fsencode(path))

    def _directory(self, name: str) -> None:
        missing = []
        while name not in self._known:
            missing.append(name)
            name = name.rpartition("/")[0]
        for one in reversed(missing):
            os.mkdir(f"{self._root}/{one}", 0o777)
            self._known.add(one)

    def _progress(self, count: int) -> None:
        self._done += count
        if self._done - self._said > 1 << 23:
            self._said = self._done
            self._reporter(Event("progress", "unpack", done=self._done, total=self._total, unit="bytes"))


def _relocate(root: Path, target: Path, digest: str | None, conda_unpack: bytes | None) -> bool:
    if digest is not None:
        apply_records(root, target)
        state = root / "poncho/state"
        state.mkdir()
        # What the runner reads: relocated to where, and that the directory is whole (docs/format.md).
        (state / "enter").write_bytes(_enter(root, target, digest))
        (state / "prefix").write_bytes(os.fsencode(target) + b"\n")
        (state / "digest").write_text(digest + "\n")
        return True
    if conda_unpack is None:
        return False
    for path, placeholder, mode in foreign_records(conda_unpack):
        replace_prefix(root, path, placeholder, mode, target)
    return True


def _enter(root: Path, target: Path, digest: str) -> bytes:
    """Return what a start sources: the runner writes the same (``_pr_settle``)."""
    quoted = os.fspath(target).replace("'", "'\\''")
    head = f"_poncho_prefix='{quoted}' _poncho_key={digest[:KEY]}\n"
    head += 'case ${_pr_digest:-$_poncho_key},$_pr_at in "$_poncho_key,$_poncho_prefix") ;; '
    head += '"$_poncho_key",*) [ "$_pr_at" -ef "$_poncho_prefix" ] || return 0 ;; *) return 0 ;; esac\n'
    return os.fsencode(head) + (root / "poncho/env.sh").read_bytes() + b"\n_pr_ready=yes\n"


def _check_name(target: Path) -> None:
    """Refuse what the runner refuses, as with another Python on PATH in its place all would run, and be wrong."""
    for char, what in ((":", "a colon, so PATH cannot name it"), ("\n", "a newline")):
        if char in os.fspath(target):
            hint = "use another directory, or unpack with --no-relocate and move it"
            raise StoreError(f"the path {target} holds {what}", hint=hint)


def _check_room(private: Path, opened: Opened) -> None:
    if opened.said is None:
        return
    need = int(opened.said.facts.bytes * _SPARE)
    free = shutil.disk_usage(private).free
    if need > free:
        raise StoreError(
            f"{private.parent}: no space left: {exact_bytes(need)} are needed, {human_bytes(free)} are free",
            hint="free space there, or name a directory on another file system",
            context={"needed": need, "free": free},
        )


def _cannot_write(directory: Path, error: OSError) -> StoreError:
    return StoreError(f"{directory}: cannot be written ({error.strerror})", hint="name another directory")
