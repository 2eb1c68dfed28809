"""Archives made by hand, member by member: the good, the broken and the hostile."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

TYPES = {
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "directory": tarfile.DIRTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def entry(
    name: str, content: bytes = b"x", kind: str | bytes = "file", to: str = "", **fields: Any
) -> tuple[tarfile.TarInfo, bytes]:
    """Return one tar member; ``fields`` set attributes of its TarInfo."""
    info = tarfile.TarInfo(name)
    if kind != "file":
        info.type, content = (TYPES[kind] if isinstance(kind, str) else kind), b""
    info.linkname, info.size, info.mtime = to, len(content), 1_600_000_000
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(path: Path, *entries: tuple[tarfile.TarInfo, bytes], mode: str = "w", format: int = tarfile.PAX_FORMAT) -> Path:
    """Write a tar with these members as they are, however wrong."""
    with tarfile.open(path, mode, format=format) as archive:  # type: ignore[call-overload]
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, *entries: tuple[str, bytes, int], flag: int = 0) -> Path:
    """Write a zip of ``(name, content, unix mode)``; a mode of S_IFLNK makes a link to ``content``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo("placeholder", (2020, 1, 2, 3, 4, 6))
            info.filename = name
            info.external_attr = (mode or stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    if flag:
        raw = bytearray(path.read_bytes())
        raw[6] |= flag
        at = raw.rfind(b"PK\x01\x02")
        raw[at + 8] |= flag
        path.write_bytes(raw)
    return path
