"""Packages that were made for another spec and satisfy this one, too: everything that is asked for, and more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from poncho._redact import strip_credentials
from poncho._types import Event, Reporter
from poncho.compat.identity import Today
from poncho.engine.rattler import RattlerEngine
from poncho.engine.worker import rattler_directory
from poncho.errors import PonchoError
from poncho.install.local import local_source
from poncho.lock.codec import loads as read_lock
from poncho.lock.model import Lock, LockedConda
from poncho.package import open_package
from poncho.resolution.conda import conda_specs, package_name, pinned_constraints
from poncho.resolution.local import locked_file, tree_digest
from poncho.spec import Spec, loads_spec
from poncho.store import BuilderCache

_SUFFIXES = (".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Approximation:
    """A package that satisfies a spec: what it was made for beyond that, and how many packages it holds in all."""

    path: Path
    extra: tuple[str, ...]
    packages: int

    def words(self) -> str:
        """Return one line for people."""
        more = f"it also has {', '.join(self.extra)}" if self.extra else "it was made for nothing else"
        return f"{self.path.name} satisfies the spec and is taken instead of a build: {more}; {self.packages} packages in all"

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"path": str(self.path), "extra": list(self.extra), "packages": self.packages}


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    size: int
    spec: Spec
    lock: Lock


def find_superset(
    spec: Spec, now: Today, directories: Iterable[Path], *, platform: str, cache: BuilderCache, reporter: Reporter
) -> Approximation | None:
    """Return the smallest package in ``directories`` that satisfies ``spec``, None when there is none.

    Satisfied means: the platform; each match spec by a conda package, from a channel of the spec; ``pinned``; each pip
    requirement by version, from pip or conda; local code, repositories and files by their content as of ``now``.
    """
    near: list[tuple[list[str], _Candidate]] = []
    for candidate in sorted(_candidates(directories), key=lambda one: (one.size, one.path.name)):
        unmet = list(_unmet(spec, now, candidate, platform, cache))
        if not unmet:
            lock = candidate.lock
            found = Approximation(candidate.path, tuple(_extra(spec, candidate.spec)), len(lock.conda) + len(lock.pip))
            reporter(Event("info", "pack", found.words()))
            return found
        near.append((unmet, candidate))
    if near:
        unmet, candidate = min(near, key=lambda one: len(one[0]))
        reporter(
            Event("info", "pack", f"no package in the cache satisfies the spec; the nearest lacks {', '.join(unmet)}")
        )
    return None


def _candidates(directories: Iterable[Path]) -> Iterator[_Candidate]:
    for directory in directories:
        for path in sorted(directory.glob("*")):
            if not path.name.endswith(_SUFFIXES) or path.name.startswith("."):
                continue
            try:
                package = open_package(path)
                if package.spec_text is None or package.lock_text is None:
                    continue
                spec, lock = loads_spec(package.spec_text, source=str(path)), read_lock(package.lock_text)
                yield _Candidate(path, path.stat().st_size, spec, lock)
            except (PonchoError, OSError):
                continue  # damaged, being deleted, or not a package


def _unmet(spec: Spec, now: Today, candidate: _Candidate, platform: str, cache: BuilderCache) -> Iterator[str]:
    """Yield what of ``spec`` a package does not satisfy."""
    lock = candidate.lock
    if lock.platform != platform:
        yield f"the platform {platform}"
        return
    yield from _unmet_conda(spec, lock, cache)
    python = next((one.version for one in lock.conda if one.name == "python"), None)
    for text in spec.pip:
        if not _has_pip(text, candidate, python):
            yield text
    made = Today.of_lock(spec, lock)
    for name, source in spec.git.items():
        ours = lock.git.get(name)
        same = ours is not None and (ours.subdirectory, ours.submodules, ours.lfs) == (
            source.subdirectory, source.submodules, source.lfs,
        )  # fmt: skip
        if not same or made.git.get(name) != now.git[name]:
            yield name
    for name, file in spec.http.items():
        theirs = candidate.spec.http.get(name)
        same = theirs is not None and (theirs.type, theirs.compression, theirs.filename) == (
            file.type, file.compression, file.filename,
        )  # fmt: skip
        if not same or made.http.get(name) != now.http[name]:
            yield name


def _unmet_conda(spec: Spec, lock: Lock, cache: BuilderCache) -> Iterator[str]:
    wanted = [match for match in conda_specs(spec) if match != "pip" or "pip" in spec.conda]
    names = {one.name: one for one in lock.conda}
    # By name first: most packages are no candidates, and asking the engine takes a process.
    missing = [match for match in wanted if package_name(match) not in names]
    if missing:
        yield from missing
        return
    pinned = [match for match in pinned_constraints(spec) if package_name(match) in names]
    asked = [*wanted, *pinned]
    if not asked:
        return
    if rattler_directory() is None:
        yield f"{asked[0]} (py-rattler, which could tell, is not installed)"
        return
    # The channel is compared here: a lock says it in another form than a match spec.
    plain = [match.rpartition("::")[2] for match in asked]
    found = RattlerEngine(cache).matching(plain, lock.conda)
    for match, allowed in zip(asked, found, strict=True):
        record = names[package_name(match)]
        if record.name not in allowed or not _from_channel(record, match, spec):
            yield match


def _from_channel(record: LockedConda, match: str, spec: Spec) -> bool:
    channel = match.rpartition("::")[0]
    wanted = [channel] if channel else list(spec.channels)
    if not wanted:
        return True
    have = strip_credentials(record.channel).rstrip("/").removesuffix(f"/{record.subdir}")
    for one in map(strip_credentials, wanted):
        if have == one.rstrip("/") or have.rpartition("/")[2] == one.rstrip("/").rpartition("/")[2]:
            return True
    return False


def _has_pip(text: str, candidate: _Candidate, python: str | None) -> bool:
    source = local_source(text)
    if source is not None:
        if not source.exists():
            return False
        digest = tree_digest(source) if source.is_dir() else locked_file("", "", source).sha256
        return any(one.sha256 == digest for one in candidate.lock.pip)
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return any(one.requirement == text for one in candidate.lock.pip)
    if requirement.marker is not None and python is not None:
        versions = {"python_version": ".".join(python.split(".")[:2]), "python_full_version": python}
        if not requirement.marker.evaluate(versions | {"extra": ""}):
            return True
    name = canonicalize_name(requirement.name)
    if requirement.url:
        return any(canonicalize_name(one.name) == name and one.url == requirement.url for one in candidate.lock.pip)
    if requirement.extras and not _with_extras(requirement, candidate.spec.pip):
        return False
    lock = candidate.lock
    packages = [(one.name, one.version) for one in lock.pip] + [(one.name, one.version) for one in lock.conda]
    return any(_contains(requirement, version) for found, version in packages if canonicalize_name(found) == name)


def _with_extras(requirement: Requirement, others: Sequence[str]) -> bool:
    """Tell whether one of ``others`` asks for the same extras: a lock does not say what they brought."""
    for text in others:
        try:
            other = Requirement(text)
        except InvalidRequirement:
            continue
        same = canonicalize_name(other.name) == canonicalize_name(requirement.name)
        if same and requirement.extras <= other.extras:
            return True
    return False


def _contains(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _extra(spec: Spec, made_for: Spec) -> Iterator[str]:
    asked = {package_name(match) for match in spec.conda} | {_pip_name(text) for text in spec.pip}
    more = [package_name(match) for match in made_for.conda] + [_pip_name(text) for text in made_for.pip]
    yield from sorted({name for name in more if name not in asked and name not in ("python", "pip")})
    yield from sorted((made_for.git.keys() | made_for.http.keys()) - spec.git.keys() - spec.http.keys())


def _pip_name(text: str) -> str:
    try:
        return str(canonicalize_name(Requirement(text).name))
    except InvalidRequirement:
        return text
