"""Bring the bytes of one URL into the cache: retried, resumed, checked.

What a server may do wrong, and what is done about it: it drops or stalls (go on from the last byte, RFC 9110 section
14), says 5xx or 429 (wait, try again), lies about the length (ask for the rest, then give up), changes the file in
between (If-Range makes it start anew), sends other bytes than the digest says (once more from the start, then
refuse).
"""

from __future__ import annotations

import email.utils
import errno
import hashlib
import http.client
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import requests
import urllib3.exceptions

from poncho._types import Event, Reporter
from poncho._words import human_seconds
from poncho.errors import FetchError
from poncho.fetch.content import ContentStore, Entry, Partial
from poncho.fetch.policy import HttpPolicy
from poncho.fetch.session import Session
from poncho.fetch.words import network_error, status_error
from poncho.store.atomic import disk_full

_CHUNK = 256 << 10
_REPORT_EVERY = 0.1
_RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)
# No file has a size of more digits, and Python refuses numbers of very many.
_DIGITS = 18
_CONTENT_RANGE = re.compile(rf"bytes (?:(\d{{1,{_DIGITS}}})-(\d{{1,{_DIGITS}}})|\*)/(\d{{1,{_DIGITS}}}|\*)", re.ASCII)
TROUBLE = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Request:
    """What to bring: a URL, and what is known about its bytes beforehand."""

    url: str
    sha256: str | None = None
    size: int | None = None
    headers: Mapping[str, str] | None = None


class _RetryError(Exception):
    """An attempt failed in a way that another one may not."""

    def __init__(self, error: FetchError, *, progress: bool = False, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.progress = progress
        self.wait = wait


class _UnchangedError(Exception):
    """The server says that what we have is what it has."""


def download(request: Request, store: ContentStore, policy: HttpPolicy, reporter: Reporter) -> Entry:
    """Return the entry for ``request``, its bytes now in ``store``. The caller holds the lock of the URL.

    Raises FetchError: status, network, short body, wrong checksum or size. Raises BuildError when the disk is full.
    """
    known = store.entry(request.url)
    if known and (request.sha256 not in (None, known.sha256) or not store.valid(known.sha256)):
        known = None
    if store.damaged:
        message = f"{request.url}: its copy in the cache is damaged; it is fetched anew"
        reporter(Event("warning", "data", message, item=request.url))
    partial = store.partial(request.url)
    session = Session(policy, request.headers or {}, allow_downgrade=request.sha256 is not None)
    try:
        entry = _until_done(_Attempt(request, partial, session, known, reporter), policy, reporter)
    except _UnchangedError:
        assert known is not None
        return known
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            partial.delete()
            raise disk_full(partial.path, error) from error
        raise FetchError(
            f"{partial.path}: the cache cannot be written ({error.strerror})",
            hint="set PONCHO_CACHE_DIR to a directory that you may write to",
        ) from error
    finally:
        session.close()
    store.publish(request.url, entry, partial.path)
    partial.forget_notes()
    return entry


def _until_done(attempt: _Attempt, policy: HttpPolicy, reporter: Reporter) -> Entry:
    failures = furthest = 0
    waited = 0.0
    # A server that always makes a little progress must come to an end as well; one that starts again makes none.
    for _ in range(policy.attempts * 40):
        try:
            return attempt.run()
        except _RetryError as trouble:
            advanced = trouble.progress and attempt.size > furthest
            furthest = max(furthest, attempt.size)
            failures, waited = (1, 0.0) if advanced else (failures + 1, waited)
            last = trouble.error
            wait = policy.backoff * 2 ** (failures - 1) if trouble.wait is None else trouble.wait
            wait = min(wait, policy.longest_wait)
            waited += wait
            if failures >= policy.attempts or waited > policy.total_wait:
                break
            again = "at once" if wait == 0 else f"in {human_seconds(wait)}"
            count = f"{failures} of {policy.attempts - 1}"
            reporter(Event("warning", "data", f"{last.message}; trying again {again} ({count})", item=attempt.url))
            time.sleep(wait)
    raise last


class _Attempt:
    """One download, as often as it has to be tried."""

    def __init__(
        self, request: Request, partial: Partial, session: Session, known: Entry | None, reporter: Reporter
    ) -> None:
        self._request = request
        self._partial = partial
        self._session = session
        self._known = known
        self._reporter = reporter
        self._mismatches = 0

    @property
    def url(self) -> str:
        """Return the address."""
        return self._request.url

    @property
    def size(self) -> int:
        """Return how many bytes have come so far."""
        return self._partial.size

    def run(self) -> Entry:
        """Return the entry when the partial file is complete and right.

        Raises _RetryError, _UnchangedError, FetchError, and OSError only when the partial file cannot be written.
        """
        url = self._request.url
        have, conditions = self._conditions()
        try:
            response = self._session.get(url, conditions)
        except TROUBLE as error:
            network_failure(url, error, progress=False)
        try:
            return self._receive(response, have)
        finally:
            response.close()

    def _conditions(self) -> tuple[int, dict[str, str]]:
        """Return how many bytes need not come again, and the headers that say so."""
        have, notes = self._partial.size, self._partial.validators()
        etag, date = notes.get("etag"), notes.get("last_modified")
        if have:
            # A weak ETag promises the same meaning, not the same bytes (RFC 9110, 8.8.1).
            validator = etag if etag and not etag.startswith("W/") else date
            if validator:
                return have, {"Range": f"bytes={have}-", "If-Range": validator}
            if self._request.sha256:
                return have, {"Range": f"bytes={have}-"}
        if self._known and self._known.etag:
            return 0, {"If-None-Match": self._known.etag}
        if self._known and self._known.last_modified:
            return 0, {"If-Modified-Since": self._known.last_modified}
        return 0, {}

    def _receive(self, response: requests.Response, have: int) -> Entry:
        url, status = self._request.url, response.status_code
        if status == 304 and self._known and not have:
            raise _UnchangedError
        if status in _RETRY_STATUS:
            raise _RetryError(status_error(url, response), wait=_retry_after(response))
        if status == 416 and have:
            total = _total_of_range(response)
            if total == have:
                return self._check(self._hash_existing(), have, response, resumed=True)
            self._partial.delete()
            raise _RetryError(status_error(url, response))
        if status not in (200, 203, 206):
            raise status_error(url, response)
        total = _length(response)
        if status == 206:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
            if not have or not match or match[1] is None or int(match[1]) != have:
                self._partial.delete()
                raise _RetryError(FetchError(f"{url}: the server sent another part of the file than was asked for"))
            total = int(match[3]) if match[3] != "*" else total + have if total is not None else None
            state = self._hash_existing()
        else:
            have = 0
            self._partial.begin(response.headers.get("ETag"), response.headers.get("Last-Modified"))
            state = hashlib.sha256()
        size = self._copy(response, state, have, total)
        return self._check(state, size, response, resumed=status == 206)

    def _copy(self, response: requests.Response, state: hashlib._Hash, start: int, total: int | None) -> int:
        url, size, reported = self._request.url, start, 0.0
        self._refuse_size(total)
        with self._partial.path.open("ab", buffering=0) as output:
            while True:
                try:
                    chunk = response.raw.read(_CHUNK, decode_content=False)
                except TROUBLE as error:
                    if total is not None and isinstance(error.__cause__ or error, urllib3.exceptions.IncompleteRead):
                        break
                    network_failure(url, error, progress=size > start)
                if not chunk:
                    break
                output.write(chunk)
                state.update(chunk)
                size += len(chunk)
                self._refuse_size(size)
                now = time.monotonic()
                if now - reported >= _REPORT_EVERY:
                    reported = now
                    name = url_name(url)
                    self._reporter(Event("progress", "data", name, done=size, total=total, unit="bytes", item=url))
        if total is not None and size != total:
            raise _RetryError(
                FetchError(
                    f"{url}: the body is too short: {size:,} of {total:,} bytes came",
                    hint="the server or a proxy cut it off; try again later",
                ),
                progress=size > start,
            )
        return size

    def _check(self, state: hashlib._Hash, size: int, response: requests.Response, *, resumed: bool) -> Entry:
        request, digest = self._request, state.hexdigest()
        if request.sha256 is not None and digest != request.sha256:
            self._partial.delete()
            error = FetchError(
                f"{request.url}: wrong checksum: sha256 is {digest}, expected {request.sha256}",
                hint="the file has changed or was damaged on the way; if the change is right, correct `sha256` "
                "in the spec (or make a new lock)",
                context={"url": request.url, "sha256": digest, "expected": request.sha256},
            )
            self._mismatches += 1
            if resumed or self._mismatches == 1:
                raise _RetryError(error, wait=0.0)
            raise error
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        return Entry(
            sha256=digest,
            size=size,
            etag=response.headers.get("ETag"),
            last_modified=response.headers.get("Last-Modified"),
            encoding=encoding if encoding not in ("", "identity") else None,
        )

    def _hash_existing(self) -> hashlib._Hash:
        state = hashlib.sha256()
        with self._partial.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                state.update(chunk)
        return state

    def _refuse_size(self, size: int | None) -> None:
        expected = self._request.size
        if size is not None and expected is not None and size > expected:
            self._partial.delete()
            raise FetchError(
                f"{self._request.url}: is larger than the {expected:,} bytes of the lock",
                hint="the file has changed since the lock was made; make a new lock",
            )


def url_name(url: str) -> str:
    """Return the last part of a URL's path, for progress."""
    return url.split("?", 1)[0].split("#", 1)[0].rstrip("/").rsplit("/", 1)[-1]


def network_failure(url: str, error: Exception, *, progress: bool) -> NoReturn:
    """Raise what became of a connection: _RetryError when it may work the next time, else FetchError."""
    found, retry = network_error(url, error)
    if retry:
        raise _RetryError(found, progress=progress) from error
    raise found from error


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return int(text) if re.fullmatch(rf"[0-9]{{1,{_DIGITS}}}", text) and not chunked else None


def _total_of_range(response: requests.Response) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return int(match[3]) if match and match[3] != "*" else None


def _retry_after(response: requests.Response) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except (ValueError, TypeError, OverflowError):
        return None
