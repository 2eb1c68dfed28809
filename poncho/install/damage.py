"""Is a conda environment what its records say: which files are gone, which ones pip has put others in the place of."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from poncho import _regular
from poncho._noarch import in_prefix
from poncho._types import Event, Reporter
from poncho.engine.conda_meta import read_records
from poncho.errors import BuildError
from poncho.install.distributions import InstalledDistribution, installed_distributions, is_owned
from poncho.install.intact import MADE_HERE
from poncho.install.records import recorded_distributions

_METADATA = re.compile(r"(?:^|/)(?P<name>[^/]+?)-[^/-]+?(?:-py3[^/]*)?\.(?:dist-info/METADATA|egg-info/PKG-INFO)\Z")
_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Record:
    title: str
    files: Sequence[str]
    sizes: Mapping[str, int]
    distributions: Mapping[str, str]


def check_files(prefix: Path, *, ignore_missing: bool, reporter: Reporter) -> None:
    """Compare ``prefix`` with ``conda-meta``, by the names and sizes of files.

    What pip replaced or wrote over is a warning: the files that are there are the ones that are used. Raises BuildError
    that lists the conda packages of which files are missing, unless ``ignore_missing``; then that is a warning, too.
    """
    records = [_record(record) for _, record in read_records(prefix)]
    root = prefix.resolve()
    owned = {file for record in records for file in record.files}
    by_pip = {item.name: item for item in installed_distributions(prefix) if not is_owned(item, root, owned)}
    written = _written(by_pip.values(), root) if records else {}
    missing: dict[str, list[str]] = {}
    for record in records:
        gone = [file for file in record.files if not MADE_HERE.search(file) and not os.path.lexists(prefix / file)]
        replaced = [name for name, file in record.distributions.items() if file in gone and name in by_pip]
        if replaced:
            now = by_pip[replaced[0]]
            _warn(
                reporter, f"pip has replaced conda package {record.title} by {now.name} {now.version}: that is packed"
            )
            continue
        over = [file for file in record.files if file in written]
        other = [
            file
            for file in record.sizes
            if file not in written and _size(prefix / file) not in (None, record.sizes[file])
        ]
        if over:
            others = ", ".join(sorted({f"{written[file].name} {written[file].version}" for file in over}))
            _warn(
                reporter,
                f"pip package {others} wrote over {_some(over)} of conda package {record.title}: what is there is packed",
            )
        if other:
            _warn(
                reporter,
                f"{_some(other)} of conda package {record.title} changed since the installation: what is there is packed",
            )
        if gone:
            missing[record.title] = gone
    if not missing:
        return
    listed = "; ".join(f"{title} ({_some(files)})" for title, files in sorted(missing.items()))
    message = f"files of conda packages are missing: {listed}"
    if not ignore_missing:
        raise BuildError(
            message,
            hint="install these packages again, or pack what is there with --ignore-missing-files",
            context={"missing": {title: sorted(files) for title, files in missing.items()}},
        )
    _warn(reporter, message)


def _record(record: Mapping[str, Any]) -> _Record:
    files = [str(file) for file in record.get("files") or ()]
    data = record.get("paths_data")
    paths = data.get("paths") or () if isinstance(data, dict) else ()
    sizes = {
        str(item.get("_path")): item["size_in_bytes"]
        for item in in_prefix(paths, files)
        if isinstance(item.get("size_in_bytes"), int)
        and item.get("path_type") == "hardlink"
        and not item.get("prefix_placeholder")
        and item.get("sha256") == item.get("sha256_in_prefix", item.get("sha256"))  # libmamba records no placeholder
        and not MADE_HERE.search(str(item.get("_path")))
    }
    distributions = {str(canonicalize_name(match["name"])): file for file in files if (match := _METADATA.search(file))}
    return _Record(f"{record.get('name')} {record.get('version')}", files, sizes, distributions)


def _written(installed: Collection[InstalledDistribution], root: Path) -> Mapping[str, InstalledDistribution]:
    """Return whose each file is that distributions list, by its path relative to the resolved prefix; bytecode is nobody's."""
    listed = {root / one.directory: one.files for one in recorded_distributions(root)}
    return {
        file: item
        for item in installed
        for file in listed.get(item.metadata) or _listed_by_setup(item.metadata, root)
        if not file.endswith(".pyc")
    }


def _listed_by_setup(metadata: Path, root: Path) -> Iterator[str]:
    """Yield what ``setup.py install`` has put beside an ``.egg-info`` for pip."""
    try:
        lines = _regular.read_text(metadata / "installed-files.txt", "surrogateescape").splitlines()
    except OSError:
        return
    for line in filter(None, lines):
        path = os.path.normpath(f"{metadata}/{line}")
        if path.startswith(f"{root}/"):
            yield path[len(f"{root}/") :]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _some(files: Sequence[str]) -> str:
    named = sorted(files)[:_NAMED]
    more = len(files) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _warn(reporter: Reporter, message: str) -> None:
    reporter(Event("warning", "pack", message))
