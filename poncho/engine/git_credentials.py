"""Credentials in the URLs of pip's git requirements, handed to git where nobody else sees them.

uv and pip call git with the URL as an argument, and arguments can be read by every user of a machine. So the URL goes without
its credentials, and git asks a helper that is configured by ``GIT_CONFIG_COUNT`` (git-config(1)) and reads variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

_URL = re.compile(r"git\+(?P<scheme>https?)://(?P<userinfo>[^/\s]+)@(?P<place>[^/@\s]+/[^\s@#;]*)")
_HELPER = (
    '!f() {{ test "$1" = get || exit 0; '
    'printf "username=%s\\npassword=%s\\n" "$PONCHO_PIP_GIT_USER_{n}" "$PONCHO_PIP_GIT_PASSWORD_{n}"; }}; f'
)


@dataclass(frozen=True, slots=True)
class GitCredentials:
    """Requirement lines without credentials, the variables that give them to git, and the way back."""

    lines: tuple[str, ...]
    variables: Mapping[str, str]
    _known: Mapping[str, str] = field(repr=False)

    def restored(self, text: str) -> str:
        """Return a requirement or URL with the credentials that its repository was given with."""
        for bare, whole in self._known.items():
            text = re.sub(rf"{re.escape(bare)}(?![\w/.-])", whole.replace("\\", r"\\"), text)
        return text


def take_git_credentials(lines: Iterable[str], environ: Mapping[str, str]) -> GitCredentials:
    """Take the credentials out of the git URLs in requirement ``lines``."""
    variables: dict[str, str] = {}
    known: dict[str, str] = {}
    count = int(environ.get("GIT_CONFIG_COUNT") or 0) if (environ.get("GIT_CONFIG_COUNT") or "0").isdigit() else 0
    bare_lines = []
    for line in lines:
        match = _URL.search(line)
        if match is None:
            bare_lines.append(line)
            continue
        bare = f"git+{match['scheme']}://{match['place']}"
        if bare not in known:
            number = len(known)
            user, _, password = match["userinfo"].partition(":")
            variables[f"PONCHO_PIP_GIT_USER_{number}"] = unquote(user)
            variables[f"PONCHO_PIP_GIT_PASSWORD_{number}"] = unquote(password)
            # The empty one drops the user's own helpers for this repository: they would store what is not theirs.
            for helper in ("", _HELPER.format(n=number)):
                variables[f"GIT_CONFIG_KEY_{count}"] = f"credential.{bare.removeprefix('git+')}.helper"
                variables[f"GIT_CONFIG_VALUE_{count}"] = helper
                count += 1
            known[bare] = match[0]
        bare_lines.append(line[: match.start()] + bare + line[match.end() :])
    if variables:
        variables["GIT_CONFIG_COUNT"] = str(count)
    return GitCredentials(tuple(bare_lines), variables, known)
