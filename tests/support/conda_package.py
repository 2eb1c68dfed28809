"""Write conda packages (``.conda`` and ``.tar.bz2``) from files held in memory.

The layout is conda-build's: ``info/index.json``, ``info/paths.json`` (version 1), ``info/files``, ``info/about.json``
and, for noarch Python packages, ``info/link.json``. Nothing of poncho's is used here: a test channel that poncho wrote
would agree with poncho's mistakes.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from conda_package_streaming.create import conda_builder

# As conda-build makes it: 255 characters, so that any prefix up to that length fits into a binary.
PLACEHOLDER = ("/home/builder/conda-bld/work/_h_env_" + "placehold_" * 25)[:255]
TIMESTAMP = 1_700_000_000

_INDEX = """
import asyncio, os, sys
from rattler.index import index_fs
asyncio.run(index_fs(sys.argv[1], force=True))
sys.stdout.flush()
os._exit(0)
"""


def native_subdir() -> str:
    """Return this machine's conda subdir, such as ``linux-64``."""
    return {"x86_64": "linux-64", "aarch64": "linux-aarch64"}.get(platform.machine(), f"linux-{platform.machine()}")


@dataclass(frozen=True, slots=True)
class File:
    """A regular file; one that holds ``PLACEHOLDER`` is recorded as text or binary the way conda-build decides it."""

    data: bytes
    executable: bool = False

    @property
    def placeholder_mode(self) -> Literal["text", "binary"] | None:
        """Return how the prefix is to be replaced: a file with a NUL is binary."""
        if PLACEHOLDER.encode() not in self.data:
            return None
        return "binary" if b"\0" in self.data else "text"


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


Entry = File | Link


def text(content: str, *, executable: bool = False) -> File:
    """Return a text file; write ``{PREFIX}`` where the installed prefix belongs."""
    return File(content.replace("{PREFIX}", PLACEHOLDER).encode(), executable)


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """One conda package, ready to be written into a channel."""

    name: str
    version: str
    files: Mapping[str, Entry] = field(default_factory=dict)
    build_number: int = 0
    build_string: str | None = None
    noarch: Literal["python", "generic"] | None = None
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    entry_points: tuple[str, ...] = ()
    archive: Literal[".conda", ".tar.bz2"] = ".conda"
    license: str = "MIT"

    @property
    def build(self) -> str:
        """Return the build string."""
        prefix = "py" if self.noarch == "python" else "h0"
        return self.build_string or f"{prefix}_{self.build_number}"

    @property
    def stem(self) -> str:
        """Return the file name without its suffix."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def subdir(self) -> str:
        """Return the channel's sub-directory that the package belongs to."""
        return "noarch" if self.noarch else native_subdir()

    def write(self, channel: Path) -> Path:
        """Write the archive below ``channel`` (replacing one of the same name) and return its path."""
        directory = channel / self.subdir
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / f"{self.stem}{self.archive}"
        target.unlink(missing_ok=True)
        with _archive(target, self.stem) as archive:
            for name, data in self._info().items():
                _add(archive, f"info/{name}", File(data))
            for name, entry in sorted(self.files.items()):
                _add(archive, name, entry)
        return target

    def _info(self) -> dict[str, bytes]:
        index: dict[str, object] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": self.build_number,
            "depends": list(self.depends),
            "constrains": list(self.constrains),
            "license": self.license,
            "subdir": self.subdir,
            "timestamp": TIMESTAMP * 1000,
        }
        if self.noarch:
            index["noarch"] = self.noarch
        else:
            index |= {"platform": "linux", "arch": platform.machine()}
        paths = {"paths": [_path_record(*item) for item in sorted(self.files.items())], "paths_version": 1}
        info = {
            "index.json": _json(index),
            "paths.json": _json(paths),
            "files": "".join(f"{name}\n" for name in sorted(self.files)).encode(),
            "about.json": _json({"summary": f"{self.name}, for the tests of poncho", "license": self.license}),
        }
        if self.noarch == "python":
            noarch = {"type": "python", "entry_points": list(self.entry_points)}
            info["link.json"] = _json({"noarch": noarch, "package_metadata_version": 1})
        return info


def index(channel: Path) -> None:
    """Write ``repodata.json``, ``repodata.json.zst`` and the sharded index of every sub-directory.

    In a process of its own: rattler may crash at interpreter exit, and must not take the tests with it.
    """
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-c", _INDEX, str(channel)], check=True, stdout=subprocess.DEVNULL, timeout=120)


def _path_record(name: str, entry: Entry) -> dict[str, object]:
    if isinstance(entry, Link):
        data = b""
        record: dict[str, object] = {"_path": name, "path_type": "softlink"}
    else:
        data = entry.data
        record = {"_path": name, "path_type": "hardlink"}
        if entry.placeholder_mode:
            record |= {"prefix_placeholder": PLACEHOLDER, "file_mode": entry.placeholder_mode}
    return record | {"sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


@contextmanager
def _archive(target: Path, stem: str) -> Iterator[tarfile.TarFile]:
    if target.suffix == ".conda":
        # Level 9 takes a tenth of the time of the default 19; test packages are read once.
        with conda_builder(stem, target.parent, compression_level=9) as archive:
            yield archive
    else:
        with tarfile.open(target, "w:bz2") as archive:
            yield archive


def _add(archive: tarfile.TarFile, name: str, entry: Entry) -> None:
    member = tarfile.TarInfo(name)
    member.mtime = TIMESTAMP
    if isinstance(entry, Link):
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry.target, 0o777
        archive.addfile(member)
        return
    member.size = len(entry.data)
    member.mode = stat.S_IMODE(0o755 if entry.executable else 0o644)
    archive.addfile(member, io.BytesIO(entry.data))
