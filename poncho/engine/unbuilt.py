"""What uv and pip say when a source distribution cannot be built: which one, and why, out of pages of output."""

from __future__ import annotations

import re
from dataclasses import dataclass

# uv: "Failed to build `name==1.0`", or a directory; pip: "Failed to build 'name' when …", "Failed building wheel for name".
# uv breaks long lines.
_NAMED = re.compile(
    r"Failed (?:to build|building wheel for)\s+(?:(?P<quote>[`'\"])(?P<name>[^`'\"]+)(?P=quote)|(?P<bare>[^\s`'\"]+))"
)
# pip says no name where the metadata cannot be made: it is that of which it spoke last.
_NAMELESS = re.compile(r"metadata-generation-failed|Preparing metadata .* did not run successfully")
_SPOKEN_OF = re.compile(r"^\s*(?:Collecting|Processing) (?P<name>(?P<bare>[^\s(]+))", re.MULTILINE)
_EXCEPTION = re.compile(
    r"(?:[a-z_][\w.]*\.)?\w*(?:Error|Exception|Exit|NotFound)\b: |(?:.*: )?(?:fatal )?error: (?!subprocess|metadata)"
)
_IDLE = re.compile(
    r"(?:hint|note):|\[(?:stdout|stderr|end of output)\]|(?:error|cause):?\s*$|See above for |Encountered error while generating"
    r"|exit code: |(?:error:\s*)?(?:when getting requirements|subprocess-exited-with-error|metadata-generation-failed)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A distribution that could not be built (``name==1.0``, ``name``, a path), and the words that tell why."""

    name: str
    why: str

    @property
    def label(self) -> str:
        """Return the name as a person knows it: of a directory, which may be a copy, its own name alone."""
        return self.name if "@" in self.name else self.name.rstrip("/").rpartition("/")[2]

    @property
    def bare(self) -> str:
        """Return the name without a version or a place."""
        return re.split(r"[=@<>~! ]", self.name)[0]

    @property
    def hint(self) -> str:
        """Return what a person can do."""
        if "file:" in self.name or ("@" not in self.name and "/" in self.name):
            return "build it alone to see all that is wrong: pip wheel --no-deps DIRECTORY"
        return (
            "there is no wheel of it for this Python and platform: ask for a version that has one, take it from conda, "
            "or install what building it needs (a compiler, headers); if only a part of the program uses it, analyse again "
            f"with --exclude {self.bare}"
        )


def find_unbuilt(output: str) -> Unbuilt | None:
    """Return what ``output`` of uv or pip says could not be built; None when it speaks of nothing such."""
    found = _NAMED.search(output)
    if found is None and _NAMELESS.search(output):
        found = next(reversed(list(_SPOKEN_OF.finditer(output))), None)
    if found is None:
        return None
    name = " ".join((found["name"] or found["bare"]).split())
    lines = [line.strip(" ×╰─▶│├>") for line in _NAMED.sub("", output).splitlines()]
    telling = [line for line in lines if line and not _IDLE.match(line)]
    raised = [line for line in telling if _EXCEPTION.match(line)]
    why = (raised or telling or ["its build failed"])[-1].removeprefix("cause: ")
    return Unbuilt(name, why)
