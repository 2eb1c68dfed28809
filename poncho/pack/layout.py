"""The bytes around the tar stream: header comment, chunk table, footer (``docs/format.md``, "gzip layout").

Gzip carries them in empty members (RFC 1952: FCOMMENT and FEXTRA), zstd in skippable frames (RFC 8878, section 3.1.2).
A plain tar carries none of them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from poncho.errors import PackageError, UsageError

Format = Literal["tar.gz", "tar.zst", "tar", "squashfs", "sh", "dir"]
# The formats, with the suffixes that ask for each; anything else is a tar.gz, which older callers leave without a suffix.
SUFFIXES: Final[Mapping[Format, tuple[str, ...]]] = {
    "tar.gz": (".tar.gz", ".tgz"),
    "tar.zst": (".tar.zst", ".tzst"),
    "tar": (".tar",),
    "squashfs": (".squashfs", ".sqfs", ".sfs"),
    "sh": (".sh",),
    "dir": ("/",),
}
# Suffixes of formats that PONCHO does not write; a tar.gz of such a name would mislead those who get it.
_OTHERS: Final = (
    *(".zip", ".7z", ".rar", ".xz", ".txz", ".bz2", ".tbz2", ".lz4", ".lzma", ".zst", ".gz", ".conda", ".whl"),
    *(".img", ".iso", ".sif", ".dmg", ".exe", ".deb", ".rpm"),
)

MIB: Final = 1 << 20
CHUNK_LIMIT: Final = 4 * MIB
PLACEHOLDER: Final = ("/poncho" + "_placeholder" * 21)[:255]
PLACEHOLDER_BYTES: Final = PLACEHOLDER.encode()

GZIP_HEAD: Final = bytes.fromhex("1f8b08000000000000ff")
EMPTY_TAIL: Final = b"\x03\x00" + bytes(8)
SIGNATURE: Final = "PONCHO-PACKAGE 1"
# So many hexadecimal digits of the digest, its first half, name an environment in a store.
KEY: Final = 32
END_OF_ARCHIVE: Final = bytes(1024)

_FACTS_WIDTH = 127
# Of bytes below 0x80 and no newline, so that a shell reads over them in any locale.
_ZSTD_HEADER_SIZE = 0x0120
_ZSTD_SKIPPABLE = 0x184D2A50
_CONTINUES = 1 << 31
_ENTRY = struct.Struct("<III")
_TABLE_PART = 5000  # entries: an FEXTRA field holds at most 65,535 bytes
_FOOTER = struct.Struct("<8sQQQIIIIIII")
_MAGIC = b"PONCHO1\n"


def formats() -> tuple[Format, ...]:
    """Return the names of all formats, the default first."""
    return get_args(Format)


def format_of(output: str) -> Format:
    """Return the format that an output's suffix asks for. Raises UsageError for a suffix of something else."""
    for form, suffixes in SUFFIXES.items():
        if output.endswith(suffixes):
            return form
    wrong = next((suffix for suffix in _OTHERS if output.lower().endswith(suffix)), None)
    if wrong is not None:
        known = ", ".join(suffixes[0] for suffixes in SUFFIXES.values())
        raise UsageError(
            f"{output}: PONCHO writes no {wrong} files", hint=f"use another suffix ({known}), or say --format tar.gz"
        )
    return "tar.gz"


def family(form: Format) -> Format:
    """Return the archive that a format is made of: a self-extracting script ends in an ordinary tar.gz."""
    return "tar.gz" if form == "sh" else form


@dataclass(frozen=True, slots=True)
class Chunk:
    """One independently compressed piece of the tar stream.

    ``packed`` and ``size`` are its bytes compressed and not; ``crc`` is the CRC-32 of the compressed ones: some changed bits
    decompress to the same content, and are found all the same. ``continues`` when it begins inside a file's data.
    """

    packed: int
    size: int
    crc: int
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the header says besides the digest: enough for a node to decide before it unpacks anything."""

    platform: str
    glibc: str
    files: int
    bytes: int
    boot: int
    cpu: str = ""

    def line(self) -> str:
        """Return the words, padded to their fixed width."""
        words = (
            f"platform={self.platform} glibc={self.glibc or 0} files={self.files} bytes={self.bytes} boot={self.boot}"
        )
        return (f"{words} cpu={self.cpu}" if self.cpu else words).ljust(_FACTS_WIDTH)

    @classmethod
    def parse(cls, line: str) -> Facts:
        """Read the words. Raises PackageError when some are missing."""
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        try:
            glibc = words["glibc"]
            return cls(
                words["platform"],
                "" if glibc == "0" else glibc,
                int(words["files"]),
                int(words["bytes"]),
                int(words["boot"]),
                words.get("cpu", ""),
            )
        except (KeyError, ValueError) as error:
            raise PackageError("the package's header is damaged", hint="copy or build the package again") from error


@dataclass(frozen=True, slots=True)
class Footer:
    """Where the chunk table lies and what it must add up to. ``tar_bytes`` leaves the end-of-archive blocks out.

    ``frame_crc`` is the CRC-32 of the header and the end-of-archive member.
    """

    table_offset: int
    tar_bytes: int
    files: int
    table_parts: int
    chunks: int
    boot_chunks: int
    meta_chunk: int
    table_crc: int
    frame_crc: int

    def encode(self) -> bytes:
        """Return the payload, closed by a CRC-32 of itself."""
        fields = (
            self.table_offset,
            self.tar_bytes,
            self.files,
            self.table_parts,
            self.chunks,
            self.boot_chunks,
            self.meta_chunk,
            self.table_crc,
            self.frame_crc,
        )
        payload = _FOOTER.pack(_MAGIC, *fields, 0)
        return payload[:-4] + zlib.crc32(payload[:-4]).to_bytes(4, "little")

    @classmethod
    def decode(cls, payload: bytes) -> Footer:
        """Read the payload. Raises PackageError when it is damaged."""
        if len(payload) != _FOOTER.size or payload[:8] != _MAGIC:
            raise PackageError("the package's end is missing or damaged", hint="copy the package again")
        _, *fields, crc = _FOOTER.unpack(payload)
        if crc != zlib.crc32(payload[:-4]):
            raise PackageError("the package's footer is damaged", hint="copy the package again")
        return cls(*fields)


def comment(digest: str, facts: Facts) -> bytes:
    """Return the header's text: the signature, the key, and the rest of the digest with the facts, on a line each.

    The key comes alone, because a shell reads byte by byte, and no more than it at each start.
    """
    return f"{SIGNATURE}\n{digest[:KEY]}\n{digest[KEY:]} {facts.line()}\n".encode()


def read_comment(text: bytes) -> tuple[str, Facts] | None:
    """Return the digest and the facts of a header's text, which may go on; None when it has no digest.

    Raises PackageError when the facts are damaged.
    """
    lines = text.decode("ascii", "replace").split("\n")
    if len(lines) < 3:
        return None
    rest, _, facts = lines[2].partition(" ")
    digest = lines[1] + rest
    if len(lines[1]) != KEY or len(digest) != 2 * KEY or not set(digest) <= set("0123456789abcdef"):
        return None
    return digest, Facts.parse(facts)


def gzip_header(text: bytes) -> bytes:
    """Return the empty gzip member whose FCOMMENT is ``text``."""
    return bytes.fromhex("1f8b08100000000000ff") + text + b"\0" + EMPTY_TAIL


def gzip_extra(kind: bytes, payload: bytes) -> bytes:
    """Return the empty gzip member whose FEXTRA has one subfield ``kind`` with ``payload``."""
    field = kind + struct.pack("<H", len(payload)) + payload
    return bytes.fromhex("1f8b08040000000000ff") + struct.pack("<H", len(field)) + field + EMPTY_TAIL


def zstd_extra(kind: bytes, payload: bytes) -> bytes:
    """Return the skippable zstd frame that holds ``kind`` and ``payload``."""
    return struct.pack("<II", _ZSTD_SKIPPABLE, len(kind) + len(payload)) + kind + payload


def header(form: Format, digest: str, facts: Facts) -> bytes:
    """Return what comes before the first chunk, always of the same length for one format; nothing for those without one."""
    text = comment(digest, facts)
    if family(form) == "tar.gz":
        return gzip_header(text)
    return zstd_extra(b"PH", text.ljust(_ZSTD_HEADER_SIZE - 2)) if form == "tar.zst" else b""


def extra_member(form: Format) -> Callable[[bytes, bytes], bytes]:
    """Return the function that hides a payload between compressed members of the format."""
    return gzip_extra if family(form) == "tar.gz" else zstd_extra


def encode_table(chunks: Sequence[Chunk]) -> list[bytes]:
    """Return the chunk table in payloads that fit an FEXTRA field each."""
    entries = [
        _ENTRY.pack(chunk.packed, chunk.size | (_CONTINUES if chunk.continues else 0), chunk.crc) for chunk in chunks
    ]
    return [b"".join(entries[at : at + _TABLE_PART]) for at in range(0, len(entries), _TABLE_PART)]


def decode_table(table: bytes) -> list[Chunk]:
    """Read the joined payloads of the chunk table."""
    return [
        Chunk(packed, size & ~_CONTINUES, crc, bool(size & _CONTINUES))
        for packed, size, crc in _ENTRY.iter_unpack(table)
    ]


def table_parts(form: Format, footer: Footer) -> tuple[list[int], int]:
    """Return the payload size of each part of the table, and the bytes that all take in the file, framed."""
    sizes = [min(_TABLE_PART, footer.chunks - at) * _ENTRY.size for at in range(0, footer.chunks, _TABLE_PART)]
    framing = len(extra_member(form)(b"PI", b""))
    return sizes, sum(sizes) + framing * len(sizes)


def footer_size(form: Format) -> int:
    """Return how many bytes the footer takes at the end of the file."""
    return len(extra_member(form)(b"PF", bytes(_FOOTER.size)))
