"""Where each part comes from, as the lock in the package says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poncho._frozen import Frozen
from poncho.errors import SpecError
from poncho.lock.codec import BASE_URL, loads
from poncho.lock.model import Lock, LockedConda, LockedGit, LockedHttp, LockedPip
from poncho.pack.editable import normalise
from poncho.package.owners import Owner

BASE = "the building machine"
INDEX = "package index"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one part comes from: ``where`` in words; the archive's URL and sha256 where they are known."""

    where: str = ""
    url: str = ""
    sha256: str = ""
    md5: str = ""
    subdir: str = ""
    record: Mapping[str, object] = field(default_factory=Frozen, repr=False)


def read_lock(text: str | None) -> Lock | None:
    """Return the lock, None where there is none that can be read: older or other formats say nothing about origins."""
    if text is None:
        return None
    try:
        return loads(text)
    except SpecError:
        return None


def origins(lock: Lock | None) -> dict[Owner, Origin]:
    """Return the origin of every part that the lock names."""
    if lock is None:
        return {}
    found = {Owner("conda", item.name): _conda(item) for item in lock.conda}
    found |= {Owner("pip", normalise(item.name)): _pip(item) for item in lock.pip}
    found |= {Owner("data", name): _git(item) for name, item in lock.git.items()}
    found |= {Owner("data", name): _http(item) for name, item in lock.http.items()}
    return found


def _conda(item: LockedConda) -> Origin:
    local = item.channel == BASE_URL
    channel = BASE if local else item.channel.rstrip("/").rpartition("/")[2] or "a local channel"
    url = "" if local or item.url.startswith("file:") else item.url
    return Origin(channel, url, item.sha256 or "", item.md5 or "", item.subdir, item.record)


def _pip(item: LockedPip) -> Origin:
    where = INDEX
    _, at, target = item.requirement.partition(" @ ")
    if at and target.startswith("git+"):
        where = "git"
    elif at and target.startswith(("http:", "https:")):
        where = "a URL"
    elif "==" not in item.requirement and not item.url:
        where = "local code"  # named without its place (lock.portable)
    return Origin(where, item.url or (target if where in ("git", "a URL") else ""), item.sha256 or "")


def _git(item: LockedGit) -> Origin:
    ref = f" ({item.ref})" if item.ref and item.ref != item.commit else ""
    return Origin(f"git {item.remote} at {item.commit[:12]}{ref}", f"git+{item.remote}@{item.commit}")


def _http(item: LockedHttp) -> Origin:
    return Origin(f"http {item.url}", item.url, item.sha256)
