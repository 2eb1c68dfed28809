"""Squashfs images for tests: made by the packer or by hand; whether this machine mounts them; and what is mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from poncho.pack import PackedPackage
from poncho.pack import squashfs as form
from poncho.pack.layout import Facts
from tests.support.prefixes import packed, small_prefix

needs_tools = pytest.mark.skipif(
    not shutil.which("mksquashfs") or not shutil.which("unsquashfs"), reason="no squashfs-tools on this machine"
)
can_mount = pytest.mark.skipif(
    not shutil.which("squashfuse_ll")
    or not os.access("/dev/fuse", os.R_OK | os.W_OK)
    or (os.geteuid() != 0 and not shutil.which("fusermount3")),
    reason="images cannot be mounted on this machine: squashfuse_ll, /dev/fuse or fusermount3 is missing",
)


def small_image(directory: Path, **how: object) -> PackedPackage:
    """Pack a small prefix, without any Python, as ``directory/env.squashfs``."""
    prefix = small_prefix(directory / "prefix")
    (prefix / "bin/python3.11").unlink()
    (prefix / "bin/plain").write_text("no script\n")
    (prefix / "bin/say").write_text('#!/bin/sh\necho "$@"\n')
    for name in ("say", "plain"):
        (prefix / "bin" / name).chmod(0o755)
    return packed(prefix, directory / "env.squashfs", format="squashfs", **how)


def image_by_hand(
    tree: Path,
    image: Path,
    *options: str,
    compressor: str = "zstd",
    tables: bool = False,
    digest: str | None = "0" * 64,
) -> Path:
    """Make an image of the directory ``tree``; with a ``digest`` it has PONCHO's header.

    ``tables`` leaves everything uncompressed, so that names can be changed in it afterwards.
    """
    words: Sequence[str] = ("-noI", "-noD", "-noF") if tables else ()
    if digest is not None:
        (tree / "poncho").mkdir(exist_ok=True)
        (tree / "poncho/header").write_bytes(form.noise())
        first = image.with_suffix(".sort")
        first.write_text("poncho/header 32767\n")
        options = (*options, "-sort", str(first))
    argv = [
        "mksquashfs",
        tree,
        image,
        "-comp",
        compressor,
        "-b",
        str(form.BLOCK),
        "-quiet",
        "-no-progress",
        "-noappend",
    ]
    subprocess.run([*map(str, argv), *words, *options], check=True, capture_output=True)
    if digest is not None:
        form.write_header(image, digest, Facts("noarch", "", 10_000, 10_000_000, 0))
    return image


def mounts(directory: Path) -> list[str]:
    """Return the mount points of images below a directory."""
    lines = Path("/proc/mounts").read_text().splitlines()
    found = [line.split()[1].replace("\\040", " ") for line in lines if "squashfuse" in line or " squashfs " in line]
    return [path for path in found if path.startswith(f"{directory}/")]


def daemons(directory: Path) -> list[int]:
    """Return the squashfuse processes whose mount point is below a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"squashfuse_ll") and any(word.startswith(os.fsencode(directory)) for word in words):
                found.append(int(entry.name))
    return found


def unmount_all(directory: Path) -> None:
    """Take away every mount below a directory and wait until their daemons have ended."""
    for path in mounts(directory):
        command = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
        subprocess.run([*command, path], check=False, capture_output=True)
    limit = time.monotonic() + 10
    while daemons(directory) and time.monotonic() < limit:
        time.sleep(0.01)
