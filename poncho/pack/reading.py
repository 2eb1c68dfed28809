"""Read the files of a prefix: whole or in pieces, and never twice as something else."""

from __future__ import annotations

import os

from poncho._regular import opener
from poncho.errors import BuildError
from poncho.pack.model import Entry
from poncho.pack.pyc import source_of
from poncho.pack.walk import cannot_read


class Source:
    """A large file that several threads read in pieces; ``patches`` (offset, bytes) are put over what is in it."""

    def __init__(self, entry: Entry) -> None:
        self.patches: tuple[tuple[int, bytes], ...] = ()
        self._entry = entry
        self._fd = _open(entry)

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``, fewer only at the end, without patches.

        Raises BuildError when it cannot be read.
        """
        cut = self._entry.cut
        if cut is None:
            return self._read(offset, size)
        data = self._read(offset, max(0, min(size, cut.end - offset)))
        if offset < len(cut.head):
            data = cut.head[offset : offset + size] + data[len(cut.head) - offset :]
        beyond = max(0, offset - cut.end)
        return data + cut.tail[beyond : max(beyond, offset + size - cut.end)]

    def fill(self, view: memoryview, offset: int) -> None:
        """Fill ``view`` with what is at ``offset``, with patches. Raises BuildError when the file has become shorter."""
        if self._entry.cut is not None:
            data = self.read(offset, len(view))
            if len(data) != len(view):
                raise changed_meanwhile(self._entry)
            view[:] = data
        else:
            self._fill(view, offset)
        end = offset + len(view)
        for at, patch in self.patches:
            if at < end and at + len(patch) > offset:
                first, last = max(at, offset), min(at + len(patch), end)
                view[first - offset : last - offset] = patch[first - at : last - at]

    def _fill(self, view: memoryview, offset: int) -> None:
        while view:
            try:
                found = os.preadv(self._fd, [view], offset)
            except OSError as error:
                raise cannot_read(self._entry.path, error) from error
            if not found:
                raise changed_meanwhile(self._entry)
            view, offset = view[found:], offset + found

    def _read(self, offset: int, size: int) -> bytes:
        try:
            data = os.pread(self._fd, size, offset)
            while data and len(data) < size:
                more = os.pread(self._fd, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise cannot_read(self._entry.path, error) from error
        return data

    def close(self) -> None:
        """Close the file; a second time is no error."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


def read_into(entry: Entry, view: memoryview) -> None:
    """Fill the first ``entry.size`` bytes of ``view``, which is longer, with a file's content, as ``read_whole`` does."""
    if entry.cut is not None:
        view[: entry.size] = read_whole(entry)
        return
    fd = _open(entry)
    try:
        found = os.readv(fd, [view[: entry.size + 1]])
        while 0 < found < entry.size:
            more = os.readv(fd, [view[found : entry.size + 1]])
            if not more:
                break
            found += more
    except OSError as error:
        raise cannot_read(entry.path, error) from error
    finally:
        os.close(fd)
    if found != entry.size:
        raise changed_meanwhile(entry)


def read_whole(entry: Entry) -> bytes:
    """Return a file's content. Raises BuildError when it cannot be read or has changed its size."""
    if entry.cut is not None:
        source = Source(entry)
        try:
            data = source.read(0, entry.size)
        finally:
            source.close()
        if len(data) != entry.size:
            raise changed_meanwhile(entry)
        return data
    fd = _open(entry)
    try:
        data = os.read(fd, entry.size + 1)
        while len(data) < entry.size:
            more = os.read(fd, entry.size + 1 - len(data))
            if not more:
                break
            data += more
    except OSError as error:
        raise cannot_read(entry.path, error) from error
    finally:
        os.close(fd)
    if len(data) != entry.size:
        raise changed_meanwhile(entry)
    return data


def changed_meanwhile(entry: Entry) -> BuildError:
    """Return the error that names a file that something else changed while it was packed."""
    return BuildError(
        f"{entry.path}: changed while it was packed",
        hint="let nothing write into the environment while it is packed, then try again",
        context={"path": entry.path},
    )


def source_for(entry: Entry) -> tuple[bytes, int] | None:
    """Return the content and time of the source that ``entry`` was compiled from, None when there is none."""
    path = source_of(entry.path)
    if path is None:
        return None
    if entry.compiled_from is not None:
        name = entry.compiled_from
    elif entry.source is not None and entry.source.endswith(entry.path):
        name = entry.source[: -len(entry.path)] + path
    else:
        return None
    try:
        with open(name, "rb", opener=opener) as stream:
            return stream.read(), int(os.fstat(stream.fileno()).st_mtime)
    except OSError:
        return None


def _open(entry: Entry) -> int:
    assert entry.source is not None
    try:
        return os.open(entry.source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # perhaps a pipe by now
    except FileNotFoundError as error:
        raise changed_meanwhile(entry) from error
    except OSError as error:
        raise cannot_read(entry.path, error) from error
