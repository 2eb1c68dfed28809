"""The sizes in an environment as a tree: parts, their directories, their files; small files are gathered where too many are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from poncho.look.inventory import Inventory
from poncho.look.words import count, shown
from poncho.package.owners import OTHER, Owner

_LIMIT = 60_000
_DEEPEST = 100  # what a page, and JSON, can hold of directories in directories
_OWN_NAMES = {"poncho": "PONCHO", "other": "no package"}


@dataclass(slots=True)
class Node:
    """A directory, or a part at the top: bytes and number of files below it, its directories, its files by size."""

    bytes: int = 0
    files: int = 0
    directories: dict[str, Node] = field(default_factory=dict)
    leaves: list[tuple[str, int]] = field(default_factory=list)


def size_tree(inventory: Inventory, *, limit: int = _LIMIT) -> list[dict[str, Any]]:
    """Return the parts, the largest first: ``{"n": name, "k": kind, "v": version, "o": origin, "p": path, "c": children}``.

    ``p`` is the directory that all of its files lie in, when there is one below the root.
    A child is ``[name, bytes]`` for a file, ``[name, [children]]`` for a directory, and ``[words, bytes, number]`` for that
    many small files of one directory, gathered so that at most about ``limit`` files are listed one by one, or all that lies
    too deep. A directory with nothing beside one directory is joined with it. Names are fit for showing.
    """
    tops: dict[Owner, Node] = {}
    sizes = []
    for item in inventory.items:
        if item.kind != "file":
            continue
        sizes.append(item.size)
        node = tops.setdefault(inventory.owners.get(item.path, OTHER), Node())
        *directories, name = item.path.split("/")
        for directory in directories:
            node.bytes += item.size
            node.files += 1
            node = node.directories.setdefault(directory, Node())
        node.bytes += item.size
        node.files += 1
        node.leaves.append((name, item.size))
    smallest = sorted(sizes, reverse=True)[limit] + 1 if len(sizes) > limit else 0
    known = {part.owner: part for part in inventory.parts}
    found = []
    for owner, node in sorted(tops.items(), key=lambda pair: (-pair[1].bytes, pair[0])):
        part = known.get(owner)
        name = part.name if part else _OWN_NAMES.get(owner.kind, owner.name)
        about = {"v": part.version, "o": part.origin.where} if part else {"v": "", "o": ""}
        about = {key: shown(value) for key, value in about.items() if value}
        below, node = _joined(node)
        about |= {"p": below} if below else {}
        found.append({"n": shown(name), "k": owner.kind, **about, "c": _children(node, smallest, 1)})
    return found


def _children(node: Node, smallest: int, depth: int) -> list[list[Any]]:
    children: list[list[Any]] = []
    if depth > _DEEPEST:
        return [[count(node.files, "file"), node.bytes, node.files]]
    for name, directory in node.directories.items():
        below, last = _joined(directory)
        children.append([shown(name) + (f"/{below}" if below else ""), _children(last, smallest, depth + 1)])
    small = [size for _, size in node.leaves if size < smallest]
    children += [[shown(name), size] for name, size in node.leaves if size >= smallest]
    if small:
        children.append([count(len(small), "small file"), sum(small), len(small)])
    return children


def _joined(node: Node) -> tuple[str, Node]:
    """Follow directories with nothing beside one directory; return their names and the last one."""
    names = []
    while len(node.directories) == 1 and not node.leaves:
        ((name, node),) = node.directories.items()
        names.append(shown(name))
    return "/".join(names), node
