"""A spec as it may lie in a package: what is on the building machine is named, and not where."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from poncho._frozen import Frozen
from poncho._redact import strip_channel, strip_credentials, strip_match_spec
from poncho.spec.model import GitSource, Spec
from poncho.spec.requirements import is_local

_LOCAL_URL = re.compile(r"\s*@\s*file:\S*")


def portable(spec: Spec) -> Spec:
    """Return ``spec`` without paths of this machine and without credentials.

    Local code becomes ``./directory`` (``name @ file:///…`` becomes ``name``), a local git repository its directory's name.
    """
    git = {name: _remote(source) for name, source in spec.git.items()}
    http = {name: replace(source, url=strip_credentials(source.url)) for name, source in spec.http.items()}
    return replace(
        spec,
        channels=tuple(map(strip_channel, spec.channels)),
        conda=tuple(map(strip_match_spec, spec.conda)),
        pip=tuple(map(portable_requirement, spec.pip)),
        git=Frozen(git),
        http=Frozen(http),
    )


def portable_requirement(text: str) -> str:
    """Return a pip requirement without a path of this machine."""
    if is_local(text):
        return f"./{PurePosixPath(text).name}"
    return strip_credentials(_LOCAL_URL.sub("", text))


def _remote(source: GitSource) -> GitSource:
    if source.remote.startswith("/"):
        return replace(source, remote=PurePosixPath(source.remote).name)
    return replace(source, remote=strip_credentials(source.remote))
