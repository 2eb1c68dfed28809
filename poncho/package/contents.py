"""The lines of ``poncho/contents`` as values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from poncho.errors import PackageError
from poncho.pack.relocation import unescape


@dataclass(frozen=True, slots=True)
class Item:
    """One member of a package: path, kind, and for a file its sha256, mode and size; for a link its target."""

    path: str
    kind: Literal["file", "link", "directory"]
    sha256: str = ""
    mode: int = 0
    size: int = 0
    target: str = ""


def parse(data: bytes) -> Iterator[Item]:
    """Yield the items of a ``poncho/contents`` file. Raises PackageError for a line that is none."""
    for line in data.split(b"\n")[:-1]:
        match line.split(b"\t"):
            case [b"link", target, path]:
                yield Item(_text(path), "link", target=_text(target))
            case [b"directory", path]:
                yield Item(_text(path), "directory")
            case [sha256, mode, size, path] if len(sha256) == 64 and mode.isdigit() and size.isdigit():
                yield Item(_text(path), "file", sha256.decode("ascii", "replace"), _octal(mode), int(size))
            case _:
                raise PackageError("the package's list of contents is damaged", hint="copy the package again")


def _text(field: bytes) -> str:
    return os.fsdecode(unescape(field))


def _octal(field: bytes) -> int:
    try:
        return int(field, 8)
    except ValueError:
        raise PackageError("the package's list of contents is damaged", hint="copy the package again") from None
