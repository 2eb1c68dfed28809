"""What makes one package another one than the next: the spec, and everything that the spec leaves to the day."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from poncho._frozen import Frozen
from poncho._types import Reporter, silent
from poncho._version import __version__
from poncho.base import base_channel
from poncho.engine import native_platform
from poncho.fetch import resolve_git, resolve_http
from poncho.install.local import local_source
from poncho.lock.model import Lock
from poncho.resolution import wanted_python
from poncho.resolution.local import locked_file, tree_digest
from poncho.spec import Spec, spec_digest
from poncho.spec.model import GitSource
from poncho.store import BuilderCache

# Raise it when the same things make another package.
_FORMAT = 2
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Today:
    """What a spec means today: commits and sha256 by variable, the digest of the base interpreter (None: no base)."""

    git: Mapping[str, str]
    http: Mapping[str, str]
    base: str | None

    @classmethod
    def of_lock(cls, spec: Spec, lock: Lock) -> Today:
        """Return what ``spec`` meant when a package was built from it."""
        return cls(
            {
                name: _pinned(spec.git[name]) or one.commit if name in spec.git else one.commit
                for name, one in lock.git.items()
            },
            {name: one.sha256 for name, one in lock.http.items()},
            lock.base.sha256 if lock.base else None,
        )


def today(
    spec: Spec, platform: str, *, cache: BuilderCache, offline: bool = False, reporter: Reporter = silent
) -> Today:
    """Find out: branches and tags are looked up at their remotes, unpinned addresses asked whether they have changed.

    ``offline``, what the cache knows counts. Raises FetchError, and what finding the base interpreter raises.
    """
    git = {
        name: _pinned(source) or resolve_git(source, cache=cache, offline=offline, reporter=reporter).commit
        for name, source in spec.git.items()
    }
    http = {
        name: (source.sha256 or resolve_http(source, cache=cache, offline=offline, reporter=reporter).sha256).lower()
        for name, source in spec.http.items()
    }
    base = None
    if not spec.names_a_channel and platform == native_platform():
        base = base_channel(wanted_python(spec), cache=cache, reporter=reporter).sha256
    return Today(Frozen(git), Frozen(http), base)


def _pinned(source: GitSource) -> str | None:
    return source.ref if source.ref is not None and _COMMIT.fullmatch(source.ref) else None


def package_identity(spec: Spec, platform: str, now: Today, *, ignore_editable: bool = False) -> str:
    """Return 64 hexadecimal digits for what a package of ``spec`` would be.

    Platform, spec (channels in order), content of local code, commits, digests of downloads, base interpreter, PONCHO's
    own version. What an index or channel offers is no part of it: such a package stays right when there are newer ones.
    """
    code = {}
    for requirement in spec.pip:
        source = local_source(requirement)
        if source is not None and source.exists():
            code[requirement] = tree_digest(source) if source.is_dir() else locked_file("", "", source).sha256
    parts = {
        "format": _FORMAT,
        "poncho": __version__,
        "platform": platform,
        "spec": spec_digest(spec),
        "code": code,
        "git": dict(now.git),
        "http": dict(now.http),
        "base": now.base,
        "ignore_editable": ignore_editable,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
