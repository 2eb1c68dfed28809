"""Write a package as a squashfs image (``docs/format.md``, "squashfs images"): mksquashfs reads our tar stream.

An image is read where it is mounted, so nothing in it can be relocated. The few files that depend on where the environment
lies are packed below ``poncho/fit/``, and at their own path there is a link to ``poncho/fitted/``, beside the directory
that the image is mounted on: there the runner puts them, relocated (``docs/adr/0015-mounted-by-links.md``).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final

from poncho.errors import BuildError
from poncho.pack import tarfmt
from poncho.pack.layout import Facts, comment
from poncho.pack.model import PackOptions

HEADER: Final = "poncho/header"
FIT: Final = "poncho/fit/"
BLOCK: Final = 128 << 10
# These work in an image that was unpacked by hand, too; the runner copies them.
OWN_SCRIPTS: Final = frozenset(("run_in_env", "conda-unpack", "poncho_package_run"))

_SUPERBLOCK = 96
_HAS_OPTIONS = 0x400
_DEFAULTS = {"zstd": 3, "gzip": 6}
_MEMORY = "192M"  # for its queues; what it needs besides is about half as much
_HINT = "install squashfs-tools 4.5 or newer (apt-get install squashfs-tools), or write a .tar.gz"
_NO_SPACE = "No space left"


def check_tool() -> str:
    """Return the path of mksquashfs. Raises BuildError when this machine has none."""
    found = shutil.which("mksquashfs")
    if found is None:
        raise BuildError("a squashfs image is written by mksquashfs, which this machine does not have", hint=_HINT)
    return found


def link_target(path: str) -> str:
    """Return where the link at ``path`` of an image leads: to the relocated file beside the mounted image."""
    return "../" * (path.count("/") + 1) + "fitted/" + path


@cache
def noise() -> bytes:
    """Return a block of bytes that no compressor makes smaller: what ``poncho/header`` holds behind its text.

    So mksquashfs stores the block as it is, as the first one of the image, where the text can be written when the digest is
    known, and where a shell finds it.
    """
    return b"".join(hashlib.sha256(b"poncho %d" % number).digest() for number in range(BLOCK // 32))


def header_text(digest: str, facts: Facts) -> bytes:
    """Return what stands in the first bytes of the header.

    The superblock before it may end in the middle of what a shell takes for a character; so the text begins with newlines.
    """
    return b"\n" * 8 + comment(digest, facts)


def header_offset(head: bytes) -> int:
    """Return where the first data block begins in the image whose first bytes are ``head`` (at least 4 KiB of them)."""
    flags = int.from_bytes(head[24:26], "little")
    if not flags & _HAS_OPTIONS:
        return _SUPERBLOCK
    return _SUPERBLOCK + 2 + (int.from_bytes(head[_SUPERBLOCK : _SUPERBLOCK + 2], "little") & 0x7FFF)


class ImageFile:
    """mksquashfs at work: the tar stream goes into ``stream``, a descriptor, and the image into the file ``path``."""

    def __init__(self, path: Path, options: PackOptions, epoch: int) -> None:
        self._path = path
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process
        argv = [check_tool(), "-", os.fspath(path), "-tar", "-noappend", "-b", str(BLOCK), *_compression(options)]
        argv += ["-no-xattrs", "-all-root", "-root-mode", "755", "-processors", str(options.workers()), "-mem", _MEMORY]
        argv += [word for what in ("mkfs", "all", "root") for word in (f"-{what}-time", str(epoch))]
        # SOURCE_DATE_EPOCH is refused beside these options.
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TMPDIR": os.fspath(path.parent)}
        self._process = subprocess.Popen(
            [*argv, "-quiet", "-no-progress"],
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self.stream = self._process.stdin.fileno()

    def __enter__(self) -> ImageFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None and not issubclass(kind, BrokenPipeError):
            self._process.kill()
        try:
            assert self._process.stdin is not None
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()
        with self._said:
            self._said.seek(0)
            said = self._said.read().decode("utf-8", "replace").strip()
        if kind is None or issubclass(kind, BrokenPipeError):
            self._check(said)

    def _check(self, said: str) -> None:
        if self._process.returncode == 0:
            return
        if _NO_SPACE in said:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reason = next((line for line in said.splitlines() if line.strip()), f"status {self._process.returncode}")
        raise BuildError(f"mksquashfs cannot write the image: {reason}", hint=_HINT, context={"output": said[-2000:]})


def header_member(epoch: int) -> bytes:
    """Return the tar member that must come first: the header, still without its text."""
    return tarfmt.header(HEADER, tarfmt.FILE, mode=0o644, size=BLOCK, mtime=epoch) + noise()


def write_header(path: Path, digest: str, facts: Facts) -> None:
    """Write the header's text into the image ``path``. Raises BuildError when its place is not found."""
    with path.open("r+b", buffering=0) as stream:
        at = header_offset(os.pread(stream.fileno(), 4096, 0))
        if os.pread(stream.fileno(), 4096, at) != noise()[:4096]:
            raise BuildError("mksquashfs did not store the package's header as it was given", hint=_HINT)
        os.pwrite(stream.fileno(), header_text(digest, facts), at)


def _compression(options: PackOptions) -> list[str]:
    level = options.level if options.level is not None else _DEFAULTS[options.compression]
    return ["-comp", options.compression, "-Xcompression-level", str(level)]
