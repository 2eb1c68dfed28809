"""A lock as JSON text that a person can read and diff, and back.

Same lock, same text: sorted keys, lists in a fixed order, one fact a line. No credential is written, and nothing of
where this machine keeps its base interpreter: its packages have URLs such as ``base:linux-64/python-3.11.7-0.conda``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from poncho._redact import strip_credentials
from poncho.errors import SpecError
from poncho.lock.model import Lock, LockedBase, LockedConda, LockedGit, LockedHttp, LockedPip
from poncho.spec.reader import Reader

FORMAT = 1
BASE_URL = "base:"

_CONDA_KEYS = ("name", "version", "build", "subdir", "channel", "url", "sha256", "md5", "size", "record")
_PIP_KEYS = ("name", "version", "requirement", "url", "sha256")
_GIT_KEYS = ("remote", "commit", "ref", "depth", "submodules", "lfs", "subdirectory")
_HTTP_KEYS = ("url", "sha256", "size", "type", "compression", "filename")
_BASE_KEYS = ("version", "kind", "sha256")
_TOP_KEYS = (
    "poncho_lock",
    "platform",
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
_REPEATED = frozenset(_CONDA_KEYS) | {"fn", "extracted_package_dir", "package_tarball_full_path"}

T = TypeVar("T")


def dumps(lock: Lock) -> str:
    """Return the lock as JSON text: indent 1, sorted keys, a newline at the end. Credentials in URLs are left out."""
    return json.dumps(document(lock), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def document(lock: Lock) -> dict[str, Any]:
    """Return the lock as a JSON object; what is empty or unknown is left out of the entries."""
    local = lock.base is not None
    return {
        "poncho_lock": FORMAT,
        "platform": lock.platform,
        "spec_digest": lock.spec_digest,
        "virtual_packages": list(lock.virtual_packages),
        "channels": [strip_credentials(channel) for channel in lock.channels],
        "base": _plain(lock.base, _BASE_KEYS) if lock.base else None,
        "conda": [_conda_document(entry, local) for entry in sorted(lock.conda, key=lambda entry: entry.name)],
        "pip": [_plain(entry, _PIP_KEYS) for entry in sorted(lock.pip, key=lambda entry: entry.name.lower())],
        "git": {name: _plain(entry, _GIT_KEYS) for name, entry in lock.git.items()},
        "http": {name: _plain(entry, _HTTP_KEYS) for name, entry in lock.http.items()},
    }


def _conda_document(entry: LockedConda, local: bool) -> dict[str, Any]:
    plain = _plain(entry, _CONDA_KEYS)
    record = {key: value for key, value in entry.record.items() if key not in _REPEATED}
    plain.pop("record", None)
    if record:
        plain["record"] = record
    if local and entry.url.startswith("file:"):
        plain |= {"url": f"{BASE_URL}{entry.subdir}/{entry.filename}", "channel": BASE_URL}
    return plain


def _plain(value: object, keys: tuple[str, ...]) -> dict[str, Any]:
    found = {key: getattr(value, key) for key in keys}
    return {
        key: strip_credentials(one) if key in ("url", "channel", "requirement", "remote") else one
        for key, one in found.items()
        if one is not None and one is not False and one != {}
    }


def loads(text: str, *, source: str | None = None) -> Lock:
    """Return the Lock that a JSON text holds. Raises SpecError with a JSON pointer; ``source`` names the file in it."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}", source=source) from error
    except (RecursionError, ValueError) as error:  # the latter: a number of more digits than Python reads
        raise SpecError("not a lock: nested too deeply, or with a number that is too long", source=source) from error
    root = Reader(value, "", source).object()
    if value.get("poncho_lock") != FORMAT:
        root.fail(
            "not a lock of this PONCHO" if "poncho_lock" in value else "not a lock: it has no 'poncho_lock'",
            hint=f'a lock holds "poncho_lock": {FORMAT}',
        )
    root.object(_TOP_KEYS)
    base = root.get("base")
    return Lock(
        platform=_need(root, "platform"),
        spec_digest=_need(root, "spec_digest"),
        virtual_packages=_strings(root.get("virtual_packages")),
        channels=_strings(root.get("channels")),
        base=_base(base) if base else None,
        conda=_list(root.get("conda"), _conda),
        pip=_list(root.get("pip"), _pip),
        git=_map(root.get("git"), _git),
        http=_map(root.get("http"), _http),
    )


def _base(reader: Reader) -> LockedBase:
    reader.object(_BASE_KEYS)
    return LockedBase(_need(reader, "version"), _need(reader, "kind"), _sha256(reader) or _missing(reader, "sha256"))


def _conda(reader: Reader) -> LockedConda:
    reader.object(_CONDA_KEYS)
    build, record = reader.get("build"), reader.get("record")
    entry = LockedConda(
        name=_need(reader, "name"),
        version=_need(reader, "version"),
        build=build.string() if build and build.value else "",
        subdir=_need(reader, "subdir"),
        channel=_need(reader, "channel"),
        url=_need(reader, "url"),
        sha256=_sha256(reader),
        md5=_hex(reader, "md5", 32),
        size=_size(reader),
    )
    if record is None:
        return entry
    facts = {key: getattr(entry, key) for key in _CONDA_KEYS[:-1] if getattr(entry, key) is not None}
    return replace(entry, record=MappingProxyType({**record.object().value, **facts, "fn": entry.filename}))


def _pip(reader: Reader) -> LockedPip:
    reader.object(_PIP_KEYS)
    version, url = reader.get("version"), reader.get("url")
    return LockedPip(
        name=_need(reader, "name"),
        version=version.string() if version and version.value else "",
        requirement=_need(reader, "requirement"),
        url=url.string() if url else None,
        sha256=_sha256(reader),
    )


def _git(reader: Reader) -> LockedGit:
    reader.object(_GIT_KEYS)
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
    reader.object(_HTTP_KEYS)
    size = _size(reader)
    return LockedHttp(
        url=_need(reader, "url"),
        sha256=_sha256(reader) or _missing(reader, "sha256"),
        size=_missing(reader, "size") if size is None else size,
        type=_optional(reader, "type") or "file",
        compression=_optional(reader, "compression"),
        filename=_optional(reader, "filename"),
    )


def _missing(reader: Reader, key: str) -> Any:
    reader.fail(f"{key!r} is missing")


def _need(reader: Reader, key: str) -> str:
    found = reader.get(key)
    return found.string() if found else str(_missing(reader, key))


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


def _map(reader: Reader | None, read: Callable[[Reader], T]) -> Mapping[str, T]:
    return MappingProxyType({name: read(member) for name, member in reader.members()} if reader else {})
