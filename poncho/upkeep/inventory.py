"""What the builder's cache holds: buckets, and in each the items that can be deleted for themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from poncho._trees import walk
from poncho.store import BuilderCache


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a bucket: its name for people, its paths, its size on disk in bytes, and when it was last used.

    ``used`` is in seconds since the epoch: what PONCHO itself notes, or the access time that the file system keeps.
    """

    bucket: str
    name: str
    paths: tuple[Path, ...]
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """One kind of thing. ``robust``: its items may go while builders run, who miss one make it again.

    ``asked``: they go only when the bucket is named, as no builder can make them again.
    """

    name: str
    what: str
    robust: bool
    items: Callable[[Path], Iterator[Item]]
    asked: bool = False


def inventory(cache: BuilderCache, names: Iterable[str] | None = None) -> dict[str, list[Item]]:
    """Return the items of the buckets that exist (or of those called ``names``), the longest unused first.

    Raises StoreError for a directory in which something else lies.
    """
    cache.check()
    wanted = set(BUCKETS if names is None else names)
    found = {}
    for name, bucket in BUCKETS.items():
        root = cache.root / name
        if name in wanted and root.is_dir():
            found[name] = sorted(bucket.items(root), key=lambda item: (item.used, item.name))
    return found


def _fanned_files(root: Path) -> Iterator[Item]:
    """``<2 hex>/<key>``: each file is an item; private files of writers are passed over."""
    for directory in _children(root):
        for entry in _children(directory):
            if not entry.name.startswith(".") and not entry.name.endswith(".tmp"):
                try:
                    status = entry.stat()
                except OSError:
                    continue
                # Touched when used; the time of access says more where the file system keeps it.
                used = max(status.st_mtime, status.st_atime)
                yield Item(root.name, entry.name, (Path(entry.path),), status.st_blocks * 512, used)


def _environments(root: Path) -> Iterator[Item]:
    for entry in _children(root):
        if entry.is_dir(follow_symlinks=False):
            used = _used(f"{entry.path}/state.json") or _used(entry.path)
            yield Item(root.name, entry.name, (Path(entry.path),), own_size(entry.path), used)


def _data(root: Path) -> Iterator[Item]:
    for entry in _children(root):
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            used = _used(f"{entry.path}/state.json") or _used(entry.path)
            yield Item(root.name, entry.name, (Path(entry.path),), own_size(entry.path), used)


def _packages(root: Path) -> Iterator[Item]:
    for entry in _children(root):
        if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
            yield _whole(root.name, entry.name, Path(entry.path))


def _flat(root: Path) -> Iterator[Item]:
    for entry in _children(root):
        if not entry.name.startswith("."):
            yield _whole(root.name, entry.name, Path(entry.path))


def _base(root: Path) -> Iterator[Item]:
    for entry in _children(root):
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            used = max(_used(f"{entry.path}/base.json"), _used(entry.path))
            yield Item(root.name, entry.name, (Path(entry.path),), own_size(entry.path), used)


def _git(root: Path) -> Iterator[Item]:
    for entry in _children(root):
        if entry.name.endswith(".git"):
            used = max(_used(entry.path), _used(f"{entry.path}/poncho.json"), _used(f"{entry.path}/HEAD"))
            yield Item(root.name, entry.name, (Path(entry.path),), own_size(entry.path), used)


def _http(root: Path) -> Iterator[Item]:
    for directory in _children(root / "sha256"):
        for entry in _children(directory):
            yield _whole(root.name, entry.name, Path(entry.path))
    for entry in _children(root / "partial"):
        if not entry.name.endswith(".json"):
            notes = Path(f"{entry.path}.json")
            item = _whole(root.name, f"partial/{entry.name}", Path(entry.path))
            yield Item(item.bucket, item.name, (*item.paths, notes), item.size, item.used)


def _conda(root: Path) -> Iterator[Item]:
    packages = root / "pkgs"
    names: dict[str, list[Path]] = {}
    for entry in _children(packages):
        stem = entry.name
        for end in (".lock", ".conda", ".tar.bz2"):
            stem = stem.removesuffix(end)
        if not stem.startswith("."):
            names.setdefault(stem, []).append(Path(entry.path))
    for name, paths in names.items():
        inside = [f"{path}/info/index.json" for path in paths]
        used = max([*map(_used, paths), *map(_used, inside)], default=0.0)
        yield Item(root.name, name, tuple(paths), sum(map(own_size, paths)), used)
    for entry in _children(root):
        if entry.name != "pkgs" and not entry.name.startswith("."):
            used = max((_used(one.path) for one in _children(Path(entry.path))), default=_used(entry.path))
            yield Item(root.name, entry.name, (Path(entry.path),), own_size(entry.path), used)


def _pip(root: Path) -> Iterator[Item]:
    """uv's unpacked wheels, each with what leads to it; the rest of its cache, and pip's own, as one item each."""
    uv = root / "uv"
    pointers = _uv_pointers(uv)
    archives = {entry.name: Path(entry.path) for top in _children_like(uv, "archive-") for entry in _children(top)}
    for name, archive in archives.items():
        paths = pointers.get(name, [])
        used = max((_used(path) for path in (archive, *paths)), default=0.0)
        label = f"uv/{paths[0].parent.name}-{paths[0].name}" if paths else f"uv/{name}"
        yield Item(root.name, label, (*paths, archive), own_size(archive), used)
    for entry in _children(uv):
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(("archive-", "wheels-")):
            used = max((_used(one.path) for one in _children(Path(entry.path))), default=_used(entry.path))
            yield Item(root.name, f"uv/{entry.name}", (Path(entry.path),), own_size(entry.path), used)
    for entry in _children(root):
        if entry.name != "uv":
            yield _whole(root.name, entry.name, Path(entry.path))


def _uv_pointers(uv: Path) -> dict[str, list[Path]]:
    """Return, by the name of an unpacked wheel, the links that lead to it, first, and what is noted beside them."""
    found: dict[str, list[Path]] = {}
    for top in (*_children_like(uv, "wheels-"), *_children_like(uv, "sdists-")):
        for directory, folders, files in walk(top):
            for name in (*folders, *files):
                path = Path(directory, name)
                if path.is_symlink():
                    beside = [Path(directory, one) for one in files if one.startswith(f"{name}.")]
                    found.setdefault(os.path.basename(os.readlink(path)), []).extend([path, *sorted(beside)])
    return found


def _children(directory: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _children_like(directory: Path, begin: str) -> list[Path]:
    return [Path(entry.path) for entry in _children(directory) if entry.name.startswith(begin)]


def _whole(bucket: str, name: str, path: Path) -> Item:
    return Item(bucket, name, (path,), own_size(path), _used(path))


def _used(path: Path | str) -> float:
    try:
        status = os.lstat(path)
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_atime)


def own_size(path: Path | str) -> int:
    """Return the bytes on disk that deleting ``path`` sets free: those of files that have no link elsewhere.

    Files of a kept environment are links to unpacked packages: these count where they are unpacked.
    """
    elsewhere = "/environments/" in f"{path}/"
    total = 0
    seen: set[tuple[int, int]] = set()
    waiting = [os.fspath(path)]
    while waiting:
        current = waiting.pop()
        try:
            status = os.lstat(current)
        except OSError:
            continue
        if os.path.isdir(current) and not os.path.islink(current):
            total += status.st_blocks * 512
            waiting += [entry.path for entry in _children(Path(current))]
        elif status.st_nlink == 1 or (not elsewhere and (status.st_dev, status.st_ino) not in seen):
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total


BUCKETS: Mapping[str, Bucket] = {
    bucket.name: bucket
    for bucket in (
        Bucket(
            "packages",
            "packages kept by their spec: poncho_package_cache, dict_to_env, --approx, Parsl, Dask",
            False,
            _packages,
        ),
        Bucket("environments", "installed environments, for the next build to change", True, _environments),
        Bucket("blocks", "compressed parts of packages", True, _fanned_files),
        Bucket("looks", "what files of environments were found to hold", True, _fanned_files),
        Bucket("bytecode", "compiled Python files", True, _fanned_files),
        Bucket("solve", "solutions, and what they depend on", True, _fanned_files),
        Bucket("analysis", "what programs import, by the content of their files", True, _fanned_files),
        Bucket("data", "git and http data, unpacked", False, _data),
        Bucket("conda", "conda packages and channel indexes", False, _conda),
        Bucket("pip", "wheels and package index pages", False, _pip),
        Bucket("base", "interpreters of this machine, repackaged", False, _base),
        Bucket("git", "mirrors of git repositories", False, _git),
        Bucket("http", "downloaded files", False, _http),
        Bucket("index", "what a package index says of projects and wheels, for an analysis", True, _flat),
        Bucket("modules", "programs' own modules: analyze --ship-local makes them again", False, _flat, asked=True),
    )
}
