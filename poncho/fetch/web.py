"""Http sources: into the cache by content, out of it as a file or an unpacked archive.

A ``file://`` URL with an absolute path is read too, as a copy of a local file; it must stand in the spec itself, for
no redirect leads there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from poncho._types import Event, Reporter, silent
from poncho._words import url_fault
from poncho.errors import FetchError
from poncho.fetch.archive import damaged, extract
from poncho.fetch.compression import DAMAGED, SUFFIXES, open_decompressed
from poncho.fetch.content import ContentStore, Entry, digest_of
from poncho.fetch.limits import Limits, Meter
from poncho.fetch.names import UnsafeNameError, check_filename
from poncho.fetch.policy import HttpPolicy
from poncho.lock.model import LockedHttp
from poncho.spec.model import HttpSource
from poncho.store import BuilderCache, atomic_directory

_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class _Obtained:
    """The bytes of a source on this machine."""

    path: Path
    entry: Entry


def resolve_http(
    source: HttpSource | LockedHttp,
    *,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter = silent,
    policy: HttpPolicy | None = None,
) -> LockedHttp:
    """Bring the bytes of ``source`` into the cache, unless they are there, and say which they are.

    Raises FetchError as ``fetch_http`` does.
    """
    return _lock(source, _obtain(source, cache, offline, reporter, policy).entry)


def fetch_http(
    source: HttpSource | LockedHttp,
    destination: Path,
    *,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter = silent,
    policy: HttpPolicy | None = None,
    limits: Limits | None = None,
) -> tuple[LockedHttp, Path]:
    """Put the content of ``source`` into the new directory ``destination``, whole or not at all.

    Returns what was fetched, and where the variable has to point: ``destination/FILENAME`` for a file (decompressed
    when ``compression`` is given), ``destination`` for an unpacked tar or zip.

    ``sha256`` is that of the bytes transferred. With it, bytes in the cache need no network; without it the server is
    asked whether they are still right. ``offline`` takes what the cache holds. ``policy`` and ``limits`` default to
    what the environment says.

    Raises FetchError: status, network, short body, wrong checksum, missing variable of ``headers``, damaged or
    hostile archive, not in the cache when offline. Raises BuildError when the disk is full.
    """
    reporter(Event("start", "data", source.url, item=source.url))
    obtained = _obtain(source, cache, offline, reporter, policy)
    locked = _lock(source, obtained.entry)
    if locked.type == "file":
        place = destination / _checked_filename(locked)
        _place_file(obtained.path, place, locked, limits or Limits.from_environment())
    else:
        place = destination
        extract(obtained.path, destination, locked.type, locked.compression, limits=limits, label=source.url)
    size = locked.size
    reporter(Event("done", "data", source.url, done=size, total=size, unit="bytes", item=source.url))
    return locked, place


def default_filename(url: str, compression: str | None) -> str:
    """Return the last part of a URL's path without the suffix of ``compression``; ``data`` when there is none."""
    name = unquote(urlsplit(url).path).rstrip("/").rsplit("/", 1)[-1]
    for suffix in SUFFIXES.get(compression or "", ()):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)] + (".tar" if suffix.startswith(".t") else "")
    return name if name not in ("", ".", "..") else "data"


def _obtain(
    source: HttpSource | LockedHttp,
    cache: BuilderCache,
    offline: bool,
    reporter: Reporter,
    policy: HttpPolicy | None,
) -> _Obtained:
    sha256 = _checked_digest(source)
    if source.url.lower().startswith("file:"):
        return _local(source.url, sha256)
    # Imported here: requests takes a while, and most builds have nothing to download by it.
    from poncho.fetch.download import Request, download
    from poncho.fetch.session import parse

    parse(source.url)
    store = ContentStore(cache)
    with store.locked(source.url):
        entry = _cached(source.url, sha256, store, offline)
        if entry is None:
            request = Request(
                url=source.url,
                sha256=sha256,
                size=source.size if isinstance(source, LockedHttp) else None,
                headers=_headers(source.headers),
            )
            entry = download(request, store, policy or HttpPolicy.from_environment(), reporter)
    return _Obtained(store.content(entry.sha256), entry)


def _cached(url: str, sha256: str | None, store: ContentStore, offline: bool) -> Entry | None:
    known = store.entry(url)
    if sha256 and store.valid(sha256):
        same = known is not None and known.sha256 == sha256
        return known if same else Entry(sha256, store.content(sha256).stat().st_size)
    if not offline:
        return None
    if sha256 is None and known and store.valid(known.sha256):
        return known
    if store.damaged:
        raise FetchError(
            f"{url}: its copy in the cache is damaged, and this build is offline",
            hint="run once without --offline, with the same PONCHO_CACHE_DIR: then it is fetched anew",
        )
    raise FetchError(
        f"{url}: is not in the cache, and this build is offline",
        hint="run once without --offline, with the same PONCHO_CACHE_DIR",
    )


def _local(url: str, sha256: str | None) -> _Obtained:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise FetchError(f"{url}: is no valid URL{url_fault(error)}") from error
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute():
        raise FetchError(f"{url}: a file URL needs an absolute path on this machine", hint="write file:///path/to/file")
    try:
        if not path.is_file():
            raise FetchError(f"{url}: there is no such file")
        digest, size = digest_of(path), path.stat().st_size
    except (OSError, ValueError) as error:
        raise FetchError(f"{url}: cannot be read ({error})") from error
    if sha256 and digest != sha256:
        raise FetchError(
            f"{url}: wrong checksum: sha256 is {digest}, expected {sha256}",
            hint="the file has changed; correct `sha256` in the spec, or make a new lock",
        )
    return _Obtained(path, Entry(digest, size))


def _lock(source: HttpSource | LockedHttp, entry: Entry) -> LockedHttp:
    if isinstance(source, LockedHttp):
        return source if source.size == entry.size else replace(source, size=entry.size)
    compression: str | None = source.compression
    if source.type == "file" and compression is None:
        compression = _transfer_coding(source.url, entry)
    filename = None
    if source.type == "file":
        filename = source.filename or default_filename(source.url, source.compression)
    return LockedHttp(
        url=source.url,
        sha256=entry.sha256,
        size=entry.size,
        type=source.type,
        compression=compression,
        filename=filename,
        headers=source.headers,
    )


def _transfer_coding(url: str, entry: Entry) -> str | None:
    """Return how a file must be decompressed that came with a content coding nobody had asked for.

    Many servers put that header on files that are compressed by themselves: a name that says so is believed.
    """
    if entry.encoding is None:
        return None
    codings = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zst"}
    name = urlsplit(url).path.lower()
    if any(name.endswith(suffixes) for suffixes in SUFFIXES.values()):
        return None
    if entry.encoding not in codings:
        raise FetchError(
            f"{url}: comes with Content-Encoding {entry.encoding}, which was not asked for and is not understood"
        )
    return codings[entry.encoding]


def _place_file(content: Path, place: Path, locked: LockedHttp, limits: Limits) -> None:
    with atomic_directory(place.parent) as private:
        if private is None:
            raise FetchError(f"{place.parent}: exists already", context={"path": str(place.parent)})
        target = private / place.name
        if locked.compression is None:
            shutil.copyfile(content, target)
        else:
            meter = Meter(limits, locked.size, locked.url)
            try:
                with open_decompressed(content, locked.compression) as stream, target.open("xb") as output:
                    while chunk := stream.read(_CHUNK):
                        meter.stream(len(chunk))
                        output.write(chunk)
            except DAMAGED as error:
                raise damaged(content, locked.url, locked.compression, error) from error
            except OSError as error:
                if error.errno is None:
                    raise damaged(content, locked.url, locked.compression, error) from error
                raise
        target.chmod(0o644)


def _checked_filename(locked: LockedHttp) -> str:
    name = locked.filename or default_filename(locked.url, locked.compression)
    try:
        check_filename(name)
    except UnsafeNameError as error:
        raise FetchError(
            f"{locked.url}: the file name {name!r} {error}", hint="give a plain name as `filename` in the spec"
        ) from error
    return name


def _checked_digest(source: HttpSource | LockedHttp) -> str | None:
    if source.sha256 is None:
        return None
    if not _SHA256.fullmatch(source.sha256):
        raise FetchError(f"{source.url}: sha256 {source.sha256!r} is not 64 hexadecimal digits")
    return source.sha256.lower()


def _headers(names: Mapping[str, str]) -> dict[str, str]:
    values = {}
    for header, variable in names.items():
        value = os.environ.get(variable)
        if value is None:
            raise FetchError(
                f"the environment variable {variable} is not set; `headers` takes the value of {header} from it",
                hint=f"export {variable}=… and try again",
            )
        values[header] = value.strip()
    return values
