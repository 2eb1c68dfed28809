"""Where the files of a ``noarch: python`` conda package lie: conda's records say it in two ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


def in_prefix(items: Iterable[object], files: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of ``paths_data`` with the path in the prefix, as in ``files``; what is no entry is passed over.

    conda (26.7) notes the path in the package, ``site-packages/x.py``, where others note ``lib/python3.11/site-packages/x.py``.
    """
    places: dict[str, str] | None = None
    named: frozenset[str] | None = None
    for item in items:
        if not isinstance(item, dict) or "_path" not in item:
            continue
        path = str(item["_path"])
        if path.startswith("python-scripts/"):
            named = frozenset(files) if named is None else named
            script = f"bin/{path.removeprefix('python-scripts/')}"
            if script in named and path not in named:
                yield {**item, "_path": script}
                continue
        if path.startswith("site-packages/"):
            if places is None:
                places = {file[at + 1 :]: file for file in files if (at := file.find("/site-packages/")) >= 0}
            if path in places:
                yield {**item, "_path": places[path]}
                continue
        yield item
