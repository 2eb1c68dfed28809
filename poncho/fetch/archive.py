"""Unpack a tar or zip archive that nobody vouches for into a new directory, and nowhere else.

Refused with the member's name: absolute names, ``..``, control characters, members below a link, links that lead
outside, hard links to anything but an earlier regular file, devices and FIFOs, names that come twice, encrypted and
damaged members, a missing end, and more than ``Limits`` allows. Owners, setuid bits and write bits of the archive are
not taken over.
"""

from __future__ import annotations

import errno
from pathlib import Path

from poncho.errors import FetchError
from poncho.fetch.compression import DAMAGED, describe_content, open_decompressed, sniff
from poncho.fetch.limits import Limits, Meter
from poncho.fetch.tarball import unpack_tar
from poncho.fetch.tree import Tree
from poncho.fetch.zipball import unpack_zip
from poncho.store import atomic_directory

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def extract(
    archive: Path,
    destination: Path,
    kind: str,
    compression: str | None = None,
    *,
    limits: Limits | None = None,
    label: str | None = None,
) -> None:
    """Unpack ``archive`` (``kind`` is ``tar`` or ``zip``) to the new directory ``destination``, whole or not at all.

    ``compression`` of a tar is ``gzip``, ``bz2``, ``xz`` or ``zst``; None finds it by the first bytes. ``limits``
    default to ``Limits.from_environment()``. ``label`` stands for the archive in messages.

    Raises FetchError for an archive that is damaged, hostile or of another kind, and for a destination that exists;
    BuildError when the disk is full.
    """
    label = label or archive.name
    bounds = limits or Limits.from_environment()
    with atomic_directory(destination) as private:
        if private is None:
            raise FetchError(f"{destination}: exists already", context={"path": str(destination)})
        try:
            meter = Meter(bounds, archive.stat().st_size, label)
            with Tree(private) as tree:
                if kind == "zip":
                    unpack_zip(archive, tree, meter, label)
                else:
                    with open_decompressed(archive, compression or sniff(archive)) as stream:
                        unpack_tar(stream, tree, meter, label)
        except DAMAGED as error:
            raise damaged(archive, label, kind, error) from error
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise
            if error.errno is None:
                raise damaged(archive, label, kind, error) from error
            raise FetchError(f"{label}: cannot be unpacked to {destination} ({error.strerror})") from error


def damaged(archive: Path, label: str, kind: str, error: Exception) -> FetchError:
    """Return the error for content that could not be read as what it was said to be."""
    return FetchError(
        f"{label}: is no whole {kind} file ({str(error) or type(error).__name__})",
        hint=f"it seems to be {describe_content(archive)}; check the address, `type` and `compression`",
    )
