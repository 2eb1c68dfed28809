"""Why a git command failed, told from what it said."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from poncho.errors import FetchError
from poncho.fetch.remote import Remote

_LITTLE_ROOM = 1 << 30
_MISSING = re.compile(
    r"not found|does not appear to be a git repository|no such file or directory|not exported", re.IGNORECASE
)
_DENIED = re.compile(
    r"authentication failed|could not read (?:username|password)|permission denied|terminal prompts disabled"
    r"|access denied(?! or repository not exported)|HTTP (?:401|403)|error: 40[13]|host key verification failed",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"remote: (?:Enumerating|Counting|Compressing|Total)"
    r"|Receiving|Resolving|Warning: Permanently added"
)
_PASSING = re.compile(
    r"could not resolve|connection (?:refused|reset|timed out|closed)|timed? ?out|early eof|rpc failed"
    r"|hung up unexpectedly|unable to connect|(?:couldn't|failed to) connect|error: (?:429|5\d\d)"
    r"|transfer closed|too slow|network is unreachable|unexpected disconnect",
    re.IGNORECASE,
)


class GitFailedError(Exception):
    """A git command ended with another status than 0; ``tail`` is what it said."""

    def __init__(self, command: tuple[str, ...], status: int, tail: str) -> None:
        super().__init__(tail)
        self.command = command
        self.status = status
        self.tail = tail

    @property
    def last_line(self) -> str:
        """Return the last thing that git said."""
        return (self.tail.splitlines() or [f"git ended with status {self.status}"])[-1]

    @property
    def cause(self) -> str:
        """Return the line that says why it failed."""
        lines = [line for line in self.tail.splitlines() if not _NOISE.match(line)]
        said = next((line for line in lines if line.startswith(("fatal:", "ERROR:", "error:"))), "")
        if "Could not read from remote repository" in said:
            said = lines[0]  # what ssh said, which is the cause
        if said.endswith(":") and lines[-1] != said:
            said += f" {lines[-1]}"  # unable to connect to HOST: and, below it, why
        return " ".join((said or self.last_line).removeprefix("fatal:").split())[:300]

    @property
    def passing(self) -> bool:
        """Tell whether the network was the cause, so that another attempt makes sense."""
        return bool(_PASSING.search(self.tail)) and not self.denied

    @property
    def denied(self) -> bool:
        """Tell whether the other side did not let us in."""
        return bool(_DENIED.search(self.tail))

    def explain(self, remote: Remote) -> FetchError:
        """Return the error that says what to do about it."""
        said = self.cause
        if self.denied:
            hint = "git could not log in, or is not allowed to read: set up a credential helper, an ssh agent or netrc"
        elif "dubious ownership" in self.tail:
            hint = f"the repository belongs to another user: git config --global --add safe.directory {remote.url}"
        elif self.passing:
            hint = "check the network and the address; with --offline only what was fetched before is used"
        elif _MISSING.search(self.tail):
            hint = "check the address; a private repository looks like a missing one to those who are not logged in"
        else:
            hint = f"try it by hand: git ls-remote {remote.url}"
        return FetchError(
            f"{remote.url}: git cannot fetch it: {said}",
            hint=hint,
            context={"url": remote.url, "command": " ".join(self.command), "status": self.status, "tail": self.tail},
        )


class DamagedMirrorError(Exception):
    """What the cache holds of a repository is not sound; the text says what is wrong with it."""


def says_disk_full(tail: str, place: Path | None) -> bool:
    """Tell whether what git said in the repository ``place`` means that a disk or a quota is used up."""
    low = tail.lower()
    if any(words in low for words in ("no space left on device", "disk quota exceeded", "out of diskspace")):
        return True
    # Of files that it writes in pieces git does not say why it could not; others may have made room meanwhile.
    if place is None or "unable to write" not in low:
        return False
    try:
        return shutil.disk_usage(place).free < _LITTLE_ROOM
    except OSError:
        return False
