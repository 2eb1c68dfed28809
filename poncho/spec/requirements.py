"""What may stand in a list of pip requirements: PEP 508, a URL, a VCS URL or a local path."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from poncho._home import expanded

_VCS = re.compile(r"(?:git|hg|svn|bzr)\+[a-z+]+://", re.IGNORECASE)
_URL = re.compile(r"(?:https?|file)://", re.IGNORECASE)
_LOCAL_ARCHIVE = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz")


def check_requirement(text: str, fail: Callable[..., NoReturn]) -> str:
    """Return ``text`` if pip would take it as a requirement; call ``fail(message, hint=…)`` otherwise.

    Options (``-e``, ``--index-url``) are refused: what they mean depends on the machine.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    if text.startswith("-"):
        hint = (
            "write the project's directory alone: local code is built and packed"
            if text.startswith("-e")
            else ("options belong to pip's own configuration (PIP_INDEX_URL, pip.conf), not into a spec")
        )
        fail(f"{text!r} is a pip option, not a requirement", hint=hint)
    if is_local(text) or _VCS.match(text) or _URL.match(text):
        return text
    try:
        Requirement(text)
    except InvalidRequirement as error:
        fail(
            f"{text!r} is no pip requirement: {str(error).splitlines()[0]}",
            hint='write "name==1.2", "name>=1,<2" or "name @ https://…"',
        )
    return text


def check_there(text: str, base: Path, fail: Callable[..., NoReturn]) -> None:
    """Call ``fail`` for a local requirement that is not there, as seen from the directory ``base``."""
    if is_local(text) and not os.path.exists(base / expanded(_without_extras(text))):
        fail(f"{text!r}: no such file or directory", hint=f"local code is named from the directory of the spec, {base}")


def is_local(text: str) -> bool:
    """Tell whether a requirement is a path on this machine (``./x``, ``../x``, ``/x``, ``~/x``, ``x.whl``)."""
    bare = _without_extras(text)
    return (
        bare in (".", "..")
        or bare.startswith(("./", "../", "/", "~/"))
        or (bare.endswith(_LOCAL_ARCHIVE) and "@" not in bare and not _URL.match(bare) and not _VCS.match(bare))
    )


def absolute_local(text: str, base: Path) -> str:
    """Return a local requirement with its path made absolute from ``base``; extras (``.[test]``) are kept."""
    bare = _without_extras(text)
    # Not Path.resolve(): it raises for links that lead in a circle, before Python 3.13.
    return os.path.realpath(base / expanded(bare)) + text[len(bare) :]


def real_path(path: str, base: Path, fail: Callable[..., NoReturn]) -> str:
    """Return a lock's path made absolute from ``base``; call ``fail`` for one that no file can have."""
    if "\0" in path:
        fail(f"{path!r} is the path of no file", hint="lock again with the tool that made this lock")
    return os.path.realpath(base / path)


def _without_extras(text: str) -> str:
    return re.sub(r"\[[^\[\]/]*\]$", "", text)
