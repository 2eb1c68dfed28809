"""Check the builder's cache against the digests that its entries carry, and take out what is damaged."""

from __future__ import annotations

import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from poncho import _json
from poncho._types import Event, Reporter, silent
from poncho.errors import PonchoError
from poncho.fetch.content import digest_of
from poncho.fetch.gitcommand import GitCommand
from poncho.fetch.kept import is_untouched as is_data_untouched
from poncho.install.bytecode_cache import is_sound
from poncho.install.intact import (
    files_of_unpacked_conda,
    files_of_unpacked_wheel,
    first_wrong,
    new_ones,
    wrong_conda_files,
    wrong_pip_files,
)
from poncho.install.records import recorded_distributions
from poncho.install.slots import Slot, delete_unused, is_untouched
from poncho.pack.blocks import check as check_block
from poncho.package.verify import verify as verify_package
from poncho.store import BuilderCache, Flock, remove_tree
from poncho.store.answers import read_answer
from poncho.upkeep.inventory import BUCKETS, Item, inventory


@dataclass(frozen=True, slots=True)
class Damaged:
    """An item that is not what its digest says: what is wrong with it, and whether it was deleted."""

    item: Item
    what: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """How many items were right by bucket, which are damaged, and how many carry no digest to check.

    ``skipped`` are buckets that cannot be looked at while builders run.
    """

    right: dict[str, int]
    damaged: tuple[Damaged, ...]
    unverifiable: dict[str, int]
    skipped: tuple[str, ...]


def verify(
    cache: BuilderCache,
    *,
    buckets: Iterable[str] | None = None,
    delete: bool = True,
    reporter: Reporter = silent,
) -> Verified:
    """Read and check every item; delete the damaged ones unless ``delete`` is False: they are made or fetched again.

    Buckets that other programs write in place (conda, pip, git) are passed over while builders run; the others do not begin
    while this one is alone. Raises StoreError for a directory in which something else lies.
    """
    right: dict[str, int] = {}
    unverifiable: dict[str, int] = {}
    damaged: list[Damaged] = []
    skipped: list[str] = []
    with cache.alone() as alone, ThreadPoolExecutor() as pool:
        for name, items in inventory(cache, buckets).items():
            if not alone and name in ("conda", "pip", "git"):
                skipped.append(name)
                continue
            reporter(Event("start", "verify", name, total=len(items)))
            right[name] = unverifiable[name] = 0
            for item, what in zip(items, pool.map(_CHECKS[name], items), strict=True):
                if what is None:
                    right[name] += 1
                elif not os.path.lexists(item.paths[-1]):
                    continue  # pruned meanwhile
                elif what == "":
                    unverifiable[name] += 1
                else:
                    gone = delete and (alone or BUCKETS[name].robust) and _delete(item, cache)
                    damaged.append(Damaged(item, what, gone))
                    reporter(Event("warning", "verify", f"{name}: {item.name}: {what}"))
    return Verified(right, tuple(damaged), unverifiable, tuple(skipped))


def _delete(item: Item, cache: BuilderCache) -> bool:
    if item.bucket == "environments":
        return delete_unused(item.paths[0], cache)
    aside = cache.directory("tmp") / f"damaged-{secrets.token_hex(6)}"
    aside.mkdir()
    with Flock(aside, directory=True) as holder:
        holder.exclusive(wait=False)
        for path in item.paths:
            if path.exists() or path.is_symlink():
                path.rename(aside / secrets.token_hex(6))
        remove_tree(aside)
    return True


# Each check returns None when the item is right, what is wrong, or the empty string when there is nothing to check by.


def _answer(item: Item) -> str | None:
    return None if read_answer(item.paths[0]) is not None else "does not match its digest"


def _framed(item: Item) -> str | None:
    return None if is_sound(item.paths[0]) else "does not match its digest"


def _block(item: Item) -> str | None:
    try:
        return None if check_block(item.paths[0].read_bytes()) is not None else "does not match its checksum"
    except OSError:
        return None  # gone meanwhile


def _named_by_digest(item: Item) -> str | None:
    path = item.paths[0]
    if path.parent.parent.name != "sha256":
        return ""
    return None if _sha256(path) == path.name else "does not match its digest"


def _package(item: Item) -> str | None:
    path = item.paths[0]
    if not path.name.endswith((".tar.gz", ".tar.zst", ".tar")):
        return ""
    try:
        verify_package(path)
    except PonchoError as error:
        return error.message
    return None


def _environment(item: Item) -> str | None:
    place = item.paths[0]
    slot = Slot(place)
    if slot.state() is None:
        return ""
    with slot.lock() as lock:
        # Looking at all of it takes a while, in which no builder may change it.
        if not lock.shared(wait=False) and lock.works:
            return ""
        found = is_untouched(place)
        if found is None:
            return ""
        if not found:
            return "was changed since it was built"
        cache, prefix, state = BuilderCache(place.parent.parent), slot.prefix, slot.state()
        # A pip package may write over single files of conda's, and of what conda brought, conda's records say more than RECORD.
        names = state.pip if state is not None else {}
        written = {file for one in recorded_distributions(prefix, only=names) for file in one.files}
        conda = [one for one in wrong_conda_files(prefix) if one.path not in written]
        wrong = new_ones([*conda, *wrong_pip_files(prefix, names)], cache)
        return str(wrong[0]) if wrong else None


def _data(item: Item) -> str | None:
    return None if is_data_untouched(item.paths[0]) else "was changed since it was unpacked"


def _mirror(item: Item) -> str | None:
    try:
        found = GitCommand(item.paths[0]).damage()
    except PonchoError:
        return ""  # no git on this machine
    return None if found is None else found.last_line


def _base(item: Item) -> str | None:
    for index in sorted(item.paths[0].glob("*/repodata.json")):
        try:
            repodata = _json.loads(index.read_text(encoding="utf-8"))
            packages = {**repodata.get("packages", {}), **repodata.get("packages.conda", {})}
            for name, record in packages.items():
                if _sha256(index.parent / name) != record["sha256"]:
                    return f"{name} does not match its digest"
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return "its index cannot be read"
    return None if (item.paths[0] / "base.json").is_file() else "is not whole"


def _conda(item: Item) -> str | None:
    directory = next((path for path in item.paths if (path / "info").is_dir()), None)
    if directory is None or directory.parent.name != "pkgs":
        return ""
    try:
        wrong = first_wrong(directory, files_of_unpacked_conda(directory))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        return "its list of files cannot be read"
    return None if wrong is None else str(wrong)


def _wheel(item: Item) -> str | None:
    archive = item.paths[-1]
    if not archive.parent.name.startswith("archive-"):
        return ""
    found = False
    for record in archive.glob("*.dist-info/RECORD"):
        found = True
        try:
            wrong = first_wrong(archive, files_of_unpacked_wheel(record))
        except (OSError, ValueError) as error:
            return f"cannot be read ({getattr(error, 'strerror', None) or error})"
        if wrong is not None:
            return str(wrong)
    return None if found else ""


def _index(item: Item) -> str | None:
    """An answer of an index; asked again where it cannot be read."""
    try:
        _json.loads(item.paths[0].read_bytes())
    except (OSError, ValueError):
        return "cannot be read"
    return None


def _wheel_file(item: Item) -> str | None:
    try:
        with zipfile.ZipFile(item.paths[0]) as wheel:
            wrong = wheel.testzip()
    except (OSError, zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, ValueError):
        # RuntimeError: a bit says that it is encrypted, or packed in a way that Python does not know.
        return "is no wheel"
    return f"{wrong} does not match its checksum" if wrong else None


def _sha256(path: Path) -> str:
    try:
        return digest_of(path)
    except OSError:
        return ""


_CHECKS: dict[str, Callable[[Item], str | None]] = {
    "packages": _package,
    "environments": _environment,
    "blocks": _block,
    "looks": _framed,
    "bytecode": _framed,
    "solve": _answer,
    "analysis": _answer,
    "data": _data,
    "conda": _conda,
    "pip": _wheel,
    "base": _base,
    "git": _mirror,
    "http": _named_by_digest,
    "index": _index,
    "modules": _wheel_file,
}
