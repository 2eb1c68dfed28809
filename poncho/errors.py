"""What can go wrong, as values: one root, one message, one hint.

The library raises these and nothing else on purpose; the command line turns them into one line on stderr,
a ``hint:`` line and an exit status.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from poncho._redact import redact
from poncho._words import shown


class PonchoError(Exception):
    """Say what is wrong, where, and what to do.

    ``message`` is one line. ``hint`` is what the reader can do about it. ``context`` holds further facts for programs
    (paths, URLs, JSON pointers, the tail of a command's output). All three are redacted: no credential survives.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, context: Mapping[str, Any] | None = None) -> None:
        self.message = redact(message)
        self.hint = redact(hint) if hint else None
        self.context: dict[str, Any] = {
            key: redact(value) if isinstance(value, str) else value for key, value in (context or {}).items()
        }
        super().__init__(self.message)
        if self.hint and sys.version_info >= (3, 11):
            self.add_note(f"hint: {self.hint}")  # in tracebacks, for those who call the library

    def to_json(self) -> dict[str, Any]:
        """Return ``{"error": code, "message": …, "hint": …, "context": …}``."""
        return {"error": self.code, "message": self.message, "hint": self.hint, "context": self.context}


class UsageError(PonchoError):
    """The command line or the call itself is off."""

    code = "usage"
    exit_code = 2


class SpecError(PonchoError):
    """A spec (or lock) cannot be understood; ``context["pointer"]`` is an RFC 6901 JSON pointer into it."""

    code = "spec"

    def __init__(
        self,
        message: str,
        *,
        pointer: str | None = None,
        source: str | None = None,
        hint: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        facts: dict[str, Any] = dict(context or {})
        if pointer is not None:
            facts["pointer"] = pointer
        if source is not None:
            facts["source"] = source
        where = ": ".join(shown(part) for part in (source, pointer) if part)
        super().__init__(f"{where}: {message}" if where else message, hint=hint, context=facts)
        self.pointer = pointer
        self.source = source


class AnalysisError(PonchoError):
    """The sources could not be analysed, or an import could not be named."""

    code = "analysis"


class ResolveError(PonchoError):
    """No set of packages satisfies the spec; the message carries the solver's own words."""

    code = "resolve"


class FetchError(PonchoError):
    """A git repository, an http file or a channel could not be fetched."""

    code = "fetch"


class BuildError(PonchoError):
    """An environment could not be installed or packed."""

    code = "build"


class DiskFullError(BuildError):
    """A file system, a quota or its inodes are used up.

    ``path`` is what was to be written (None: something below the builder's cache). ``needed`` is how many bytes the
    whole of it takes there, where that is known.
    """

    code = "disk-full"

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        needed: int | None = None,
        hint: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        facts: dict[str, Any] = dict(context or {})
        facts |= {key: value for key, value in (("path", path), ("needed", needed)) if value is not None}
        super().__init__(message, hint=hint, context=facts)
        self.path = path
        self.needed = needed


class PackageError(PonchoError):
    """A file is not a package, or is truncated, damaged or hostile."""

    code = "package"


class StoreError(PonchoError):
    """A cache or store directory cannot be used."""

    code = "store"
