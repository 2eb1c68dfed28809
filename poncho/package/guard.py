"""The rules that every member of a package must keep: then unpacking cannot write outside of its directory."""

from __future__ import annotations

from poncho.errors import PackageError
from poncho.package.tarstream import TarMember, refused

_SPECIAL_BITS = 0o7000


class Guard:
    """Judge members one after the other; remembers names, so that none comes twice or below a link.

    ``files`` and ``total`` are the most that may come (None: no limit known), ``claims`` words for what that stands on.
    A name is judged lexically: no member's parent can be a link, so names mean what they say.
    """

    def __init__(
        self, *, files: int | None = None, total: int | None = None, claims: tuple[str, str] = ("it says", "it says")
    ) -> None:
        self._claims = claims
        self._files = files
        self._total = total
        self._leaves: set[bytes] = set()
        self._links: set[bytes] = set()
        self._directories: set[bytes] = {b""}

    def check(self, member: TarMember) -> bytes:
        """Return the member's name without ``./`` and final slash. Raises PackageError that names it."""
        name = member.name
        while name.startswith(b"./"):
            name = name[2:]
        if member.kind == "directory":
            name = name.rstrip(b"/") if name.strip(b"/") else name
            if name in (b"", b"."):
                return b""
        self._name(member, name)
        if member.mode & _SPECIAL_BITS and member.kind != "link":
            raise refused(member.name, "has a setuid, setgid or sticky bit")
        if name in self._leaves or (name in self._directories and member.kind != "directory"):
            raise refused(member.name, "is there twice")
        self._parents(member, name)
        if member.kind == "link":
            check_target(member, name)
            self._links.add(name)
        elif member.kind == "hardlink" and not self._is_file(member.link.removeprefix(b"./")):
            raise refused(member.name, "is a hard link to what is no file before it in the archive")
        if member.kind == "directory":
            self._directories.add(name)
        else:
            self._leaves.add(name)
        self._count(member)
        return name

    def _name(self, member: TarMember, name: bytes) -> None:
        if name.startswith(b"/"):
            raise refused(member.name, "has an absolute name")
        parts = name.split(b"/")
        if b".." in parts:
            raise refused(member.name, "has .. in its name")
        if b"" in parts or b"." in parts or b"\0" in name:
            raise refused(member.name, "has an unusual name")
        if parts[:2] == [b"poncho", b"state"]:
            raise refused(member.name, "is written by nodes, no package has it")
        if max(map(len, parts)) > 255:
            raise refused(member.name, "has a name that is too long")

    def _parents(self, member: TarMember, name: bytes) -> None:
        directory = name.rpartition(b"/")[0]
        missing = []
        while directory not in self._directories:
            if directory in self._leaves:
                raise refused(member.name, "lies below a link or a file")
            missing.append(directory)
            directory = directory.rpartition(b"/")[0]
        self._directories.update(missing)

    def _is_file(self, name: bytes) -> bool:
        return name in self._leaves and name not in self._links

    def _count(self, member: TarMember) -> None:
        if self._files is not None and member.kind == "file":
            self._files -= 1
            if self._files < 0:
                raise PackageError(f"the archive holds more files than {self._claims[0]}", hint="do not use this file")
        if self._total is not None:
            self._total -= member.size
            if self._total < 0:
                raise PackageError(f"the archive holds more bytes than {self._claims[1]}", hint="do not use this file")


def check_target(member: TarMember, name: bytes) -> None:
    """Raise PackageError unless the link stays inside: ``..`` only at its beginning, and not beyond the root.

    With ``..`` elsewhere (``dir/link/..``) it would matter where other links lead.
    """
    target = member.link
    if not target or target.startswith(b"/"):
        raise refused(member.name, "is a link to an absolute path" if target else "is a link to nothing")
    if b"\0" in target:
        raise refused(member.name, "is a link with an unusual target")
    parts = [part for part in target.split(b"/") if part not in (b"", b".")]
    up = 0
    while up < len(parts) and parts[up] == b"..":
        up += 1
    if up > name.count(b"/") or b".." in parts[up:]:
        raise refused(member.name, "is a link that leaves the package")
