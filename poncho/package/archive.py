"""Open an archive as bytes of tar: what kind it is, its header, its index, and its stream, all within fixed limits."""

from __future__ import annotations

import bz2
import io
import lzma
import os
import re
import stat
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import zstandard
from isal import igzip, isal_zlib

from poncho.errors import PackageError
from poncho.pack import layout, selfextract
from poncho.pack.layout import CHUNK_LIMIT, Chunk, Facts, Footer, Format

_BLOCK = 512  # of tar
_HEAD = 4096
_COMMENT = bytes.fromhex("1f8b08100000000000ff")
_ZSTD_HEADER = b"PH" + layout.SIGNATURE.encode()
# Its stub types the exception as an instance.
_ISAL_ERROR = cast("type[Exception]", isal_zlib.error)
_URL = re.compile(r"[a-z][a-z0-9+]*:/")  # a Path has lost the second slash
_COPY_AGAIN = "copy the package again, or build it again"


class Stream(Protocol):
    """Bytes of tar, from the beginning; ``read`` gives fewer than asked for only at the end.

    ``skip`` passes over bytes without reading them, or returns False where they have to be read.
    """

    def read(self, size: int, /) -> bytes: ...

    def skip(self, size: int, /) -> bool: ...


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Index:
    """What surrounds the chunks of one of our archives. ``start`` is where the first chunk begins in the file."""

    form: Format
    digest: str
    facts: Facts
    start: int
    footer: Footer
    chunks: tuple[Chunk, ...]


def truncated(path: Path) -> PackageError:
    """Return the error for a file that ends too early or whose end is not what it should be."""
    return PackageError(f"{path}: truncated or damaged at its end", hint=_COPY_AGAIN, context={"path": str(path)})


def damaged(path: Path, what: str) -> PackageError:
    """Return the error for a file with wrong bytes in it."""
    return PackageError(f"{path}: damaged: {what}", hint=_COPY_AGAIN, context={"path": str(path)})


def no_package(path: Path) -> PackageError:
    """Return the error for a file that is something else altogether."""
    return PackageError(
        f"{path}: is not a package", hint="poncho_package_create makes one", context={"path": str(path)}
    )


def open_file(path: Path) -> BinaryIO:
    """Open a package file; of one that runs itself, the package behind the script.

    Raises PackageError when it is missing, no file, empty or unreadable.
    """
    try:
        stream = open(path, "rb", opener=_opener)  # noqa: SIM115  (the caller closes it)
    except IsADirectoryError as error:
        raise PackageError(
            f"{path}: is a directory, not a package file", hint="name the package itself, for example env.tar.gz"
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        hint = "download it, and name the file" if _URL.match(str(path)) else "check the path"
        raise PackageError(f"{path}: cannot be read ({why})", hint=hint) from error
    skip = selfextract.skip_of(stream.read(_HEAD))
    stream.seek(0)
    return stream if skip is None else cast("BinaryIO", io.BufferedReader(_Behind(stream, skip)))


def _opener(path: str, flags: int) -> int:
    """Open what can be read from its end, too; nobody waits for a pipe. Raises OSError, PackageError."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode):
        return descriptor
    os.close(descriptor)
    raise PackageError(
        f"{path}: is a pipe or a device, and a package is read from its end, too", hint="write it to a file first"
    )


class _Behind(io.RawIOBase):
    """The package in a file that begins with ``skip`` bytes of script."""

    def __init__(self, stream: BinaryIO, skip: int) -> None:
        self._stream = stream
        self._skip = skip
        stream.seek(skip)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET:
            offset += self._skip
        return max(0, self._stream.seek(offset, whence) - self._skip)

    def close(self) -> None:
        self._stream.close()
        super().close()


def read_index(path: Path, stream: BinaryIO) -> Index | None:
    """Return the index of one of our packages; None when the file has no such header.

    Raises PackageError when it has one, but the rest does not fit to it.
    """
    stream.seek(0)
    head = stream.read(_HEAD)
    if head.startswith(_COMMENT + layout.SIGNATURE.encode()):
        form: Format = "tar.gz"
        text, header = _gzip_comment(path, head)
    elif head[8:].startswith(_ZSTD_HEADER):
        form = "tar.zst"
        size = int.from_bytes(head[4:8], "little")
        header = head[: 8 + size]
        text = header[10:]
        if head[:4] != bytes.fromhex("502a4d18") or len(header) != 8 + size:
            raise damaged(path, "its header")
    else:
        return None
    said = layout.read_comment(text)
    if said is None:
        raise damaged(path, "its header")
    digest, facts = said
    footer, chunks = _table(path, stream, form, len(header))
    stream.seek(end := len(header) + sum(chunk.packed for chunk in chunks))
    last = stream.read(min(footer.table_offset - end, _HEAD))
    if zlib.crc32(header + last) != footer.frame_crc or header != layout.header(form, digest, facts):
        raise damaged(path, "its header")
    return Index(form, digest, facts, len(header), footer, chunks)


def _gzip_comment(path: Path, head: bytes) -> tuple[bytes, bytes]:
    end = head.find(b"\0", len(_COMMENT))
    if end < 0:
        raise damaged(path, "its header")
    return head[len(_COMMENT) : end], head[: end + 1 + len(layout.EMPTY_TAIL)]


def _table(path: Path, stream: BinaryIO, form: Format, start: int) -> tuple[Footer, tuple[Chunk, ...]]:
    size = stream.seek(0, io.SEEK_END)
    extra = layout.extra_member(form)
    tail = layout.footer_size(form)
    frame = len(extra(b"", b""))
    if size < start + tail:
        raise truncated(path)
    stream.seek(size - tail)
    member = stream.read(tail)
    # Everything but the payload is fixed, so the member is rebuilt from it and compared.
    payload_at = 16 if form == "tar.gz" else 10
    payload = member[payload_at : payload_at + tail - frame - 2]
    if extra(b"PF", payload) != member:
        raise truncated(path)
    footer = Footer.decode(payload)
    sizes, length = layout.table_parts(form, footer)
    if footer.table_offset + length != size - tail or len(sizes) != footer.table_parts or length > size:
        raise truncated(path)
    stream.seek(footer.table_offset)
    table = b""
    for part in sizes:
        member = stream.read(part + frame + 2)
        payload = member[payload_at : payload_at + part]
        if extra(b"PI", payload) != member:
            raise damaged(path, "its chunk table")
        table += payload
    chunks = tuple(layout.decode_table(table))
    if (
        zlib.crc32(table) != footer.table_crc
        or sum(chunk.size for chunk in chunks) != footer.tar_bytes
        or any(not 0 < chunk.size <= CHUNK_LIMIT for chunk in chunks)
        or start + sum(chunk.packed for chunk in chunks) >= footer.table_offset
        or max(footer.boot_chunks, footer.meta_chunk) > len(chunks)
    ):
        raise damaged(path, "its chunk table")
    return footer, chunks


def chunk_data(path: Path, stream: BinaryIO, index: Index, first: int = 0) -> Iterator[bytes]:
    """Yield the tar bytes of the chunks from ``first`` on, and the end-of-archive blocks; one chunk at a time."""
    at = index.start + sum(chunk.packed for chunk in index.chunks[:first])
    stream.seek(at)
    for chunk in index.chunks[first:]:
        data = stream.read(chunk.packed)
        if isal_zlib.crc32(data) != chunk.crc:
            raise damaged(path, "a chunk has other bytes than its checksum says")
        yield _inflate(path, index.form, data, chunk.size)
        at += chunk.packed
    yield _inflate(path, index.form, stream.read(index.footer.table_offset - at), len(layout.END_OF_ARCHIVE))


def _inflate(path: Path, form: Format, data: bytes, size: int) -> bytes:
    try:
        if form == "tar.gz":
            worker = isal_zlib.decompressobj(-15)
            result = worker.decompress(data[10:], size + 1)
            tail = worker.unused_data
            checked = (
                data.startswith(layout.GZIP_HEAD)
                and worker.eof
                and len(tail) == 8
                and int.from_bytes(tail[:4], "little") == isal_zlib.crc32(result)
                and int.from_bytes(tail[4:], "little") == len(result)
            )
        else:
            frame = zstandard.ZstdDecompressor().decompressobj()
            declared = zstandard.frame_content_size(data)
            if declared != size:
                raise damaged(path, "a chunk is not as long as it should be")
            result = frame.decompress(data)
            checked = frame.eof and not frame.unused_data and zstandard.get_frame_parameters(data).has_checksum
    except (_ISAL_ERROR, zstandard.ZstdError, ValueError) as error:
        raise damaged(path, "a chunk cannot be decompressed") from error
    if not checked or len(result) != size:
        raise damaged(path, "a chunk has other bytes than its checksum says")
    return result


def ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces, each made by a thread while the one before is worked on: decompression needs no GIL."""
    with ThreadPoolExecutor(1, thread_name_prefix="poncho-read") as pool:
        coming = pool.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = pool.submit(next, pieces, None)
            yield piece


class ChunkStream:
    """A stream over pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        parts = []
        while size:
            if not self._left:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._left = memoryview(piece)
                continue
            part = self._left[:size]
            self._left = self._left[len(part) :]
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, size: int, /) -> bool:
        """Return False: each piece is checked by decompressing it."""
        return False


class ForeignStream:
    """A stream over a tar that others made, whatever compresses it; errors of the decompressor become PackageError."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path = path
        self._file = stream
        stream.seek(0)
        head = stream.read(8)
        stream.seek(0)
        self._stream: _Readable
        if head[:2] == b"\x1f\x8b":
            self._stream = igzip.IGzipFile(fileobj=stream)  # type: ignore[no-untyped-call]
        elif head[:4] == b"\x28\xb5\x2f\xfd":
            self._stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
                stream, read_across_frames=True
            )
        elif head[:3] == b"BZh":
            self._stream = bz2.BZ2File(stream)
        elif head[:6] == b"\xfd7zXZ\0":
            self._stream = lzma.LZMAFile(stream)  # noqa: SIM115
        else:
            self._stream = stream
        self.is_compressed = self._stream is not stream
        self._first = b""
        self._first = self.read(_BLOCK)
        if self._first[257:262] != b"ustar" and self._first != bytes(_BLOCK):
            raise no_package(path)

    def skip(self, size: int, /) -> bool:
        """Pass over bytes of a tar that is not compressed; one that ends too early is found by the next ``read``."""
        if self.is_compressed:
            return False
        self._file.seek(size, io.SEEK_CUR)
        return True

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        parts = [self._first[:size]]
        self._first = self._first[size:]
        size -= len(parts[0])
        try:
            while size:
                part = self._stream.read(size)
                if not part:
                    break
                parts.append(part)
                size -= len(part)
        except (EOFError, OSError, zlib.error, _ISAL_ERROR, lzma.LZMAError, zstandard.ZstdError, ValueError) as error:
            raise truncated(self._path) from error
        return b"".join(parts)
