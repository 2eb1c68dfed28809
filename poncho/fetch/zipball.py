"""Read a zip archive member by member, with no trust. ``zipfile`` parses it and checks each member's CRC."""

from __future__ import annotations

import calendar
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from poncho.errors import FetchError
from poncho.fetch.limits import Meter
from poncho.fetch.names import UnsafeNameError, member_parts, printable
from poncho.fetch.tree import Tree, set_time

_CHUNK = 256 << 10
_ENCRYPTED = 0x1
_LONGEST_TARGET = 4096
_UNREADABLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    ValueError,
    OverflowError,
    LookupError,
    AttributeError,
    TypeError,
    struct.error,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)
# End of central directory, its zip64 locator and record: APPNOTE.TXT 6.3.10, sections 4.3.16, 4.3.15 and 4.3.14.
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")


def unpack_zip(archive: Path, tree: Tree, meter: Meter, label: str) -> None:
    """Write every member of ``archive`` into ``tree``. Raises FetchError that names the member and the reason."""
    try:
        _check_directory_size(archive, meter, label)
        with zipfile.ZipFile(archive) as source:
            for member in source.infolist():
                meter.member(member.file_size)
                try:
                    _place(source, member, tree, meter)
                except UnsafeNameError as error:
                    raise FetchError(
                        f"{label}: member {printable(member.orig_filename)!r} {error}",
                        hint="nothing was unpacked; ask whoever made the archive, or unpack it by hand and look",
                    ) from error
    except _UNREADABLE as error:
        raise FetchError(
            f"{label}: is no whole zip file ({str(error) or type(error).__name__})",
            hint="it is damaged, uses an unknown compression, or `type` does not fit it",
        ) from error


def _place(source: zipfile.ZipFile, member: zipfile.ZipInfo, tree: Tree, meter: Meter) -> None:
    if member.flag_bits & _ENCRYPTED:
        raise UnsafeNameError("is encrypted")
    # zipfile cuts names at NUL and does nothing about Windows separators; both can hide where a member really goes.
    if "\0" in member.orig_filename:
        raise UnsafeNameError("has a control character in its name")
    if "\\" in member.orig_filename:
        raise UnsafeNameError("has a backslash in its name")
    parts = member_parts(member.filename)
    mode = member.external_attr >> 16
    if member.is_dir():
        tree.directory(parts)
    elif not parts:
        raise UnsafeNameError("stands for the archive's own root")
    elif stat.S_ISLNK(mode):
        if member.file_size > _LONGEST_TARGET:
            raise UnsafeNameError("has a link target that is too long")
        tree.symlink(parts, source.read(member).decode("utf-8", "surrogateescape"))
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise UnsafeNameError("is neither file, directory nor link")
    else:
        with source.open(member) as stream, tree.file(parts, executable=bool(mode & 0o111)) as output:
            while data := stream.read(_CHUNK):
                meter.stream(len(data))
                output.write(data)
            # The time in a zip has no zone: taken as UTC, so that it is the same everywhere.
            set_time(output, calendar.timegm((*member.date_time, 0, 0, 0)))


def _check_directory_size(archive: Path, meter: Meter, label: str) -> None:
    # zipfile reads the whole central directory into memory, so its size is looked at first.
    size = archive.stat().st_size
    with archive.open("rb") as stream:
        stream.seek(max(0, size - 65535 - _END.size - _LOCATOR.size))
        base = stream.tell()
        tail = stream.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise zipfile.BadZipFile("its end is missing")
        members, directory = _END.unpack_from(tail, at)[4:6]
        locator = at - _LOCATOR.size
        if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
            stream.seek(min(_LOCATOR.unpack_from(tail, locator)[2], base + locator))
            record = stream.read(_END64.size)
            if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
                members, directory = _END64.unpack(record)[7:9]
    bound = meter.limits.members
    if members > bound or directory > bound * 1024:
        raise FetchError(
            f"{label}: holds more than {bound:,} members",
            hint="if you trust this file, set PONCHO_MAX_EXTRACT_MEMBERS to the most members that it may hold",
        )
