"""Names that come from archives and repositories: judged as text, before anything touches the file system.

The rules are lexical on purpose: ``tarfile``'s own filters ask the file system, which CVE-2025-4517 showed to be
answerable by the archive itself.
"""

from __future__ import annotations

import unicodedata

_LONGEST_PATH = 4000
_LONGEST_NAME = 255


class UnsafeNameError(Exception):
    """A name or link target that must not be used; the text says why."""


def member_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a relative path below the root; ``()`` is the root itself.

    Raises UnsafeNameError for names that are empty or absolute, lead upwards, hold control characters, or are too long.
    """
    if not name:
        raise UnsafeNameError("has an empty name")
    _check_characters(name, "its name")
    if name.startswith("/"):
        raise UnsafeNameError("has an absolute name")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise UnsafeNameError("leads outside with '..'")
    if len(name.encode("utf-8", "surrogateescape")) > _LONGEST_PATH or any(
        len(part.encode("utf-8", "surrogateescape")) > _LONGEST_NAME for part in parts
    ):
        raise UnsafeNameError("has a name that is too long")
    return parts


def check_link(parts: tuple[str, ...], target: str) -> None:
    """Accept ``target`` as that of the symbolic link at ``parts``: relative, and inside the root in every step.

    A ``..`` is taken only at the start: behind a name it means something else when that name is itself a link.
    Raises UnsafeNameError.
    """
    if not target:
        raise UnsafeNameError("links to nothing")
    _check_characters(target, "its link target")
    if target.startswith("/"):
        raise UnsafeNameError(f"links to the absolute path {target}")
    if len(target.encode("utf-8", "surrogateescape")) > _LONGEST_PATH:
        raise UnsafeNameError("has a link target that is too long")
    level = len(parts) - 1
    went_down = False
    for step in target.split("/"):
        if step in ("", "."):
            continue
        if step != "..":
            went_down = True
        elif went_down:
            raise UnsafeNameError(f"links to {target}, with '..' behind a name")
        elif level == 0:
            raise UnsafeNameError(f"links to {target}, which is outside")
        else:
            level -= 1


def printable(name: str) -> str:
    """Return ``name`` fit for one line of a message: no control characters, no lone surrogates, not endless."""
    shown = name if len(name) <= 120 else f"{name[:117]}..."
    return shown if shown.isprintable() else ascii(shown)[1:-1]


def check_filename(name: str) -> None:
    """Accept ``name`` as the name of one file in a directory. Raises UnsafeNameError."""
    if len(member_parts(name)) != 1 or "/" in name:
        raise UnsafeNameError("is not the name of one file")


def _check_characters(text: str, what: str) -> None:
    for character in text:
        if unicodedata.category(character) == "Cc":
            raise UnsafeNameError(f"has a control character in {what}")
        if "\ud800" <= character <= "\udfff" and not "\udc80" <= character <= "\udcff":
            raise UnsafeNameError(f"has half of a character in {what}")
