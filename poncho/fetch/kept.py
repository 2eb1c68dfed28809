"""Data trees that stay in the builder's cache: what has not changed is neither unpacked nor read again.

``data/<64 hex key>/``: ``data`` (what becomes ``poncho/data`` of a package) and ``state.json``. The key stands for the locks of
all sources with their variables; an entry appears whole and is never changed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from poncho._frozen import Frozen
from poncho._types import Event, Reporter, silent
from poncho._words import counted
from poncho.fetch.data import FetchedData, fetch_data, resolve_data
from poncho.lock.model import LockedGit, LockedHttp
from poncho.spec.model import GitSource, HttpSource
from poncho.store import BuilderCache, answer_key, atomic_directory, plain, remove_tree
from poncho.store.answers import read_answer, write_answer
from poncho.store.stamps import take_stamps

_FORMAT = 1


def kept_data(
    git: Mapping[str, GitSource | LockedGit],
    http: Mapping[str, HttpSource | LockedHttp],
    *,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter = silent,
) -> tuple[FetchedData, Path | None]:
    """Return what every source is now, and the directory that holds it all; None when there is no source.

    Branches, tags and unpinned addresses are looked up each time. The directory is to be read only, inside of
    ``cache.in_use()``. Raises what ``fetch_data`` raises.
    """
    if not git and not http:
        return FetchedData(Frozen(), Frozen(), Frozen()), None
    commits, files = _locks(git, http, cache, offline, reporter)
    key = answer_key(
        _FORMAT,
        {name: plain(one) for name, one in commits.items()},
        {name: plain(one) for name, one in files.items()},
    )
    place = cache.directory("data") / key
    ours = False
    while True:
        found = _read(place, commits, files)
        if found is not None:
            with suppress(OSError):
                os.utime(place / "state.json")
            if not ours:
                count = counted(len(commits) + len(files), "source")
                reporter(Event("info", "data", f"{count}, as an earlier build left them"))
            return found, place / "data"
        if place.exists():
            _put_aside(place, cache)
        with atomic_directory(place) as private:
            if private is not None:
                made = fetch_data(commits, files, private / "data", cache=cache, offline=offline, reporter=reporter)
                state = {
                    "commits": {name: one.commit for name, one in made.git.items()},
                    "variables": dict(made.variables),
                    "stamps": take_stamps(private / "data"),
                }
                write_answer(private / "state.json", state)
                ours = True


def _locks(
    git: Mapping[str, GitSource | LockedGit],
    http: Mapping[str, HttpSource | LockedHttp],
    cache: BuilderCache,
    offline: bool,
    reporter: Reporter,
) -> tuple[Mapping[str, LockedGit], Mapping[str, LockedHttp]]:
    commits = {name: one for name, one in git.items() if isinstance(one, LockedGit)}
    files = {name: one for name, one in http.items() if isinstance(one, LockedHttp)}
    if len(commits) + len(files) == len(git) + len(http):
        return commits, files  # nothing to look up, and the bytes are needed only where the tree is not there yet
    return resolve_data(git, http, cache=cache, offline=offline, reporter=reporter)


def is_untouched(place: Path) -> bool:
    """Tell whether an entry is as it was made."""
    state = read_answer(place / "state.json")
    try:
        return isinstance(state, dict) and take_stamps(place / "data") == state.get("stamps")
    except OSError:
        return False


def _read(place: Path, commits: Mapping[str, LockedGit], files: Mapping[str, LockedHttp]) -> FetchedData | None:
    state = read_answer(place / "state.json")
    try:
        if not is_untouched(place):
            return None
        git = {name: replace(one, commit=str(state["commits"][name])) for name, one in commits.items()}
        variables = {str(name): str(value) for name, value in state["variables"].items()}
    except (TypeError, KeyError, AttributeError):
        return None
    return FetchedData(Frozen(git), files, Frozen(variables))


def _put_aside(place: Path, cache: BuilderCache) -> None:
    aside = cache.directory("tmp") / f"gone-{secrets.token_hex(6)}"
    with suppress(OSError):
        place.rename(aside)
        remove_tree(aside)
