"""What a lock costs before it is built: bytes to download, about how much they become, what the caches hold already."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from poncho import _json
from poncho._regular import opener
from poncho._trees import walk
from poncho.engine.conda_meta import read_records
from poncho.fetch import remote_size
from poncho.fetch.remote import Remote
from poncho.install import InstalledDistribution, installed_distributions
from poncho.lock.codec import document
from poncho.lock.model import Lock, LockedConda, LockedGit, LockedPip
from poncho.store import BuilderCache

# Installed bytes for each byte of the archive, measured: 15 wheels of the scientific kind (numpy to pandas, 3.6 by weight), 20
# .conda packages (2.8 to 10, the large ones 2.8 to 5). A lock does not say more.
_WHEEL_GROWS, _CONDA_GROWS = 3.6, 4.5
# What compiling adds to an environment, in it and once more in the cache: measured, 122 MB for 333 MB.
_COMPILED = 1.75
# Files take whole blocks.
_BLOCKS = 1.1
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a package is made of. ``kind`` is ``conda``, ``pip``, ``git`` or ``http``.

    ``download`` is the size in bytes of what has to be transferred when nothing is cached, ``installed`` what it takes
    when it is installed; None where that is not known. ``measured`` tells whether ``installed`` was counted, in
    the cache, or estimated.
    """

    kind: str
    name: str
    version: str
    download: int | None = None
    installed: int | None = None
    measured: bool = False
    cached: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the part as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Preview:
    """A lock with the sizes of its parts, in the lock's order."""

    lock: Lock
    parts: tuple[Part, ...]

    @property
    def missing(self) -> tuple[Part, ...]:
        """Return the parts that have to be transferred."""
        return tuple(part for part in self.parts if not part.cached)

    @property
    def download_bytes(self) -> int:
        """Return how many bytes have to be transferred, as far as that is known."""
        return sum(part.download or 0 for part in self.missing)

    @property
    def installed_bytes(self) -> int:
        """Return about how many bytes the environment will have."""
        return sum(part.installed or 0 for part in self.parts)

    @property
    def unknown(self) -> int:
        """Return how many parts have to be transferred whose size is not known."""
        return sum(part.download is None for part in self.missing)

    def to_json(self) -> dict[str, Any]:
        """Return ``{"lock": …, "parts": [{"kind", "name", "version", "download", …}], "total": {…}}``."""
        return {
            "lock": document(self.lock),
            "parts": [part.to_json() for part in self.parts],
            "total": {
                "parts": len(self.parts),
                "cached": len(self.parts) - len(self.missing),
                "download_bytes": self.download_bytes,
                "download_unknown": self.unknown,
                "installed_bytes": self.installed_bytes,
            },
        }


def preview(lock: Lock, *, cache: BuilderCache, offline: bool = False, prefix: Path | None = None) -> Preview:
    """Return what building ``lock`` costs. Sizes that the lock does not have are asked for, unless ``offline``.

    With ``prefix``, the environment that the lock describes, everything is there already.
    """
    if prefix is not None:
        return Preview(lock, tuple(_there(lock, prefix, cache)))
    tasks: list[Callable[[], Part]] = [lambda one=one: _conda(one, cache) for one in lock.conda]  # type: ignore[misc]
    tasks += [lambda one=one: _pip(one, cache, offline) for one in lock.pip]  # type: ignore[misc]
    tasks += [lambda name=name, one=one: _git(name, one, cache) for name, one in lock.git.items()]  # type: ignore[misc]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        parts = list(pool.map(lambda task: task(), tasks))
    for name, one in lock.http.items():
        held = (cache.root / "http" / "sha256" / one.sha256[:2] / one.sha256).is_file()
        installed = one.size if one.type == "file" and one.compression is None else None
        parts.append(Part("http", name, one.sha256[:12], one.size, installed, installed is not None, held))
    return Preview(lock, tuple(parts))


def needed_bytes(lock: Lock, *, cache: BuilderCache, offline: bool = False) -> int:
    """Return about how many bytes a build of ``lock`` takes below the cache: downloads, and what they become."""
    found = preview(lock, cache=cache, offline=offline)
    downloads = sum(part.download or 0 for part in found.missing)
    # This machine's interpreter is kept as a conda package, and installed from that.
    downloads += sum(
        one.download or 0 for one, locked in zip(found.parts, lock.conda, strict=False) if _local(locked.url)
    )
    # Data lies in the cache and, for a while, beside the environment; what is cached is linked, not copied.
    data = sum(part.download or 0 for part in found.parts if part.kind == "http")
    return round(_BLOCKS * (downloads + data + _COMPILED * sum(part.installed or 0 for part in found.parts)))


def _conda(item: LockedConda, cache: BuilderCache) -> Part:
    base = cache.root / "conda"
    held = base / "pkgs" / f"{item.name}-{item.version}-{item.build}"
    if (
        not held.exists()
    ):  # where not all have a sha256, they are kept by where they came from (rattler_worker.installing)
        held = next(held.parent.glob(f"{held.name}-{'[0-9a-f]' * 64}"), held)
    size, local = item.size, _local(item.url)
    if local is not None and size is None:
        size = _size_of(local)
    exact = _paths_total(held / "info" / "paths.json")
    cached = exact is not None or local is not None or (base / "command-pkgs" / item.filename).is_file()
    installed = exact if exact is not None else round(size * _CONDA_GROWS) if size else None
    return Part("conda", item.name, f"{item.version} {item.build}".strip(), size, installed, exact is not None, cached)


def _pip(item: LockedPip, cache: BuilderCache, offline: bool) -> Part:
    local = _local(item.url or "")
    if local is not None:
        size = _size_of(local)
        installed = size if local.is_dir() else round(size * _WHEEL_GROWS) if size else None
        return Part("pip", item.name, item.version, size, installed, False, True)
    held = _uv_entry(item, cache)
    exact = _tree_bytes(held) if held is not None and held.is_dir() and item.url and item.url.endswith(".whl") else None
    size = item.size
    if size is None and held is None and item.url and "git+" not in item.url and not offline:
        size = remote_size(item.url)
    installed = exact if exact is not None else round(size * _WHEEL_GROWS) if size else None
    return Part("pip", item.name, item.version, size, installed, exact is not None, held is not None)


def _git(name: str, item: LockedGit, cache: BuilderCache) -> Part:
    mirror = cache.root / "git" / f"{Remote.parse(item.remote).key}.git"
    ref = f"refs/poncho/commit/{item.commit}"
    try:
        held = (mirror / ref).is_file() or ref in (mirror / "packed-refs").read_text()
    except OSError:
        held = False
    return Part("git", name, item.commit[:12], cached=held)


def _there(lock: Lock, prefix: Path, cache: BuilderCache) -> Iterable[Part]:
    sizes: dict[str, int] = {}
    for _, said in read_records(prefix):
        sizes[str(said.get("name"))] = _sum_of_paths(said.get("paths_data")) or sum(
            _size_of(prefix / name) or 0 for name in said.get("files") or ()
        )
    for one in lock.conda:
        installed = sizes.get(one.name)
        if installed is None:  # a virtual environment borrows its interpreter
            yield replace(_conda(one, cache), cached=True)
            continue
        yield Part("conda", one.name, f"{one.version} {one.build}", one.size, installed, True, True)
    held = {item.name: _recorded(item) for item in installed_distributions(prefix)}
    for item in lock.pip:
        size = held.get(canonicalize_name(item.name))
        yield Part("pip", item.name, item.version, item.size, size, size is not None, True)


def _recorded(item: InstalledDistribution) -> int | None:
    """Return the bytes that a distribution's RECORD says it has; None where it says nothing."""
    try:
        with open(item.metadata / "RECORD", newline="", encoding="utf-8", errors="replace", opener=opener) as stream:
            return sum(int(row[2]) for row in csv.reader(stream) if len(row) == 3 and row[2].isdecimal()) or None
    except (OSError, csv.Error, ValueError):
        return None


def _uv_entry(item: LockedPip, cache: BuilderCache) -> Path | None:
    """Return where uv keeps a distribution: ``wheels-vN/pypi/NAME/VERSION-TAGS`` (or below ``index/HASH``), or None."""
    root, name = cache.root / "pip" / "uv", canonicalize_name(item.name)
    file = unquote(urlsplit(item.url or "").path).rsplit("/", 1)[-1]
    patterns = [f"sdists-v*/pypi/{name}/{item.version}", f"sdists-v*/index/*/{name}/{item.version}"]
    if file.endswith(".whl"):
        stem = file.removesuffix(".whl").split("-", 1)[-1]
        patterns = [f"wheels-v*/{kind}/{name}/{stem}" for kind in ("pypi", "index/*", "url/*", "flat/*")]
    return next((path for pattern in patterns for path in root.glob(pattern)), None)


def _local(url: str) -> Path | None:
    return Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None


def _size_of(path: Path) -> int | None:
    try:
        return _tree_bytes(path) if path.is_dir() else path.lstat().st_size
    except OSError:
        return None


def _tree_bytes(root: Path) -> int:
    total = 0
    for directory, _, files in walk(root):
        for name in files:
            total += os.lstat(os.path.join(directory, name)).st_size
    return total


def _paths_total(path: Path) -> int | None:
    try:
        return _sum_of_paths(_json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _sum_of_paths(document: object) -> int:
    paths = document.get("paths") if isinstance(document, dict) else None
    sizes = [one.get("size_in_bytes") for one in paths if isinstance(one, dict)] if isinstance(paths, list) else []
    return sum(size for size in sizes if isinstance(size, int))
