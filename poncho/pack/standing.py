"""Refuse what no archive can hold: a file or link, and something else of its name or below it.

One directory cannot hold both, so neither was read from one: either PONCHO adds one of them, or it comes from code that is
packed over the environment.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from typing import NoReturn

from poncho.errors import BuildError
from poncho.pack.model import Entry

# Given to an environment that lacks them.
_GIVEN = frozenset({"bin/python", "bin/python3", "conda-meta/history"})


def check_standing(found: Mapping[str, Entry], directories: Collection[str], added: Iterable[Entry]) -> None:
    """Raise BuildError where something is in the way of what is ``added`` to the entries ``found``, or of one another.

    Both by their paths. ``directories`` are those in which entries were found, or would have been. A file or link at the very
    path of an added one is not in its way: the added one takes its place. ``conda-meta`` must be a directory: records are known,
    and freed from credentials, by their path in it.
    """
    ours = {entry.path: entry for entry in added}
    for path in ours:
        other = found.get(path)
        if other is not None and other.directory:
            _refuse_directory(path, ours)
    records = found.get("conda-meta")
    if records is not None and records.link is not None:
        raise BuildError(
            "conda-meta: is a link in the environment, and records are packed from a directory only",
            hint="put the directory that it leads to in its place, or pack a copy of the environment in which that is done",
            context={"path": "conda-meta"},
        )
    # What is known only at the end lies in poncho/, as some of ours do.
    members = ChainMap(ours, dict(found))
    parents = {*directories, *(path.rpartition("/")[0] for path in (*ours, *_GIVEN))}
    new = parents
    while new:
        new = {above for path in new if (above := path.rpartition("/")[0])} - parents
        parents |= new
    for path in sorted(path for path in parents if path in members):
        # All that was found in a directory may have been left out.
        if not members[path].directory and any(name.startswith(path + "/") for name in members):
            _refuse(path, members, ours)


def _refuse(path: str, members: Mapping[str, Entry], ours: Mapping[str, Entry]) -> NoReturn:
    if path in ours or path in _GIVEN:
        _refuse_directory(path, ours)
    is_link = members[path].link is not None
    kind = "link" if is_link else "file"
    below = sorted(name for name in members if name.startswith(path + "/"))
    first = next((name for name in below if name in ours), None)
    if first is not None:
        instead = "put the directory that it leads to in its place" if is_link else "put it elsewhere"
        raise BuildError(
            f"{path}: is a {kind} in the environment, and the package adds {first}, which would lie below it",
            hint=f"{instead}, or pack a copy of the environment in which that is done",
            context={"path": path, "member": first},
        )
    raise BuildError(
        f"{path}: is a {kind}, and {below[0]} would lie below it: one of both belongs to code that is packed over the "
        "environment",
        hint="remove what is in the way from the environment, or install that code there without -e",
        context={"path": path, "member": below[0]},
    )


def _refuse_directory(path: str, ours: Mapping[str, Entry]) -> NoReturn:
    raise BuildError(
        f"{path}: is a directory in the environment, and the package adds "
        f"{'a file' if path in ours else 'a file or link'} of that name",
        hint="move it elsewhere, or pack a copy of the environment without it",
        context={"path": path, "member": path},
    )
