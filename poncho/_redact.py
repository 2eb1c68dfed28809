"""Take credentials out of text before a person, a log, a lock or a package sees it."""

from __future__ import annotations

import re

MASK = "****"

# scheme://user:password@host — everything between // and the last @ before the path.
_USERINFO = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<userinfo>[^\s/?#@'\"]+(?:@[^\s/?#@'\"]+)*)@")
# anaconda-style token in the path: /t/TOKEN/
_PATH_TOKEN = re.compile(r"(?P<head>/t/)(?P<token>[^/\s'\"]+)(?=/)")
_QUERY_SECRET = re.compile(
    r"(?P<head>[?&;](?:access_token|auth|api_?key|key|password|private_token|sig|signature|token|x-amz-signature|x-amz-credential|x-amz-security-token)=)"
    r"(?P<secret>[^&#\s'\"]+)",
    re.IGNORECASE,
)
_AUTH_HEADER = re.compile(
    r"(?P<head>\bauthorization\s*[:=]\s*(?:basic|bearer|token)?\s*)(?P<secret>[^\s'\"]+)", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return ``text`` with URL userinfo, ``/t/TOKEN/``, secret query values and Authorization headers masked."""
    text = _USERINFO.sub(_mask_userinfo, text)
    text = _PATH_TOKEN.sub(rf"\g<head>{MASK}", text)
    text = _QUERY_SECRET.sub(rf"\g<head>{MASK}", text)
    return _AUTH_HEADER.sub(rf"\g<head>{MASK}", text)


def _mask_userinfo(match: re.Match[str]) -> str:
    # ssh://git@host carries a user name, not a secret, and is useless without it.
    userinfo = match["userinfo"]
    if match["scheme"].lower() in ("ssh://", "git+ssh://") and ":" not in userinfo:
        return match[0]
    return f"{match['scheme']}{MASK}@"


def strip_credentials(url: str) -> str:
    """Return ``url`` without userinfo, path token and secret query values: fit for a lock or a package."""
    url = _USERINFO.sub(lambda m: m[0] if m["scheme"].lower().endswith("ssh://") else m["scheme"], url)
    url = re.sub(r"/t/[^/\s'\"]+(?=/)", "", url)
    return _QUERY_SECRET.sub("", url)
