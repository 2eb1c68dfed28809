"""Check every byte of a package against what it says about itself, without unpacking or running anything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from poncho import _json
from poncho._arguments import as_path
from poncho.errors import PackageError
from poncho.pack import manifest, selfextract
from poncho.package.archive import Index, damaged
from poncho.package.contents import Item, parse
from poncho.package.reading import Members, Opened, open_members, read_members

OWN = frozenset({manifest.CONTENTS, manifest.MANIFEST})
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found to be right: the digest, and how many files and bytes were read."""

    digest: str
    files: int
    bytes: int


def verify(path: Path | str) -> Verified:
    """Read the whole package and check it: framing, names, kinds, totals, every file's sha256, and the digest.

    Nothing is written and nothing is executed; memory does not grow with the size of files. Raises PackageError that
    names the first thing that is wrong; for an archive that PONCHO did not make, because there is nothing to check it
    against.
    """
    path = as_path(path, "a package")
    with open_members(path, exact=True) as opened:
        members = read_members(opened, wanted=OWN.__contains__)
        return check_members(path, opened, members)


def check_members(path: Path, opened: Opened, members: Members) -> Verified:
    """Compare what was read from ``path`` with what the package says of itself. Raises PackageError."""
    found, kept = members.items, members.texts
    if manifest.CONTENTS not in kept or manifest.MANIFEST not in kept:
        raise PackageError(
            f"{path}: not made by PONCHO, there is no list of contents to verify it against",
            hint="make the package with poncho create",
        )
    if opened.recompressed:
        raise damaged(path, "its header is missing; perhaps it was compressed again")
    listed = kept[manifest.CONTENTS]
    _compare(path, found, {item.path: item for item in parse(listed)})
    digest = manifest.digest(listed, kept[manifest.MANIFEST])
    files = sum(item.kind == "file" for item in found.values())
    size = sum(item.size for item in found.values())
    _totals(path, found, kept[manifest.MANIFEST])
    if opened.said is not None:
        facts = opened.said.facts
        if digest != opened.said.digest:
            raise damaged(path, "its content has another digest than its header says")
        if (files, size) != (facts.files, facts.bytes) or files != opened.said.files:
            raise damaged(path, "it does not hold as many files or bytes as it says")
    if opened.index is not None:
        _script(path, opened.index, found)
    return Verified(digest, files, size)


def _script(path: Path, index: Index, found: dict[str, Item]) -> None:
    """Check what a package that runs itself has before the archive: PONCHO's own lines and the runner in the package."""
    with path.open("rb") as stream:
        skip = selfextract.skip_of(stream.read(_HEAD))
        if skip is None:
            return
        stream.seek(0)
        script = stream.read(skip)
    runner = selfextract.runner_in(script)
    item = found.get("bin/poncho_package_run")
    if (
        item is None
        or hashlib.sha256(runner).hexdigest() != item.sha256
        or script != selfextract.script(runner, index.digest, index.facts)
    ):
        raise PackageError(
            f"{path}: the script before the package is not the one that this PONCHO writes",
            hint=f"do not execute it; the package itself is right: tail -c +{skip + 1} {path} >env.tar.gz",
        )


def _compare(path: Path, found: dict[str, Item], listed: dict[str, Item]) -> None:
    for name in sorted(found.keys() | listed.keys()):
        if name == manifest.CONTENTS:
            continue
        if name not in listed:
            raise damaged(path, f"{name!r} is in it, but not in its list of contents")
        if name not in found:
            raise damaged(path, f"{name!r} is missing")
        if found[name] != listed[name]:
            raise damaged(path, f"{name!r} is not what the list of contents says")


def _totals(path: Path, found: dict[str, Item], text: bytes) -> None:
    try:
        totals = _json.loads(text)["totals"]
        said = (totals["files"], totals["links"], totals["bytes"])
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, "its manifest") from error
    inside = [item for name, item in found.items() if name not in OWN]
    counted = (
        sum(item.kind == "file" for item in inside),
        sum(item.kind == "link" for item in inside),
        sum(item.size for item in inside),
    )
    if said != counted:
        raise damaged(path, "its manifest gives other totals")
