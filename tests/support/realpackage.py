"""A package with a Python that runs, made by the real packer: small enough to be broken a thousand times."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from filelock import FileLock

from poncho.pack import layout
from poncho.pack.compress import compressor
from tests.support.conda_package import PLACEHOLDER, File, Link
from tests.support.interpreter import PYTHON, interpreter_files
from tests.support.prefixes import UNPACKER, packed

_KEPT = {
    *("abc", "codecs", "genericpath", "io", "ntpath", "os", "posixpath", "site", "stat", "_collections_abc"),
    *("_sitebuiltins", "keyword", "operator", "reprlib", "types", "enum", "functools", "signal", "copyreg", "warnings"),
    *("linecache", "tokenize", "token"),  # CPython 3.13 keeps the lines of what -c runs
}
_DIRECTORIES = ("encodings/", "collections/", "importlib/", "re/")
# The last is no built-in module anywhere: an interpreter asks for the directory.
_DYNLOAD = ("zlib", "_struct", "_sha2", "_sha256", "_random", "_lsprof")
_LIBRARIES = ("libpython", "libz.", "libcrypt.", "libexpat.", "libzstd.")


def real_package(shared: Path) -> Path:
    """Return the package, made once for all workers. Read only."""
    target = shared / "real-package" / "env.tar.gz"
    target.parent.mkdir(exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.exists():
            prefix = _prefix(target.parent)
            packed(prefix, target.with_name("new.tar.gz")).path.rename(target)
    return target


def _prefix(scratch: Path) -> Path:
    prefix = scratch / "prefix"
    for name, entry in interpreter_files(scratch / "interpreter").items():
        if not _is_kept(name):
            continue
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Link):
            path.symlink_to(entry.target)
        elif isinstance(entry, File):
            path.write_bytes(entry.data.replace(PLACEHOLDER.encode(), str(prefix).encode()))
            path.chmod(0o755 if entry.executable else 0o644)
    texts = {
        "bin/where": f"#!/bin/sh\necho {prefix}\n",
        "etc/settings": f"root = {prefix}\nagain = {prefix}:{prefix}/lib\n",
        "conda-meta/history": "",
        **{f"share/many/{number}/file": f"{number} " * 200 for number in range(150)},
        "share/large": "".join(f"{number * number}\n" for number in range(700_000)),
    }
    for name, text in texts.items():
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name.startswith("bin/") else 0o644)
    return prefix


def _is_kept(name: str) -> bool:
    library = f"lib/{PYTHON}/"
    if not name.startswith(library):
        return name.startswith(("bin/python", *(f"lib/{word}" for word in _LIBRARIES)))
    rest = name[len(library) :]
    if rest.startswith("lib-dynload/"):
        return rest.removeprefix("lib-dynload/").startswith(_DYNLOAD)
    return rest.startswith(_DIRECTORIES) or rest.removesuffix(".py") in _KEPT


@dataclass
class Pieces:
    """A package taken apart: its compressed chunks, to be put together in another way."""

    header: bytes
    chunks: list[tuple[layout.Chunk, bytes]]
    files: int
    boot: int
    meta: int

    def write(self, path: Path) -> Path:
        """Write a package of these chunks: all framing right, whatever is inside."""
        end = compressor("tar.gz", None)(layout.END_OF_ARCHIVE)
        body = self.header + b"".join(blob for _, blob in self.chunks) + end
        table = layout.encode_table([chunk for chunk, _ in self.chunks])
        footer = layout.Footer(
            table_offset=len(body),
            tar_bytes=sum(chunk.size for chunk, _ in self.chunks),
            files=self.files,
            table_parts=len(table),
            chunks=len(self.chunks),
            boot_chunks=self.boot,
            meta_chunk=self.meta,
            table_crc=zlib.crc32(b"".join(table)),
            frame_crc=zlib.crc32(self.header + end),
        )
        ends = [layout.gzip_extra(b"PI", part) for part in table]
        path.write_bytes(body + b"".join(ends) + layout.gzip_extra(b"PF", footer.encode()))
        return path


def take_apart(package: Path) -> Pieces:
    """Take a package apart."""
    reader = ModuleType("unpack")
    reader.__file__ = str(UNPACKER)
    exec(compile(UNPACKER.read_text(), UNPACKER, "exec"), reader.__dict__)
    data = package.read_bytes()
    with package.open("rb") as stream:
        index = reader.Index(stream.fileno())
    chunks = [
        (layout.Chunk(packed, size, crc, continues), data[at : at + packed])
        for at, packed, size, continues, crc in index.chunks
    ]
    return Pieces(index.header, chunks, index.files, index.boot, index.meta)


def chunk_of(tar: bytes) -> tuple[layout.Chunk, bytes]:
    """Return some whole tar members as one more chunk."""
    blob = compressor("tar.gz", None)(tar)
    return layout.Chunk(len(blob), len(tar), zlib.crc32(blob)), blob
