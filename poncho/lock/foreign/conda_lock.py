"""``conda-lock.yml``, format 1 (conda-lock's ``conda_lock/lockfile/v1/models.py``).

One file locks several platforms. Packages have a category: ``main`` is what is always installed.
"""

from __future__ import annotations

from typing import Any

from packaging.utils import canonicalize_name

from poncho._frozen import Frozen
from poncho.errors import SpecError
from poncho.lock.foreign.urls import digests, from_url
from poncho.lock.model import Lock, LockedConda, LockedPip
from poncho.spec.foreign import parse_yaml
from poncho.spec.reader import Reader
from poncho.spec.requirements import check_requirement

_MAIN = "main"


def read_conda_lock(text: str, *, platform: str, environment: str | None = None, source: str | None = None) -> Lock:
    """Return the Lock of one platform. ``environment`` is a category to have beside ``main``. Raises SpecError."""
    root = Reader(parse_yaml(text, source=source), "", source).object()
    version = root.get("version")
    if version is None or version.value != "1":
        root.fail("a conda-lock file of another format than 1", hint="write it anew with conda-lock 1, 2 or 3")
    package, metadata = root.get("package"), root.get("metadata")
    if package is None:
        root.fail("'package' is missing")
    entries = [item.object() for item in package.elements()]
    _check_choice(entries, platform, environment, root)
    conda: dict[str, LockedConda] = {}
    pip: dict[str, LockedPip] = {}
    for entry in entries:
        if _text(entry, "platform") != platform or _text(entry, "category", _MAIN) not in (_MAIN, environment):
            continue
        manager = _text(entry, "manager", "conda")
        if manager == "conda":
            one = _conda(entry)
            conda[one.name] = one
        elif manager == "pip":
            other = _pip(entry)
            pip[canonicalize_name(other.name)] = other
        else:
            entry.child("manager").fail(f"{manager!r} is neither conda nor pip")
    return Lock(
        platform,
        "",
        channels=_channels(metadata, conda),
        conda=tuple(conda[name] for name in sorted(conda)),
        pip=tuple(pip[name] for name in sorted(pip)),
    )


def _check_choice(entries: list[Reader], platform: str, environment: str | None, root: Reader) -> None:
    platforms = sorted({_text(entry, "platform") for entry in entries})
    if platform not in platforms:
        raise SpecError(
            f"holds no packages for {platform}",
            source=root.source,
            hint=f"it is for {', '.join(platforms) or 'nothing'}; conda-lock --platform {platform} adds one",
        )
    categories = sorted({_text(entry, "category", _MAIN) for entry in entries} - {_MAIN})
    if environment not in (None, _MAIN, *categories):
        raise SpecError(
            f"has no category {environment!r}",
            source=root.source,
            hint=f"beside main there is {', '.join(categories) or 'none'}",
        )


def _channels(metadata: Reader | None, conda: dict[str, LockedConda]) -> tuple[str, ...]:
    """Return the channels' URLs as packages have them, in the order of the file's own list."""
    used = list(dict.fromkeys(item.channel for item in conda.values()))
    listed = metadata.object().get("channels") if metadata else None
    named = [found.string() for item in listed.elements() if (found := _channel_name(item))] if listed else []
    order = {name.rstrip("/").rsplit("/", 1)[-1]: place for place, name in enumerate(named)}
    return tuple(sorted(used, key=lambda url: order.get(url.rstrip("/").rsplit("/", 1)[-1], len(order))))


def _channel_name(item: Reader) -> Reader | None:
    return item.get("url") if isinstance(item.value, dict) else item


def _conda(entry: Reader) -> LockedConda:
    md5, sha256 = _hashes(entry)
    try:
        found = from_url(_text(entry, "url"), md5=md5, sha256=sha256)
    except ValueError as error:
        entry.child("url").fail(str(error))
    dependencies = entry.get("dependencies")
    # Virtual packages are of the machine, not of the environment; they stand there as well.
    depends = (
        [f"{name} {item.value}".rstrip(" *") for name, item in dependencies.members() if isinstance(item.value, str)]
        if dependencies
        else []
    )
    record: dict[str, Any] = {"depends": depends}
    return LockedConda(
        found.name,
        found.version,
        found.build,
        found.subdir,
        found.channel,
        found.url,
        sha256=sha256,
        md5=md5,
        record=Frozen(record),
    )


def _pip(entry: Reader) -> LockedPip:
    name, version, url = _text(entry, "name"), _text(entry, "version"), _text(entry, "url")
    _, sha256 = _hashes(entry)
    requirement = f"{name} @ {url}" if url.startswith("git+") or sha256 is None else f"{name}=={version}"
    check_requirement(requirement, entry.fail)
    return LockedPip(name, version, requirement, url=url, sha256=None if url.startswith("git+") else sha256)


def _hashes(entry: Reader) -> tuple[str | None, str | None]:
    found = entry.get("hash")
    if found is None:
        return None, None
    known = found.object()
    result: dict[str, str | None] = {"md5": None, "sha256": None}
    for place, key in enumerate(("md5", "sha256")):
        if (one := known.get(key)) is not None:
            try:
                result[key] = digests(f"{key}:{one.string()}")[place]
            except ValueError as error:
                one.fail(str(error))
    return result["md5"], result["sha256"]


def _text(entry: Reader, key: str, default: str | None = None) -> str:
    found = entry.get(key)
    if found is None:
        if default is None:
            entry.fail(f"{key!r} is missing")
        return default
    return found.string()
