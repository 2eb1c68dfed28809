"""The tar that mksquashfs gets: that of the archive, but the files that have to fit their place lie below ``poncho/fit/``."""

from __future__ import annotations

from collections.abc import Sequence

from poncho.pack import squashfs, tarfmt
from poncho.pack.composing import Batch
from poncho.pack.compress import Bytes
from poncho.pack.layout import Chunk
from poncho.pack.model import Member
from poncho.pack.sink import Packed, Tar


class ImageSink:
    """Hands chunks of tar on, uncompressed. ``pythons`` are interpreters in ``bin``; ``epoch`` is the time of all."""

    def __init__(self, pythons: frozenset[str], epoch: int) -> None:
        self._pythons = pythons
        self._epoch = epoch

    def stored(self, text: bytes, begin: int, end: int) -> str | None:
        """Nothing is kept here."""
        return None

    def whole(self, batch: Batch, tar: Tar) -> Packed:
        """Hand on whole members."""
        view, owner = tar()
        parts: list[Bytes] = []
        at = done = 0
        for item in batch.looked():
            content = at + item.size - tarfmt.padded(item.member.size)
            if self._has_to_fit(item.member, bytes(view[content : content + 2])):
                parts += (view[done:at], self._head(item.member))
                done = content
            at += item.size
        if done:
            # In one: a call that writes takes a limited number of parts.
            return _packed((b"".join((*parts, view[done:])),), batch.size, None)
        return _packed((view,), batch.size, owner)

    def part(self, member: Member, size: int, begin: int, end: int, tar: Tar) -> Packed:
        """Hand on a part of a file; its header is in the first one, whole."""
        view, owner = tar()
        head = size - tarfmt.padded(member.size)
        if begin == 0 and self._has_to_fit(member, bytes(view[head : head + 2])):
            return _packed((self._head(member), view[head:]), end, owner)
        return _packed((view,), end - begin, owner)

    def _has_to_fit(self, member: Member, beginning: bytes) -> bool:
        """Tell whether a file holds the prefix, or asks where it lies: the interpreter, and scripts, which look beside them."""
        if member.link is not None or member.directory:
            return False
        if member.text is not None or member.slots:
            return True
        directory, _, name = member.path.rpartition("/")
        if directory != "bin" or name in squashfs.OWN_SCRIPTS:
            return False
        return beginning == b"#!" or name in self._pythons

    def _head(self, member: Member) -> bytes:
        """Return the headers of the link at the file's own path, and of the file where it lies instead."""
        path, target = member.path, squashfs.link_target(member.path)
        link = tarfmt.header(path, tarfmt.LINK, mode=0o777, mtime=self._epoch, link=target)
        path = squashfs.FIT + path
        return link + tarfmt.header(path, tarfmt.FILE, mode=member.mode, size=member.size, mtime=self._epoch)


def _packed(parts: Sequence[Bytes], size: int, owner: object) -> Packed:
    # mksquashfs makes blocks of its own: where chunks end is written down nowhere.
    return Packed(parts, Chunk(sum(map(len, parts)), size, 0), owner)
