"""Read a lock from its JSON text: strictly, because what it says is downloaded, run and packed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import unquote

from packaging.utils import canonicalize_name, canonicalize_version

from poncho._frozen import Frozen
from poncho.lock.model import Lock, LockedBase, LockedConda, LockedGit, LockedHttp, LockedPip
from poncho.lock.places import absolute
from poncho.spec.codec import load_json, parse
from poncho.spec.digest import spec_digest
from poncho.spec.model import Spec
from poncho.spec.names import check_variable
from poncho.spec.reader import Reader
from poncho.spec.requirements import check_requirement

FORMAT = 1
BASE_URL = "base:"
PLATFORM = re.compile(r"[a-z][a-z0-9]*-[a-z0-9_]+|noarch")

CONDA_KEYS = ("name", "version", "build", "subdir", "channel", "url", "sha256", "md5", "size", "record")
PIP_KEYS = ("name", "version", "requirement", "url", "sha256", "size")
GIT_KEYS = ("remote", "commit", "ref", "depth", "submodules", "lfs", "subdirectory")
HTTP_KEYS = ("url", "sha256", "size", "type", "compression", "filename", "headers")
BASE_KEYS = ("version", "kind", "sha256")
_TOP_KEYS = (
    "poncho_lock",
    "platform",
    "spec",
    "spec_digest",
    "virtual_packages",
    "channels",
    "base",
    "conda",
    "pip",
    "git",
    "http",
)
# What a record says again of its entry.
REPEATED = frozenset(CONDA_KEYS) | {"fn", "extracted_package_dir", "package_tarball_full_path"}
# Names become parts of paths: nothing but these characters, and none of them first.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_WORD = re.compile(r"[A-Za-z0-9_.+!~-]+")
_EXACT = re.compile(r"([A-Za-z0-9_.-]+)\s*==\s*([A-Za-z0-9_.+!-]+)")
_SCHEMES = ("https://", "http://", "file://", "s3://", "oci://", BASE_URL)
_ARCHIVES = (".conda", ".tar.bz2")

T = TypeVar("T")
E = TypeVar("E", LockedConda, LockedPip)


def loads(text: str, *, source: str | None = None, base: Path | None = None) -> Lock:
    """Return the Lock that a JSON text holds. Raises SpecError with a JSON pointer; ``source`` names the file in it.

    ``base`` is the directory that local code in it is relative to; None leaves it as it is written.
    """
    value = load_json(text, source=source)
    root = Reader(value, "", source).object()
    _check_format(root)
    root.object(_TOP_KEYS)
    lock = Lock(
        platform=_platform(root, "platform"),
        spec_digest=_need(root, "spec_digest"),
        virtual_packages=_strings(root.get("virtual_packages")),
        channels=_strings(root.get("channels")),
        base=_base(found) if (found := root.get("base")) else None,
        spec=_spec(found, root) if (found := root.get("spec")) else None,
        conda=_unique(_list(root.get("conda"), _conda), root, "conda"),
        pip=_unique(_list(root.get("pip"), _pip), root, "pip"),
        git=_map(root.get("git"), _git),
        http=_map(root.get("http"), _http),
    )
    return lock if base is None else absolute(lock, base)


def _check_format(root: Reader) -> None:
    if "poncho_lock" not in root.value:
        root.fail("not a lock: it has no 'poncho_lock'", hint=f'a lock holds "poncho_lock": {FORMAT}')
    found = root.value["poncho_lock"]
    if isinstance(found, bool) or not isinstance(found, int):
        root.fail(f"not a lock: 'poncho_lock' must be {FORMAT}", hint=f'a lock holds "poncho_lock": {FORMAT}')
    if found > FORMAT:
        root.fail(
            f"a lock of format {found}, written by a newer PONCHO: this one reads format {FORMAT}",
            hint="update PONCHO, or lock the spec again",
        )
    if found != FORMAT:
        root.fail(f"not a lock of this PONCHO: format {found}", hint="lock the spec again")


def _spec(reader: Reader, root: Reader) -> Spec:
    spec = replace(parse(reader.value, source=reader.source, pointer=reader.pointer), source=None)
    if spec_digest(spec) != _need(root, "spec_digest"):
        root.child("spec_digest").fail(
            "is not the digest of 'spec': one of the two was changed by hand", hint="lock the spec again"
        )
    return spec


def _base(reader: Reader) -> LockedBase:
    reader.object(BASE_KEYS)
    return LockedBase(_word(reader, "version"), _need(reader, "kind"), _sha256(reader) or _missing(reader, "sha256"))


def _conda(reader: Reader) -> LockedConda:
    reader.object(CONDA_KEYS)
    build, record = reader.get("build"), reader.get("record")
    entry = LockedConda(
        name=_name(reader),
        version=_word(reader, "version"),
        build=_word(reader, "build") if build and build.value else "",
        subdir=_platform(reader, "subdir"),
        channel=_channel(reader),
        url=_package_url(reader),
        sha256=_sha256(reader),
        md5=_hex(reader, "md5", 32),
        size=_size(reader),
    )
    if not unquote(entry.filename).lower().startswith(f"{entry.name}-{entry.version}-".lower()):
        _fail_changed(reader, "url", f"{entry.filename} is not {entry.name} {entry.version}")
    if record is None:
        return entry
    facts = {key: getattr(entry, key) for key in CONDA_KEYS[:-1] if getattr(entry, key) is not None}
    return replace(entry, record=Frozen({**record.object().value, **facts, "fn": entry.filename}))


def _channel(reader: Reader) -> str:
    # A channel that was a directory of the locking machine has no name that could travel.
    return "" if reader.value.get("channel") == "" else _need(reader, "channel")


def _package_url(reader: Reader) -> str:
    if reader.value.get("url") == "":
        reader.child("url").fail("is empty: the package came from a directory of the machine that was locked")
    url = _need(reader, "url")
    if not url.startswith(_SCHEMES) or not url.endswith(_ARCHIVES) or any(char in url for char in " \\#?"):
        reader.child("url").fail(f"{url!r} is no URL of a conda package", hint="it ends with .conda or .tar.bz2")
    return url


def _pip(reader: Reader) -> LockedPip:
    reader.object(PIP_KEYS)
    version, url = reader.get("version"), reader.get("url")
    _need(reader, "requirement")
    requirement = reader.child("requirement")
    entry = LockedPip(
        name=_name(reader),
        version=_word(reader, "version") if version and version.value else "",
        requirement=check_requirement(requirement.string(), requirement.fail),
        url=url.string() if url else None,
        sha256=_sha256(reader),
        size=_size(reader),
    )
    exact = _EXACT.fullmatch(entry.requirement)
    if exact and entry.version and _identity(exact[1], exact[2]) != _identity(entry.name, entry.version):
        _fail_changed(reader, "requirement", f"{entry.requirement} is not {entry.name} {entry.version}")
    return entry


def _identity(name: str, version: str) -> tuple[str, str]:
    return canonicalize_name(name), canonicalize_version(version)


def _fail_changed(reader: Reader, key: str, message: str) -> NoReturn:
    hint = "one of them was changed by hand; change the spec, and let poncho lock … --update NAME move the package"
    reader.child(key).fail(message, hint=hint)


def _git(reader: Reader) -> LockedGit:
    _variable(reader)
    reader.object(GIT_KEYS)
    depth, submodules, lfs = reader.get("depth"), reader.get("submodules"), reader.get("lfs")
    return LockedGit(
        remote=_need(reader, "remote"),
        commit=_hex(reader, "commit", 40) or _missing(reader, "commit"),
        ref=_optional(reader, "ref"),
        depth=depth.positive() if depth else None,
        submodules=submodules.boolean() if submodules else False,
        lfs=lfs.boolean() if lfs else False,
        subdirectory=_optional(reader, "subdirectory"),
    )


def _http(reader: Reader) -> LockedHttp:
    _variable(reader)
    reader.object(HTTP_KEYS)
    size = _size(reader)
    headers, kind, compression = (reader.get(key) for key in ("headers", "type", "compression"))
    return LockedHttp(
        url=_need(reader, "url"),
        sha256=_sha256(reader) or _missing(reader, "sha256"),
        size=_missing(reader, "size") if size is None else size,
        type=kind.choice(("file", "tar", "zip")) if kind else "file",
        compression=compression.choice(("gzip", "bz2", "xz", "zst")) if compression else None,
        filename=_optional(reader, "filename"),
        headers=Frozen({key: item.string() for key, item in headers.members()} if headers else {}),
    )


def _variable(reader: Reader) -> None:
    name = reader.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
    check_variable(name, pointer=reader.pointer, source=reader.source)


def _missing(reader: Reader, key: str) -> Any:
    reader.fail(f"{key!r} is missing")


def _need(reader: Reader, key: str) -> str:
    found = reader.get(key)
    return found.string() if found else str(_missing(reader, key))


def _name(reader: Reader) -> str:
    name = _need(reader, "name")
    if not _NAME.fullmatch(name):
        reader.child("name").fail(f"{name!r} is no package name")
    return name


def _word(reader: Reader, key: str) -> str:
    word = _need(reader, key)
    if not _WORD.fullmatch(word):
        reader.child(key).fail(f"{word!r} is no {key}")
    return word


def _platform(reader: Reader, key: str) -> str:
    platform = _need(reader, key)
    if not PLATFORM.fullmatch(platform):
        reader.child(key).fail(f"{platform!r} is no platform such as linux-64 or osx-arm64")
    return platform


def _optional(reader: Reader, key: str) -> str | None:
    found = reader.get(key)
    return found.string() if found else None


def _size(reader: Reader) -> int | None:
    found = reader.get("size")
    if found is None:
        return None
    if isinstance(found.value, bool) or not isinstance(found.value, int) or found.value < 0:
        found.fail(f"must be a number of bytes, not {found.value!r}")
    return int(found.value)


def _sha256(reader: Reader) -> str | None:
    return _hex(reader, "sha256", 64)


def _hex(reader: Reader, key: str, length: int) -> str | None:
    found = reader.get(key)
    if found is None:
        return None
    text = found.string().lower()
    if len(text) != length or set(text) - set("0123456789abcdef"):
        found.fail(f"must be {length} hexadecimal digits")
    return text


def _strings(reader: Reader | None) -> tuple[str, ...]:
    return tuple(element.string() for element in reader.elements()) if reader else ()


def _list(reader: Reader | None, read: Callable[[Reader], T]) -> tuple[T, ...]:
    return tuple(read(element) for element in reader.elements()) if reader else ()


def _unique(found: tuple[E, ...], root: Reader, key: str) -> tuple[E, ...]:
    names: set[str] = set()
    for place, entry in enumerate(found):
        name = str(canonicalize_name(entry.name)) if isinstance(entry, LockedPip) else entry.name
        if name in names:
            root.child(key).child(place).fail(f"{name} stands twice in this lock")
        names.add(name)
    return found


def _map(reader: Reader | None, read: Callable[[Reader], T]) -> Mapping[str, T]:
    return Frozen({name: read(member) for name, member in reader.members()} if reader else {})
