"""Take credentials out of text before a person, a log, a lock or a package sees it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

MASK = "****"

# scheme://user:password@host — everything between // and the last @ before the path.
_USERINFO = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<userinfo>[^\s/?#@'\"]+(?:@[^\s/?#@'\"]+)*)@")
# A slash in a password ends the host for every reader of URLs; what stands behind the colon is then no port.
_SLASHED = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<userinfo>[^\s/?#@:'\"\[]*:(?!\d*[/?#])[^\s@'\"]*)@")
# As urllib.parse quotes the part of a URL between // and the path.
_NETLOC = re.compile(r"(?P<head>\bnetloc ['\"])[^'\"]*@")
# anaconda-style token in the path: /t/TOKEN/, or at the end of a channel's URL (a file there would have a suffix)
_PATH_TOKEN = re.compile(r"(?P<head>/t/)(?P<token>[^/\s'\"]+(?=/)|[^/\s'\"?#.]{6,}\Z)")
_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"]+")
# Never part of what a URL names, so that they can be left out of one.
_SECRET_PARAMETERS = frozenset(
    """
    access_token api_key apikey auth password private_token sig signature token x-amz-credential x-amz-security-token
    x-amz-signature
    """.split()  # noqa: SIM905 (words read better)
)
# ``key`` may be a secret or data: it is not shown, but not taken out of a URL either.
_QUERY_SECRET = re.compile(
    rf"(?P<head>[?&;](?:key|{'|'.join(sorted(_SECRET_PARAMETERS))})=)(?P<secret>[^&#\s'\"]+)", re.IGNORECASE
)
_AUTH_HEADER = re.compile(
    r"(?P<head>\bauthorization\s*[:=]\s*(?:basic|bearer|token)?\s*)(?P<secret>[^\s'\"]+)", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return ``text`` with URL userinfo, ``/t/TOKEN/``, secret query values and Authorization headers masked."""
    text = _USERINFO.sub(_mask_userinfo, text)
    text = _SLASHED.sub(_mask_userinfo, text)
    text = _NETLOC.sub(rf"\g<head>{MASK}@", text)
    text = _URL.sub(lambda url: url[0] if is_file_url(url[0]) else _PATH_TOKEN.sub(rf"\g<head>{MASK}", url[0]), text)
    text = _QUERY_SECRET.sub(rf"\g<head>{MASK}", text)
    return _AUTH_HEADER.sub(rf"\g<head>{MASK}", text)


def is_file_url(url: str) -> bool:
    """Tell whether a URL names a file of this machine: a directory may be called ``t``, and no server wants a token."""
    return url[:5].lower() == "file:"


def _mask_userinfo(match: re.Match[str]) -> str:
    # ssh://git@host carries a user name, not a secret, and is useless without it.
    userinfo = match["userinfo"]
    if match["scheme"].lower() in ("ssh://", "git+ssh://") and ":" not in userinfo:
        return match[0]
    return f"{match['scheme']}{MASK}@"


def strip_credentials(text: str) -> str:
    """Return ``text`` with the URLs in it without userinfo, path token and secret query values: fit for a lock or package.

    The user name of an ssh URL stays: it is no secret, and the URL is useless without it.
    """
    return _URL.sub(lambda match: _bare_url(match[0]), text)


def strip_channel(channel: str) -> str:
    """Return a conda channel's name or URL without credentials: as ``strip_credentials``, and a token at its end too."""
    bare = strip_credentials(f"{channel.rstrip('/')}/")
    return bare if channel.endswith("/") else bare.rstrip("/")


def strip_match_spec(match: str) -> str:
    """Return a conda match spec (``CHANNEL::name``) without the credentials of its channel."""
    channel, separator, rest = match.rpartition("::")
    return f"{strip_channel(channel)}{separator}{rest}" if separator else match


def _bare_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return redact(url)
    netloc = parts.netloc
    userinfo, at, host = netloc.rpartition("@")
    if at:
        user = userinfo.partition(":")[0]
        netloc = f"{user}@{host}" if parts.scheme.endswith("ssh") and user else host
    path = parts.path if is_file_url(url) else _PATH_TOKEN.sub("", parts.path)
    pairs = parts.query.split("&")
    query = "&".join(pair for pair in pairs if pair.partition("=")[0].lower() not in _SECRET_PARAMETERS)
    if (netloc, path, query) == (parts.netloc, parts.path, parts.query):
        return url
    return urlunsplit((parts.scheme, netloc, path, query, parts.fragment))
