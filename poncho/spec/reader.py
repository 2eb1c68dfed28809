"""Walk a JSON value and say where it is wrong: a value, its pointer, and checks that raise SpecError."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from poncho.errors import SpecError

_WORDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}

# What a location is when it is only a string, and what others call our keys.
_LOCATIONS = {"/http": "url", "/git": "remote"}
_OTHER_WORDS = {
    **dict.fromkeys(("branch", "tag", "commit", "rev", "revision"), "ref"),
    **dict.fromkeys(("url", "repository", "repo"), "remote"),
    **dict.fromkeys(("remote", "uri", "link"), "url"),
    **dict.fromkeys(("path", "dest", "name"), "filename"),
    **dict.fromkeys(("hash", "checksum", "digest"), "sha256"),
    **dict.fromkeys(("requirements", "packages"), "pip"),
    **dict.fromkeys(("dependencies", "channels"), "conda"),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """One JSON value and where it stands: ``pointer`` is RFC 6901, ``source`` the file's name for messages."""

    value: Any
    pointer: str = ""
    source: str | None = None

    def fail(self, message: str, *, hint: str | None = None) -> NoReturn:
        """Raise SpecError at this value."""
        raise SpecError(message, pointer=self.pointer or "/", source=self.source, hint=hint)

    def child(self, key: str | int) -> Reader:
        """Return the reader of one member or element."""
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        return Reader(self.value[key], f"{self.pointer}/{escaped}", self.source)

    def get(self, key: str) -> Reader | None:
        """Return the reader of member ``key``; None when it is missing or null."""
        return self.child(key) if self.value.get(key) is not None else None

    def object(self, known: Sequence[str] | None = None) -> Reader:
        """Accept an object; with ``known``, refuse other keys and name the nearest known one."""
        if not isinstance(self.value, dict):
            key = _LOCATIONS.get(self.pointer.rpartition("/")[0]) if isinstance(self.value, str) else None
            hint = f"write {json.dumps({key: self.value}, ensure_ascii=False)}" if key else 'write {"key": …}'
            self.fail(f"must be an object, not {kind_of(self.value)}", hint=hint)
        if known is not None:
            for key in self.value:
                if key not in known:
                    self.child(key).fail(f"unknown key {key!r}", hint=_nearest(key, known))
        return self

    def members(self) -> Iterator[tuple[str, Reader]]:
        """Yield each member's name and reader, in the order of the file."""
        for key in self.object().value:
            yield key, self.child(key)

    def elements(self) -> Iterator[Reader]:
        """Yield the reader of each element of a list."""
        if not isinstance(self.value, list):
            text = isinstance(self.value, str)
            hint = f"write [{json.dumps(self.value, ensure_ascii=False)}]" if text else 'write ["…", "…"]'
            self.fail(f"must be a list, not {kind_of(self.value)}", hint=hint)
        for index in range(len(self.value)):
            yield self.child(index)

    def string(self) -> str:
        """Accept a string that is not empty and holds no control character."""
        if not isinstance(self.value, str):
            hint = "write it in double quotes" if self.value is not None else "write a text, or leave it out"
            if isinstance(self.value, float):
                hint = 'put it into quotes: "3.10" is not 3.1'
            self.fail(f"must be a string, not {kind_of(self.value)}", hint=hint)
        if not self.value.strip():
            self.fail("must not be empty", hint="write something there, or leave it out")
        if any(ord(char) < 32 or ord(char) == 127 for char in self.value):
            self.fail(f"{self.value!r} holds a control character or a line break", hint="remove it")
        if any("\ud800" <= char <= "\udfff" for char in self.value):
            self.fail(f"{self.value!r} holds half of a character (a lone surrogate)", hint="write the character itself")
        return self.value.strip()

    def choice(self, allowed: Sequence[str]) -> str:
        """Accept one of ``allowed``."""
        value = self.string()
        if value not in allowed:
            self.fail(f"must be one of {', '.join(allowed)}, not {value!r}", hint=_nearest(value, allowed))
        return value

    def boolean(self) -> bool:
        """Accept true or false."""
        if not isinstance(self.value, bool):
            self.fail(f"must be true or false, not {kind_of(self.value)}", hint="write it without quotes")
        return self.value

    def positive(self) -> int:
        """Accept an integer greater than zero."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 1:
            hint = "write 1 or more, without quotes, or leave it out"
            self.fail(f"must be a whole number greater than 0, not {self.value!r}", hint=hint)
        return self.value


def kind_of(value: Any) -> str:
    """Return the JSON word for a value's type, with its article."""
    return "null" if value is None else _WORDS.get(type(value), type(value).__name__)


def _nearest(key: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # only for who mistyped something

    plain = key.lower()
    word = plain if plain in _OTHER_WORDS else next(iter(get_close_matches(plain, _OTHER_WORDS, n=1, cutoff=0.8)), "")
    other = _OTHER_WORDS.get(word)
    close = [other] if other in known and word == plain else get_close_matches(plain, known, n=1, cutoff=0.6)
    if other == "conda" and other in known and close in ([], [other]):
        return f"""write "conda": {{"{word}": […]}}"""
    close = close or [word for word in [other] if word in known]
    return f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
