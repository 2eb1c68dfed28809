"""Members of which all is known from before: kept in columns, because there are tens of thousands of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from poncho.pack import tarfmt
from poncho.pack.model import Entry, Member
from poncho.pack.relocation import member_line

# What became of a file, in one letter. Of those that are packed, CHANGED ones have other bytes than the file itself.
AGAIN, DROPPED, PLAIN, CHANGED, LEAKS, CHANGED_LEAKS, OTHER = b"?", b"x", b"e", b"c", b"E", b"C", b"-"
_CHANGED = CHANGED + CHANGED_LEAKS


@dataclass(slots=True)
class Run:
    """Members in a row, all of one group.

    ``lines`` are theirs of ``poncho/contents``, without the newlines; ``sizes`` those of the contents, ``rooms`` those of the
    tars. ``states`` has a letter for each; that of links and directories is ``OTHER``.
    """

    entries: list[Entry] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)
    states: bytes = b""

    def member(self, at: int) -> Member:
        """Return one member as a value."""
        entry, line = self.entries[at], self.lines[at] + b"\n"
        if self.states[at : at + 1] == OTHER:
            return Member(entry.path, entry.mode, link=entry.link, directory=entry.directory, line=line)
        changed = self.states[at] in _CHANGED
        return Member(entry.path, entry.mode, self.sizes[at], line[:64].decode(), changed=changed, line=line)

    def changed(self) -> Iterator[int]:
        """Yield the numbers of the files that are not packed as they are."""
        if CHANGED in self.states or CHANGED_LEAKS in self.states:
            yield from (at for at, state in enumerate(self.states) if state in _CHANGED)

    def add_unread(self, entry: Entry) -> None:
        """Add a link or an empty directory: there is nothing in it to be known."""
        self.entries.append(entry)
        self.lines.append(member_line(unread_member(entry))[:-1])
        self.sizes.append(0)
        kind = tarfmt.DIRECTORY if entry.link is None else tarfmt.LINK
        self.rooms.append(len(tarfmt.header(entry.path, kind, link=entry.link or "")))
        self.states += OTHER


def unread_member(entry: Entry) -> Member:
    """Return the member for a link or an empty directory."""
    if entry.link is not None:
        return Member(entry.path, 0o777, link=entry.link)
    return Member(entry.path, 0o755, directory=True)


def room_for(path: str, size: int) -> int:
    """Return the bytes that a file takes in the tar: header, content, padding."""
    short = len(path) <= tarfmt.SHORT and path.isascii()
    head = tarfmt.BLOCK if short else len(tarfmt.header(path, tarfmt.FILE, size=size))
    return head + tarfmt.padded(size)
