"""Tell locks from specs, and one lock from another, by their content."""

from __future__ import annotations

import re
from typing import Literal

from poncho.errors import SpecError

LockKind = Literal["poncho", "explicit", "conda-lock", "pixi", "pylock"]

_OURS = re.compile(r'"poncho_lock"\s*:')
_EXPLICIT = re.compile(r"(?m)^[ \t]*@EXPLICIT[ \t]*$")
_VERSION = re.compile(r"(?m)^[\"']?version[\"']?\s*:")
_PYLOCK = re.compile(r"(?m)^lock-version\s*=")
_OTHERS = re.compile(r"(?m)^\[\[package\]\]\s*$")


def lock_kind(text: str, *, source: str | None = None) -> LockKind | None:
    """Return which kind of lock a text is; None when it is none (a spec, or anything else).

    Raises SpecError for locks that PONCHO does not read, and says what to do with them.
    """
    if text.lstrip()[:1] == "{":
        if _OURS.search(text):
            return "poncho"
        if '"_meta"' in text and '"pipfile-spec"' in text:
            raise _unread("Pipfile.lock", "pipenv requirements > requirements.txt", source)
        return None
    if _EXPLICIT.search(text):
        return "explicit"
    if _PYLOCK.search(text) and "[[packages]]" in text:
        return "pylock"
    if _OTHERS.search(text) and re.search(r"(?m)^version\s*=\s*\d|^lock-version\s*=|^\[metadata\]", text):
        what = "poetry.lock" if "content-hash" in text or "poetry" in text[:200].lower() else "uv.lock"
        tool = (
            "uv export --format pylock.toml -o pylock.toml"
            if what == "uv.lock"
            else "poetry export -o requirements.txt"
        )
        raise _unread(what, tool, source)
    if _VERSION.search(text):
        if re.search(r"(?m)^[\"']?package[\"']?\s*:", text) and re.search(r"(?m)^[\"']?metadata[\"']?\s*:", text):
            return "conda-lock"
        if re.search(r"(?m)^[\"']?environments[\"']?\s*:", text) and re.search(r"(?m)^[\"']?packages[\"']?\s*:", text):
            return "pixi"
    return None


def _unread(what: str, command: str, source: str | None) -> SpecError:
    return SpecError(f"is a {what}, which says nothing of the interpreter", source=source, hint=f"export it: {command}")
