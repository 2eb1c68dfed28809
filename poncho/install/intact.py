"""Is what was just installed what its packages say: caches that links are made from lose files, and keep damaged ones.

A site deletes old files of a scratch file system, a disk was full, a machine went down: uv and rattler link what is left in
their caches, and say nothing. RECORD and conda's ``paths_data`` have the digest of every file.
"""

from __future__ import annotations

import base64
import csv
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poncho import _json, _regular
from poncho._noarch import in_prefix
from poncho.engine.conda_meta import read_records
from poncho.fetch.content import digest_of
from poncho.install.records import Recorded, recorded_distributions
from poncho.lock.model import LockedConda
from poncho.store import Answers, BuilderCache, answer_key
from poncho.store.atomic import take_away

# What is compiled or generated at the installation, or noted for it: it has no digest from before, and nobody misses it.
MADE_HERE = re.compile(r"\.pyc\Z|(?:^|/)__pycache__/|\A__clobbers__/|\A\.nonadmin\Z|\AMenu/")
_MISSING, _CUT_OFF = "is missing", "is cut off"
_ORIGIN = re.compile(r"-[0-9a-f]{64}\Z")
_SIZE = re.compile(r"[0-9]{1,18}\Z")
_UNPACKING = 600.0  # seconds
_BATCH = 64
# Where the engines keep unpacked packages, below ``conda`` of the builder's cache.
_PACKAGES = ("pkgs", "command-pkgs")


@dataclass(frozen=True, slots=True)
class Expected:
    """One file of a package as it should be: ``digest`` (hexadecimal) and ``size`` (bytes) are None where they are not known."""

    package: str
    version: str
    path: str
    digest: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Wrong:
    """A file that is not as its package says, ``found`` what it is instead: its digest or size."""

    package: str
    version: str
    path: str
    what: str
    found: str = ""
    kind: str = "pip"

    @property
    def is_lost(self) -> bool:
        """Tell whether something is gone that the package cannot have been made without."""
        return self.what in (_MISSING, _CUT_OFF)

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def wrong_conda_files(prefix: Path) -> list[Wrong]:
    """Return the files of ``prefix`` that are not what its conda records say, sorted by package and path."""
    return [replace(one, kind="conda") for one in _wrong(prefix, list(_of_conda(prefix)))]


def wrong_pip_files(prefix: Path, names: Container[str] | None = None) -> list[Wrong]:
    """Return the files that are not what the RECORDs of the distributions ``names`` (canonical; None: of all) say."""
    listed = recorded_distributions(prefix, only=names)
    cut = [wrong for one in listed if (wrong := _cut_off(one)) is not None]
    return cut + _wrong(prefix, [file for one in listed for file in _of_pip(prefix, one)])


def files_of_unpacked_conda(package: Path) -> list[Expected]:
    """Return what a conda package's own list says of its files. Raises OSError, and ValueError for what is no list."""
    try:
        listed = _json.loads(_regular.read_bytes(package / "info" / "paths.json"))["paths"]
        return [Expected(package.name, "", str(one["_path"]), *_said_of_unpacked(one)) for one in listed]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no list of files") from error


def files_of_unpacked_wheel(record: Path) -> Iterator[Expected]:
    """Yield what the RECORD of an unpacked wheel says of its files. Raises OSError, and ValueError for what is no RECORD."""
    for name, digest, size in _rows(record):
        if not name.startswith("/") and "\\" not in name:
            yield Expected(record.parent.name, "", name, _hexadecimal(digest), size)


def first_wrong(root: Path, expected: Iterable[Expected]) -> Wrong | None:
    """Return the first file below ``root`` that is not as it should be."""
    looks = (_look(f"{root}/{one.path}", one) for one in expected)
    return next((wrong for wrong in looks if wrong is not None), None)


def new_ones(wrong: Iterable[Wrong], cache: BuilderCache) -> list[Wrong]:
    """Return those that are not known to be so in the package itself."""
    return [one for one in wrong if _answers(one, cache).get(_key(one)) is None]


def remember(wrong: Iterable[Wrong], cache: BuilderCache) -> None:
    """Keep that these are so in packages that came anew: there are wheels with a RECORD that is wrong."""
    for one in wrong:
        _answers(one, cache).put(_key(one), {"wrong": str(one)})


def _answers(one: Wrong, cache: BuilderCache) -> Answers:
    # Beside the packages that they are about.
    root = cache.directory(one.kind) / "as-they-are"
    root.mkdir(exist_ok=True)
    return Answers(root)


def _key(one: Wrong) -> str:
    # A conda package's script may write the prefix into its files: what they then are differs from place to place.
    found = (one.is_lost, "") if one.kind == "conda" else (one.what, one.found)
    return answer_key("wrong in the package itself", one.package, one.version, one.path, *found)


def damaged_packages(records: Iterable[LockedConda], cache: BuilderCache) -> list[LockedConda]:
    """Return those of which what is kept lacks files, or the list of them: by names and sizes."""
    return [
        record
        for record in records
        for place in _kept(record, cache)
        if place.is_dir() and not _is_young(place) and not _is_whole(place)
    ]


def discard_packages(records: Iterable[LockedConda], cache: BuilderCache) -> bool:
    """Delete what is kept of conda packages, so that they are fetched again; return whether there was something of each."""
    places = [_kept(record, cache) for record in records]
    for place in (one for found in places for one in found):
        take_away(place)
    return all(places)


def _kept(record: LockedConda, cache: BuilderCache) -> list[Path]:
    stem = _stem(record.filename)
    roots = [cache.directory("conda") / name for name in _PACKAGES]
    return [path for root in roots if root.is_dir() for path in root.iterdir() if _stem(path.name) == stem]


def _stem(name: str) -> str:
    """Return name, version and build; behind them rattler notes where a package is from, when not all have a sha256."""
    return _ORIGIN.sub("", name.removesuffix(".conda").removesuffix(".tar.bz2"))


def _is_young(package: Path) -> bool:
    """Tell whether another builder may be unpacking it now: conda and mamba do that in place, rattler does not."""
    try:
        return package.parent.name == _PACKAGES[1] and time.time() - package.stat().st_mtime < _UNPACKING
    except OSError:
        return True


def _is_whole(package: Path) -> bool:
    try:
        listed = files_of_unpacked_conda(package)
    except FileNotFoundError:
        return (package / "info" / "files").is_file()
    except (OSError, ValueError):
        return False
    return first_wrong(package, (replace(one, digest=None) for one in listed)) is None


def _of_conda(prefix: Path) -> Iterator[Expected]:
    for _, record in read_records(prefix):
        name, version = str(record.get("name")), str(record.get("version"))
        files = [str(file) for file in record.get("files") or ()]
        data = record.get("paths_data")
        paths = data.get("paths") or () if isinstance(data, dict) else ()
        items = {str(item["_path"]): item for item in in_prefix(paths, files)}
        for file in dict.fromkeys([*files, *items]):
            if not MADE_HERE.search(file):
                yield Expected(name, version, file, *_said(items.get(file, {})))


def _said(item: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Return the digest and the size that an entry of ``paths_data`` gives a file in the prefix."""
    if item.get("path_type", "hardlink") != "hardlink" or "original_path" in item:
        return None, None
    if item.get("prefix_placeholder"):
        # A binary keeps its length when the prefix is put in; not every engine knows the digest that it has then.
        return None, item.get("size_in_bytes") if item.get("file_mode") == "binary" else None
    if item.get("sha256_in_prefix", item.get("sha256")) != item.get("sha256"):
        return None, None  # libmamba has put the prefix in, and does not say how
    return item.get("sha256"), item.get("size_in_bytes")


def _said_of_unpacked(item: Mapping[str, Any]) -> tuple[str | None, int | None]:
    if item.get("path_type", "hardlink") != "hardlink":
        return None, None
    return item.get("sha256"), item.get("size_in_bytes")


def _cut_off(one: Recorded) -> Wrong | None:
    """Tell that a RECORD does not list itself and the METADATA beside it: it has lost its end, or all."""
    record = f"{one.directory}/RECORD"
    if any(file.startswith("/") or "\\" in file for file in one.files):
        return None  # written in a way of its own: absolute, or on another system
    listed = {record, f"{one.directory}/METADATA"} <= set(one.files)
    return None if listed else Wrong(one.name, one.version, record, _CUT_OFF, str(len(one.files)))


def _of_pip(prefix: Path, one: Recorded) -> Iterator[Expected]:
    site = one.directory.rpartition("/")[0]
    try:
        for file in files_of_unpacked_wheel(prefix / one.directory / "RECORD"):
            path = os.path.normpath(f"{site}/{file.path}")
            if not MADE_HERE.search(path):
                # A script that came with the wheel has got the interpreter's path, and keeps the old digest.
                said = (None, None) if path.startswith("bin/") else (file.digest, file.size)
                yield Expected(one.name, one.version, path, *said)
    except (OSError, ValueError):
        return


def _rows(record: Path) -> Iterator[tuple[str, str, int | None]]:
    try:
        with open(record, encoding="utf-8", errors="surrogateescape", newline="", opener=_regular.opener) as stream:
            for row in csv.reader(stream):
                if len(row) == 3 and row[0]:
                    yield row[0], row[1], int(row[2]) if _SIZE.match(row[2]) else None
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _hexadecimal(digest: str) -> str | None:
    algorithm, _, text = digest.partition("=")
    if algorithm != "sha256":
        return None
    try:
        return base64.urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}").hex()
    except ValueError:
        return None


def _wrong(prefix: Path, expected: Sequence[Expected]) -> list[Wrong]:
    # A file that several packages hold is one of them's.
    holders = Counter(one.path for one in expected)
    mine = [one for one in expected if holders[one.path] == 1]
    root = os.path.realpath(prefix)
    parts = [mine[at : at + _BATCH] for at in range(0, len(mine), _BATCH)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        looks = pool.map(lambda part: [_look(f"{root}/{one.path}", one) for one in part], parts)
        found = [wrong for part in looks for wrong in part if wrong is not None]
    return sorted(found, key=lambda one: (one.package, one.path))


def _look(path: str, one: Expected) -> Wrong | None:
    what, found = "", ""
    try:
        status = os.lstat(path)
        # A link is one into its engine's own cache.
        if not stat.S_ISLNK(status.st_mode):
            if one.size not in (None, status.st_size):
                what, found = f"has {status.st_size} bytes instead of {one.size}", str(status.st_size)
            elif one.digest is not None and not stat.S_ISREG(status.st_mode):
                what = "is no file"
            elif one.digest is not None and (found := digest_of(Path(path))) != one.digest:
                what = "is not what was packed into it"
    except (FileNotFoundError, ValueError):  # of a name that no file can have, too
        what = _MISSING
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    return Wrong(one.package, one.version, one.path, what, found) if what else None
