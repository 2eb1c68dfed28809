"""The address of a git repository: which ones are let through, and how it looks without its credentials."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import string
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from poncho._words import url_fault
from poncho.errors import FetchError

# What git itself calls safe for the user (git-config, protocol.allow), less dav and ftp. Helpers such as ext:: run
# commands.
PROTOCOLS = ("https", "http", "ssh", "git", "file")
_SCP = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_.][A-Za-z0-9_.+-]*)@)?(?P<host>[A-Za-z0-9\[][A-Za-z0-9_.:\]-]*):(?P<path>[^-].*)"
)
# file:relative and C:/path would be taken for hosts.
_NO_HOSTS = (*PROTOCOLS, *string.ascii_letters)
_HINT = "use https://, http://, ssh://, git://, file://, user@host:path or an absolute path"


@dataclass(frozen=True, slots=True)
class Remote:
    """A checked address. ``url`` has no credentials in it and is what git is called with; they are kept apart."""

    url: str
    protocol: str
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, text: str) -> Remote:
        """Check an address as a spec or ``.gitmodules`` has it.

        Raises FetchError for helpers (``ext::…``), other protocols, relative paths, options in disguise, control
        characters.
        """
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise FetchError(f"{text!r}: a git remote cannot have control characters", hint=_HINT)
        if text.startswith("/"):
            return cls(url=text, protocol="file")
        if "://" in text:
            return _from_url(text)
        match = _SCP.fullmatch(text)
        # A:: is a remote helper, whatever stands behind it (gitremote-helpers).
        if (
            match
            and match["host"] not in _NO_HOSTS
            and "::" not in text.split("[")[0]
            and not match["path"].startswith(":")
        ):
            return cls(url=text, protocol="ssh")
        if "::" in text:
            raise FetchError(f"{text}: git remote helpers are not allowed", hint=_HINT)
        raise FetchError(f"{text!r}: is no git remote that can be used here", hint=_HINT)

    @property
    def local(self) -> bool:
        """Tell whether the repository lies on this machine."""
        return self.protocol == "file"

    @property
    def path(self) -> Path:
        """Return where a repository on this machine lies."""
        return Path(unquote(urlsplit(self.url).path) if "://" in self.url else self.url)

    @property
    def origin(self) -> str:
        """Return protocol, host and port (``https://host:port``): what credentials are bound to."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def key(self) -> str:
        """Return a directory name for this remote: readable, and different for different remotes."""
        last = self.url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
        name = re.sub(r"[^A-Za-z0-9._-]", "_", last)[-40:].lstrip(".-") or "repository"
        return f"{name}-{hashlib.sha256(self.url.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}"

    def submodule(self, text: str) -> Remote:
        """Return the remote of a submodule with the address ``text``, which may be relative to this one
        (``../other.git``).

        Credentials go along only to the same host. Raises FetchError for an address that is not allowed, and for one
        on this machine in a repository from elsewhere.
        """
        if text.startswith(("./", "../")):
            text = self._relative(text)
        child = Remote.parse(text)
        if child.local and not self.local:
            raise FetchError(
                f"{self.url}: a submodule wants {text}, a path on this machine: refused",
                hint="a repository from elsewhere may not read local files; set `submodules` to false",
            )
        if child.user is None and self.user is not None and child.origin == self.origin:
            return Remote(child.url, child.protocol, self.user, self.password)
        return child

    def _relative(self, text: str) -> str:
        if "://" in self.url:
            parts = urlsplit(self.url)
            return urlunsplit(parts._replace(path=posixpath.normpath(posixpath.join(parts.path, text))))
        head, colon, path = ("", "", self.url) if self.local else self.url.partition(":")
        return head + colon + posixpath.normpath(posixpath.join(path, text))


def _from_url(text: str) -> Remote:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise FetchError(f"{text}: is no valid URL{url_fault(error)}", hint=_HINT) from error
    protocol = parts.scheme.lower()
    if protocol not in PROTOCOLS or "::" in text.split("/")[0]:
        raise FetchError(f"{text}: git does not fetch by {parts.scheme or 'this'} here", hint=_HINT)
    if protocol == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.path.startswith("//"):
            raise FetchError(f"{text}: a file URL needs an absolute path on this machine", hint="write file:///path")
        return Remote(url=f"file://{parts.path}", protocol="file")
    userinfo, _, place = parts.netloc.rpartition("@")
    user, colon, password = userinfo.partition(":")
    user = unquote(user)
    for name, value in (("host", host), ("user", user), ("path", unquote(parts.path.lstrip("/")))):
        if value.startswith("-"):
            raise FetchError(f"{text}: its {name} looks like an option: refused", hint=_HINT)
        if any(ord(character) < 32 for character in value):
            raise FetchError(f"{text!r}: a git remote cannot have control characters", hint=_HINT)
    if not host or re.search(r"[\s%]", place):
        raise FetchError(f"{text}: has no valid host", hint=_HINT)
    if protocol == "ssh":
        # ssh takes no password from a URL; the user name is part of the address.
        return Remote(
            url=urlunsplit(parts._replace(scheme="ssh", netloc=f"{user}@{place}" if user else place)), protocol="ssh"
        )
    bare = urlunsplit(parts._replace(scheme=protocol, netloc=place))
    secret = unquote(password) if colon else None
    if any(ord(character) < 32 for character in secret or ""):
        raise FetchError(f"{bare}: a password cannot have control characters")
    return Remote(url=bare, protocol=protocol, user=user or None, password=secret)


def check_ref(ref: str) -> None:
    """Accept ``ref`` as the name of a branch, tag or commit (git-check-ref-format). Raises FetchError."""
    bad = (
        not ref
        or ref.startswith(("-", "/", "."))
        or ref.endswith(("/", ".", ".lock"))
        or any(ord(character) <= 32 or character in "~^:?*[\\\x7f" for character in ref)
        or any(piece in ref for piece in ("..", "@{", "//", "/."))
        or ref == "@"
    )
    if bad:
        raise FetchError(f"{ref!r}: is no git ref", hint="give the name of a branch or a tag, or a commit")


def environment_without_repository() -> tuple[str, ...]:
    """Return the variables of this process that would point git at some other repository (as inside a git hook)."""
    names = """
        GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_ATTR_SOURCE GIT_CEILING_DIRECTORIES GIT_COMMON_DIR GIT_CONFIG
        GIT_CONFIG_PARAMETERS GIT_DIR GIT_GRAFT_FILE GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE GIT_INTERNAL_SUPER_PREFIX
        GIT_NAMESPACE GIT_NO_REPLACE_OBJECTS GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE
        GIT_TEMPLATE_DIR GIT_WORK_TREE
        """
    return tuple(name for name in names.split() if name in os.environ)
