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
    # Decoded as a whole: there are tens of thousands of lines, and hardly one holds an escape.
    for line in os.fsdecode(data).split("\n")[:-1]:
        fields = line.split("\t")
        if "\\" in line:
            fields = [os.fsdecode(unescape(os.fsencode(field))) for field in fields]
        match fields:
            case ["link", target, path]:
                yield Item(path, "link", target=target)
            case ["directory", path]:
                yield Item(path, "directory")
            case [sha256, mode, size, path] if len(sha256) == 64 and _is_number(mode) and _is_number(size):
                try:
                    yield Item(path, "file", sha256, int(mode, 8), int(size))
                except ValueError:
                    raise _damaged() from None
            case _:
                raise _damaged()


def _is_number(field: str) -> bool:
    return field.isdigit() and field.isascii() and len(field) <= 18


def _damaged() -> PackageError:
    return PackageError("the package's list of contents is damaged", hint="copy the package again")
