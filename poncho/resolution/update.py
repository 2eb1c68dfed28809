"""Move single packages of a lock and leave all else as it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from poncho._frozen import Frozen
from poncho.errors import ResolveError
from poncho.fetch import resolve_data
from poncho.lock.model import Lock, LockedConda, LockedPip
from poncho.resolution.conda import package_name, resolve_conda
from poncho.resolution.environment import Means, choose_base, resolve_pip_beside
from poncho.resolution.frozen import installable
from poncho.spec import GitSource, HttpSource, Spec, portable
from poncho.spec.requirements import is_local

T = TypeVar("T", GitSource, HttpSource)


def update_lock(lock: Lock, names: Iterable[str], *, spec: Spec, means: Means) -> Lock:
    """Return the lock with the newest of ``names`` that fits beside everything else, which keeps its very bytes.

    A name is a conda package, a pip package, or the variable of a git or http source. What a moved package newly needs
    comes in; what nothing needs any more goes. ``spec`` is the one that was locked, or differs from it in ``names`` only
    (see ``changed_names``). Raises ResolveError for a name that neither holds, and when nothing fits.
    """
    moving = set(names)
    conda_names = {item.name for item in lock.conda} | {package_name(match) for match in spec.conda}
    conda_names &= {name.lower() for name in moving}
    pip_names = {_name(item) for item in lock.pip} | {_pip_name(text) for text in spec.pip}
    pip_names &= {canonicalize_name(name) for name in moving}
    data_names = {*lock.git, *lock.http, *spec.git, *spec.http} & moving
    _check_known(lock, moving, conda_names | pip_names | data_names)
    updated = lock
    if data_names:
        updated = _with_data(updated, data_names, spec, means)
    if conda_names:
        updated = _with_conda(updated, conda_names, spec, means)
    if pip_names or (updated.conda != lock.conda and lock.pip):
        updated = _with_pip(updated, pip_names, spec, means)
    return updated


def changed_names(locked: Spec, wanted: Spec) -> frozenset[str] | None:
    """Return the packages and variables in which two specs differ; None when they differ in more than such entries, or
    in Python, with which everything moves.
    """
    old, new = portable(locked), portable(wanted)
    names = {package_name(match) for match in {*old.conda} ^ {*new.conda}}
    names |= {_pip_name(text) for text in {*old.pip} ^ {*new.pip}}
    for before, after in ((old.pinned, new.pinned), (old.git, new.git), (old.http, new.http)):
        names |= {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}

    def rest(spec: Spec) -> tuple[object, ...]:
        conda = [match for match in spec.conda if package_name(match) not in names]
        return spec.channels, spec.python, conda, [text for text in spec.pip if _pip_name(text) not in names]

    return None if names & {"", "python"} or rest(old) != rest(new) else frozenset(names)


def _pip_name(text: str) -> str:
    """Return the name in a requirement; the empty string where it is a path."""
    try:
        return canonicalize_name(Requirement(text).name)
    except InvalidRequirement:
        return ""


def with_places(spec: Spec, lock: Lock) -> Spec:
    """Return a lock's spec with the places of local code, which the lock's own entries know and a spec that travels
    does not.
    """
    places = {_name(item): item.requirement for item in lock.pip if is_local(item.requirement)}
    folders = {Path(path).name: path for path in places.values()}
    pip = tuple(_placed(text, places, folders) for text in spec.pip)
    git = {
        name: replace(source, remote=lock.git[name].remote) if name in lock.git else source
        for name, source in spec.git.items()
    }
    return replace(spec, pip=pip, git=Frozen(git))


def _placed(text: str, places: dict[str, str], folders: dict[str, str]) -> str:
    if is_local(text):
        bare, bracket, extras = text.partition("[") if text.endswith("]") else (text, "", "")
        return folders.get(Path(bare).name, bare) + bracket + extras
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return text
    place = places.get(canonicalize_name(requirement.name))
    if place is None or requirement.url:
        return text
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras} @ {Path(place).as_uri()}"


def _check_known(lock: Lock, moving: set[str], found: set[str]) -> None:
    for name in sorted(moving):
        if {name, name.lower(), canonicalize_name(name)} & found:
            continue
        held = [*(item.name for item in lock.conda), *(item.name for item in lock.pip), *lock.git, *lock.http]
        close = difflib.get_close_matches(name, held, n=3)
        raise ResolveError(
            f"the lock holds no {name}, so it cannot be updated",
            hint=f"did you mean {' or '.join(close)}?" if close else "name a package of the lock",
        )


def _with_data(lock: Lock, names: set[str], spec: Spec, means: Means) -> Lock:
    git, http = resolve_data(
        _chosen(spec.git, names),
        _chosen(spec.http, names),
        cache=means.cache,
        offline=means.offline,
        reporter=means.reporter,
    )
    return replace(
        lock,
        git=Frozen({name: one for name, one in {**lock.git, **git}.items() if name in spec.git}),
        http=Frozen({name: one for name, one in {**lock.http, **http}.items() if name in spec.http}),
    )


def _chosen(sources: Mapping[str, T], names: set[str]) -> dict[str, T]:
    return {name: source for name, source in sources.items() if name in names}


def _with_conda(lock: Lock, names: set[str], spec: Spec, means: Means) -> Lock:
    base = choose_base(spec, lock.platform, means)
    if base is not None:
        conda = resolve_conda(spec, engine=means.engine, base=base, platform=lock.platform, reporter=means.reporter)
        return replace(lock, conda=conda, base=base.locked)
    rest = {
        f"{item.name} =={item.version} {item.build}".rstrip(): item for item in lock.conda if item.name not in names
    }
    try:
        found = resolve_conda(
            spec,
            engine=means.engine,
            platform=lock.platform,
            constraints=tuple(rest),
            # It is for the machine that the lock says, whoever moves it.
            virtual_packages=lock.virtual_packages or None,
            offline=means.offline,
            reporter=means.reporter,
        )
    except ResolveError as error:
        raise _stuck(names, error) from error
    before = {item.name: item for item in lock.conda}
    return replace(lock, conda=tuple(_kept(before.get(item.name), item) for item in found))


def _kept(old: LockedConda | None, new: LockedConda) -> LockedConda:
    same = old is not None and (old.version, old.build, _file(old)) == (new.version, new.build, _file(new))
    return old if old is not None and same else new


def _file(item: LockedConda) -> str:
    return urlsplit(item.url).path.rsplit("/", 1)[-1]


def _with_pip(lock: Lock, names: set[str], spec: Spec, means: Means) -> Lock:
    before = {_name(item): item for item in lock.pip}
    stay = {name: item for name, item in before.items() if name not in names}
    # What has a place of its own stays at it: a branch would move, a directory may have changed.
    lines = tuple(_as_locked(text, stay) for text in spec.pip)
    pins = {name: item.version for name, item in stay.items() if item.version and not is_local(item.requirement)}
    here = installable(replace(lock, pip=()), means=means) if lock.base else lock
    try:
        found = resolve_pip_beside(
            replace(spec, pip=lines),
            here.conda,
            lock.virtual_packages,
            means=means,
            platform=lock.platform,
            pins=pins,
        )
    except ResolveError as error:
        raise _stuck(names, error) from error
    return replace(lock, pip=tuple(_same(stay.get(_name(item)), item) for item in found))


def _name(item: LockedPip) -> str:
    return canonicalize_name(item.name)


def _same(old: LockedPip | None, new: LockedPip) -> LockedPip:
    return old if old is not None and (old.version == new.version or is_local(old.requirement)) else new


def _as_locked(text: str, stay: dict[str, LockedPip]) -> str:
    try:
        name = canonicalize_name(Requirement(text).name)
    except InvalidRequirement:
        return text
    entry = stay.get(name)
    return entry.requirement if entry is not None and "git+" in entry.requirement else text


def _stuck(names: set[str], error: ResolveError) -> ResolveError:
    return ResolveError(
        f"{', '.join(sorted(names)) or 'the conda packages'} cannot move while all else stays: {error.message}",
        hint="name what has to move with it, each by --update, or lock the whole spec again",
        context=error.context,
    )
