"""Files and archives over http, from servers in all states (issue 2 item 4; hazard 14)."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from poncho._types import Event
from poncho.errors import FetchError
from poncho.fetch import HttpPolicy, Limits, fetch_http, resolve_http
from poncho.fetch.compression import zstd
from poncho.lock.model import LockedHttp
from poncho.spec.model import HttpSource
from poncho.store import BuilderCache
from tests.support.archives import entry, tar, zipped
from tests.support.httpserver import HttpServer, answering, http_date, unused_port_url

DATA = os.urandom(700_000)
SHA = hashlib.sha256(DATA).hexdigest()
PATIENT = HttpPolicy(connect_timeout=2, read_timeout=0.4, attempts=4, backoff=0.01)


@pytest.fixture
def fetch(cache: BuilderCache, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that fetches a source to a new directory and returns where the variable points."""
    count = iter(range(1000))

    def run(source: HttpSource | LockedHttp | str, **how: Any) -> Path:
        wanted = HttpSource(source) if isinstance(source, str) else source
        how = {"policy": PATIENT, "cache": cache, **how}
        return fetch_http(wanted, tmp_path / f"data{next(count)}", **how)[1]

    return run


def test_a_file_arrives_whole_under_the_name_in_its_url(web: HttpServer, cache: BuilderCache, tmp_path: Path) -> None:
    web.put("/dir/events.bin", DATA)
    source = HttpSource(web.url("/dir/events.bin?version=2"))
    locked, place = fetch_http(source, tmp_path / "data", cache=cache)
    assert place == tmp_path / "data" / "events.bin"
    assert place.read_bytes() == DATA
    assert locked == LockedHttp(url=source.url, sha256=SHA, size=len(DATA), type="file", filename="events.bin")


@pytest.mark.parametrize(
    ("compression", "suffix", "pack"),
    [
        ("gzip", ".gz", gzip.compress),
        ("bz2", ".bz2", bz2.compress),
        ("xz", ".xz", lzma.compress),
        ("zst", ".zst", zstd.compress),
    ],
)
def test_a_compressed_file_is_decompressed_and_loses_its_suffix(
    compression: Any, suffix: str, pack: Callable[[bytes], bytes], web: HttpServer, fetch: Callable[..., Path]
) -> None:
    web.put(f"/a.csv{suffix}", pack(DATA))
    place = fetch(HttpSource(web.url(f"/a.csv{suffix}"), compression=compression))
    assert place.name == "a.csv"
    assert place.read_bytes() == DATA
    kept = fetch(web.url(f"/a.csv{suffix}"))
    assert kept.name == f"a.csv{suffix}"
    assert kept.read_bytes() == pack(DATA) or suffix == ".gz"


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "zst"])
def test_a_compressed_file_that_was_cut_off_is_refused(
    compression: Any, web: HttpServer, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    pack = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd.compress}[compression]
    web.put("/a", pack(DATA)[:-20])
    with pytest.raises(FetchError, match=f"is no whole {compression} file"):
        fetch(HttpSource(web.url("/a"), compression=compression))
    assert not list(tmp_path.glob("data*"))


def test_tar_and_zip_unpack_to_the_directory_itself(
    web: HttpServer, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    web.put("/a.tgz", tar(tmp_path / "t", entry("d/f", b"tar"), mode="w:gz").read_bytes())
    web.put("/a.zip", zipped(tmp_path / "z", ("d/f", b"zip", 0)).read_bytes())
    assert (fetch(HttpSource(web.url("/a.tgz"), type="tar")) / "d" / "f").read_bytes() == b"tar"
    assert (fetch(HttpSource(web.url("/a.tgz"), type="tar", compression="gzip")) / "d" / "f").read_bytes() == b"tar"
    assert (fetch(HttpSource(web.url("/a.zip"), type="zip")) / "d" / "f").read_bytes() == b"zip"


def test_the_name_can_be_given_and_cannot_lead_elsewhere(web: HttpServer, fetch: Callable[..., Path]) -> None:
    web.put("/download", DATA)
    assert fetch(HttpSource(web.url("/download"), filename="my data.root")).name == "my data.root"
    web.put("/..%2Fevil", DATA)
    for name in ("../evil", "/etc/evil", "a/b", ".", "..", "", "x\ny"):
        source = HttpSource(web.url("/download"), filename=name)
        if name:
            with pytest.raises(FetchError, match="file name"):
                fetch(source)
    assert fetch(web.url("/..%2Fevil")).name == "evil"


class TestCache:
    def test_an_unchanged_file_is_asked_about_but_not_sent_again(
        self, web: HttpServer, fetch: Callable[..., Path]
    ) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a"))
        assert fetch(web.url("/a")).read_bytes() == DATA
        assert (len(web.requests), web.bytes_sent) == (2, len(DATA))

    def test_the_date_serves_where_there_is_no_etag(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        web.put("/a", DATA, etag=None, last_modified=http_date())
        fetch(web.url("/a"))
        fetch(web.url("/a"))
        assert web.bytes_sent == len(DATA)

    def test_a_changed_file_is_fetched_again(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        web.put("/a", b"old")
        fetch(web.url("/a"))
        web.put("/a", b"new")
        assert fetch(web.url("/a")).read_bytes() == b"new"

    def test_bytes_that_are_known_by_digest_need_no_network(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a"))
        assert fetch(HttpSource(unused_port_url("/elsewhere"), sha256=SHA)).read_bytes() == DATA
        assert len(web.requests) == 1

    def test_offline_takes_what_was_fetched_before(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a"))
        assert fetch(web.url("/a"), offline=True).read_bytes() == DATA
        assert len(web.requests) == 1
        with pytest.raises(FetchError, match="not in the cache, and this build is offline"):
            fetch(web.url("/b"), offline=True)

    def test_a_damaged_cache_heals_itself(
        self, web: HttpServer, fetch: Callable[..., Path], cache: BuilderCache
    ) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a"))
        stored = next(path for path in cache.root.rglob(SHA) if path.is_file())
        stored.chmod(0o644)
        stored.write_bytes(DATA[:-1] + b"!")
        assert fetch(web.url("/a")).read_bytes() == DATA
        for index in (cache.root / "http" / "index").iterdir():
            index.write_text("not json")
        assert fetch(web.url("/a")).read_bytes() == DATA

    def test_changing_what_was_placed_does_not_change_the_cache(
        self, web: HttpServer, fetch: Callable[..., Path]
    ) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a")).write_bytes(b"overwritten by an analysis")
        assert fetch(web.url("/a")).read_bytes() == DATA

    def test_many_at_once_fetch_once(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        web.put("/a", DATA)
        places: list[Path] = []
        threads = [threading.Thread(target=lambda: places.append(fetch(web.url("/a")))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [place.read_bytes() for place in places] == [DATA] * 6
        assert web.bytes_sent == len(DATA)


class TestBadDays:
    @pytest.mark.parametrize(
        "how",
        [
            {"drop_after": 90_000, "drops": 3},
            {"drop_after": 0, "drops": 2},
            {"stall_after": 150_000, "stalls": 1},
            {"claim_length": 900_000, "claims": 1},
            {"claim_length": 900_000},
            {"failures": 2},
            {"failures": 1, "failure_status": 429, "retry_after": "0"},
            {"failures": 1, "failure_status": 503, "retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"},
            {"chunked": True},
            {"chunked": True, "drop_after": 90_000, "drops": 2},
            {"drop_after": 90_000, "drops": 2, "etag": None, "last_modified": http_date()},
            {"drop_after": 90_000, "drops": 2, "etag": None},
            {"drop_after": 90_000, "drops": 2, "etag": 'W/"weak"'},
            {"drop_after": 90_000, "drops": 2, "ranges": False},
            {"drop_after": 90_000, "drops": 1, "wrong_range": True},
            {"no_length": True},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("digest", [None, SHA], ids=["digest unknown", "digest known"])
    def test_the_file_arrives_in_spite_of(
        self, how: dict[str, Any], digest: str | None, web: HttpServer, fetch: Callable[..., Path]
    ) -> None:
        web.put("/a", DATA, **how)
        assert fetch(HttpSource(web.url("/a"), sha256=digest)).read_bytes() == DATA

    def test_resuming_costs_next_to_nothing(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        web.put("/a", DATA, drop_after=50_000)
        assert fetch(web.url("/a")).read_bytes() == DATA
        assert len(web.requests) > 10
        assert web.bytes_sent <= 1.05 * len(DATA)

    def test_a_download_goes_on_where_another_run_was_killed(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        resource = web.put("/a", DATA, drop_after=300_000)
        with pytest.raises(FetchError):
            fetch(web.url("/a"), policy=replace(PATIENT, attempts=1))
        resource.drop_after = None
        assert fetch(web.url("/a")).read_bytes() == DATA
        assert web.bytes_sent <= 1.05 * len(DATA)

    def test_a_file_that_changes_in_between_is_never_a_mixture(
        self, web: HttpServer, fetch: Callable[..., Path]
    ) -> None:
        web.put("/a", DATA, drop_after=300_000)
        with pytest.raises(FetchError):
            fetch(web.url("/a"), policy=replace(PATIENT, attempts=1))
        other = os.urandom(500_000)
        web.put("/a", other)
        assert fetch(web.url("/a")).read_bytes() == other

    def test_swapped_bytes_are_fetched_again_and_then_refused(
        self, web: HttpServer, fetch: Callable[..., Path], tmp_path: Path
    ) -> None:
        web.put("/once", DATA, swap=1)
        assert fetch(HttpSource(web.url("/once"), sha256=SHA)).read_bytes() == DATA
        web.put("/always", b"evil" + DATA)
        with pytest.raises(FetchError, match="wrong checksum") as caught:
            fetch(HttpSource(web.url("/always"), sha256="0" * 64))
        assert caught.value.context["expected"] == "0" * 64
        assert len(list(tmp_path.glob("data*"))) == 1

    def test_more_bytes_than_the_lock_knows_are_not_downloaded(
        self, web: HttpServer, fetch: Callable[..., Path]
    ) -> None:
        web.put("/a", DATA * 100, no_length=True)
        locked = LockedHttp(url=web.url("/a"), sha256=SHA, size=len(DATA))
        with pytest.raises(FetchError, match="larger than the 700,000 bytes of the lock"):
            fetch(locked)
        # The sockets between hold some megabytes.
        assert web.bytes_sent < 50 * len(DATA)

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"status": 404}, "HTTP 404"),
            ({"status": 403}, "HTTP 403"),
            ({"failures": 99}, "HTTP 500"),
            ({"failures": 99, "failure_status": 429, "retry_after": "0"}, "HTTP 429"),
            ({"claim_length": 900_000, "ranges": False}, "too short: 700,000 of 900,000 bytes"),
            ({"drop_after": 0}, "too short: 0 of 700,000 bytes"),
            ({"stall_after": 0}, "timeout"),
            ({"redirect": "/a"}, "more than 10 redirects"),
            ({"redirect": "file:///etc/passwd"}, "not http or https: refused"),
            ({"redirect": "ftp://127.0.0.1/x"}, "not http or https: refused"),
            ({"redirect": "http://[bad"}, "no valid URL"),
            ({"redirect": "/missing"}, "HTTP 404"),
        ],
        ids=str,
    )
    def test_what_cannot_be_had_is_one_clear_line_and_no_file(
        self, how: dict[str, Any], message: str, web: HttpServer, fetch: Callable[..., Path], tmp_path: Path
    ) -> None:
        web.put("/a", DATA, **how)
        with pytest.raises(FetchError) as caught:
            fetch(web.url("/a", user="someone:canary"), policy=replace(PATIENT, attempts=2, read_timeout=0.2))
        assert message in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint or "redirect" in caught.value.message
        assert "canary" not in f"{caught.value.to_json()}"
        assert not list(tmp_path.glob("data*"))

    def test_no_network_is_one_clear_line(self, fetch: Callable[..., Path]) -> None:
        with pytest.raises(FetchError, match="connection was refused"):
            fetch(unused_port_url())
        with pytest.raises(FetchError, match="name is not known"):
            fetch("http://host.invalid/x", policy=replace(PATIENT, attempts=1))

    @pytest.mark.parametrize(
        "url", ["ftp://h/x", "http:///x", "http://h:99999/x", "x", "http://a b/", "http://[::1/x", ""]
    )
    def test_a_url_that_is_none_is_said_so(self, url: str, fetch: Callable[..., Path]) -> None:
        with pytest.raises(FetchError, match="URL"):
            fetch(url)


class TestCredentials:
    def test_user_and_password_come_from_the_url_or_netrc(
        self, web: HttpServer, fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        web.put("/a", DATA, basic=("me", "p@ss"))
        with pytest.raises(FetchError, match="HTTP 401"):
            fetch(web.url("/a"))
        assert fetch(web.url("/a", user="me:p%40ss")).read_bytes() == DATA
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password p@ss\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        assert fetch(web.url("/a?netrc")).read_bytes() == DATA

    def test_headers_are_named_by_variables(
        self, web: HttpServer, fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        web.put("/a", DATA, require_header=("PRIVATE-TOKEN", "s3cret"))
        source = HttpSource(web.url("/a"), headers={"PRIVATE-TOKEN": "MY_TOKEN"})
        with pytest.raises(FetchError, match="MY_TOKEN is not set"):
            fetch(source)
        monkeypatch.setenv("MY_TOKEN", "s3cret\n")
        assert fetch(source).read_bytes() == DATA
        monkeypatch.setenv("MY_TOKEN", "two\nlines")
        with pytest.raises(FetchError, match="header"):
            fetch(HttpSource(web.url("/b"), headers={"PRIVATE-TOKEN": "MY_TOKEN"}))

    def test_nothing_secret_goes_to_another_host_or_port(
        self, web: HttpServer, fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_TOKEN", "canary")
        monkeypatch.setenv("MY_AUTH", "Bearer canary")
        headers = {"X-Token": "MY_TOKEN", "Authorization": "MY_AUTH"}
        with HttpServer() as other:
            other.put("/b", DATA)
            for number, place in enumerate((other.url("/b"), web.url("/c", host="localhost"))):
                web.put(f"/a{number}", redirect=place)
                web.put("/c", DATA)
                fetch(HttpSource(web.url(f"/a{number}", user="me:canary"), headers=headers))
                assert "canary" in web.headers_of(f"/a{number}")[0]["X-Token"]
            received = str(other.requests) + str(web.headers_of("/c"))
        assert "canary" not in received
        assert "Authorization" not in received

    def test_they_do_go_along_on_the_same_host(
        self, web: HttpServer, fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_TOKEN", "yes")
        web.put("/a", redirect="/b")
        web.put("/b", DATA, basic=("me", "pw"), require_header=("X-Token", "yes"))
        source = HttpSource(web.url("/a", user="me:pw"), headers={"X-Token": "MY_TOKEN"})
        assert fetch(source).read_bytes() == DATA

    def test_the_callers_own_authorization_goes_before_netrc(
        self, web: HttpServer, fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login wrong password wrong\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("MY_AUTH", "Bearer right")
        web.put("/a", DATA, require_header=("Authorization", "Bearer right"))
        assert fetch(HttpSource(web.url("/a"), headers={"Authorization": "MY_AUTH"})).read_bytes() == DATA

    def test_none_of_them_is_in_the_cache(
        self, web: HttpServer, fetch: Callable[..., Path], cache: BuilderCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_TOKEN", "canary1")
        web.put("/a", DATA)
        fetch(HttpSource(web.url("/a?token=canary2", user="me:canary3"), headers={"X-Token": "MY_TOKEN"}))
        for path in cache.root.rglob("*"):
            assert "canary" not in str(path)
            assert not path.is_file() or b"canary" not in path.read_bytes()


class TestCoding:
    def test_the_digest_is_that_of_the_file(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        web.put("/a", DATA)
        fetch(web.url("/a"))
        assert web.requests[0].headers["Accept-Encoding"] == "identity"

    def test_a_coding_that_nobody_asked_for_is_undone(
        self, web: HttpServer, cache: BuilderCache, tmp_path: Path
    ) -> None:
        packed = gzip.compress(DATA)
        web.put("/a.csv", packed, headers={"Content-Encoding": "gzip"})
        locked, place = fetch_http(HttpSource(web.url("/a.csv")), tmp_path / "one", cache=cache)
        assert place.read_bytes() == DATA
        assert (locked.sha256, locked.compression) == (hashlib.sha256(packed).hexdigest(), "gzip")
        again = fetch_http(locked, tmp_path / "two", cache=cache, offline=True)[1]
        assert (again.name, again.read_bytes()) == ("a.csv", DATA)

    def test_a_server_that_calls_every_gz_file_encoded_does_not_confuse(
        self, web: HttpServer, fetch: Callable[..., Path], tmp_path: Path
    ) -> None:
        packed = tar(tmp_path / "t", entry("f"), mode="w:gz").read_bytes()
        web.put("/a.tar.gz", packed, headers={"Content-Encoding": "x-gzip"})
        assert fetch(web.url("/a.tar.gz")).read_bytes() == packed
        assert (fetch(HttpSource(web.url("/a.tar.gz"), type="tar")) / "f").exists()

    def test_a_coding_that_is_unknown_is_refused(self, web: HttpServer, fetch: Callable[..., Path]) -> None:
        web.put("/a", DATA, headers={"Content-Encoding": "br"})
        with pytest.raises(FetchError, match="Content-Encoding br"):
            fetch(web.url("/a"))

    def test_a_compressed_bomb_is_stopped(self, web: HttpServer, fetch: Callable[..., Path], tmp_path: Path) -> None:
        web.put("/a.gz", gzip.compress(bytes(30 << 20)))
        with pytest.raises(FetchError, match="bomb"):
            fetch(HttpSource(web.url("/a.gz"), compression="gzip"), limits=Limits(ratio_floor=10 << 20))
        assert not list(tmp_path.glob("data*"))


def test_a_lock_brings_the_same_bytes_or_none(web: HttpServer, cache: BuilderCache, tmp_path: Path) -> None:
    web.put("/a", b"first")
    locked = resolve_http(HttpSource(web.url("/a")), cache=cache)
    assert fetch_http(locked, tmp_path / "one", cache=cache, offline=True)[0] == locked
    web.put("/a", b"other")
    with pytest.raises(FetchError, match="wrong checksum"):
        fetch_http(locked, tmp_path / "two", cache=BuilderCache(tmp_path / "empty"), policy=PATIENT)


def test_a_local_file_can_be_named_in_a_spec(fetch: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "my data.csv").write_bytes(DATA)
    place = fetch(HttpSource(f"file://{tmp_path}/my%20data.csv", sha256=SHA))
    assert (place.name, place.read_bytes()) == ("my data.csv", DATA)
    for url in ("file:///does/not/exist", "file://elsewhere/etc/hostname", f"file://{tmp_path}"):
        with pytest.raises(FetchError):
            fetch(url)


def test_progress_counts_bytes(web: HttpServer, fetch: Callable[..., Path]) -> None:
    events: list[Event] = []
    web.put("/a.bin", DATA)
    fetch(web.url("/a.bin"), reporter=events.append)
    assert {event.step for event in events} == {"data"}
    progress = [event for event in events if event.kind == "progress"]
    assert progress
    assert (progress[0].message, progress[0].total, progress[0].unit) == ("a.bin", len(DATA), "bytes")
    assert [event.kind for event in events if event.kind in ("start", "done")] == ["start", "done"]


def test_patience_can_be_set_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONCHO_HTTP_TIMEOUT", "3.5")
    monkeypatch.setenv("PONCHO_HTTP_RETRIES", "0")
    policy = HttpPolicy.from_environment()
    assert (policy.connect_timeout, policy.read_timeout, policy.attempts) == (3.5, 3.5, 1)
    monkeypatch.setenv("PONCHO_HTTP_TIMEOUT", "soon")
    with pytest.raises(FetchError, match="PONCHO_HTTP_TIMEOUT=soon"):
        HttpPolicy.from_environment()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a self-signed certificate for 127.0.0.1, and a server's context with it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    made, key = tmp_path / "server.pem", tmp_path / "server.key"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *kind, *subject, "-keyout", key, "-out", made], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return made, context


def test_ssl_cert_file_makes_a_private_authority_known(
    certificate: tuple[Path, ssl.SSLContext], fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    path, context = certificate
    server = HttpServer()
    server.use_tls(context)
    with server:
        server.put("/a", DATA)
        with pytest.raises(FetchError, match="certificate is not accepted") as caught:
            fetch(server.url("/a"))
        assert "SSL_CERT_FILE" in (caught.value.hint or "")
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert fetch(server.url("/a")).read_bytes() == DATA


def test_a_step_down_from_https_needs_a_digest(
    certificate: tuple[Path, ssl.SSLContext],
    web: HttpServer,
    fetch: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    path, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    web.put("/b", DATA)
    server = HttpServer()
    server.use_tls(context)
    with server:
        server.put("/a", redirect=web.url("/b"))
        with pytest.raises(FetchError, match="from https to http"):
            fetch(server.url("/a"))
        assert fetch(HttpSource(server.url("/a"), sha256=SHA)).read_bytes() == DATA


@pytest.mark.parametrize(
    ("status", "header"),
    [(206, "Content-Range: bytes 5-9/{n}"), (416, "Content-Range: bytes */{n}"), (206, "Content-Length: {n}")],
)
def test_a_number_of_thousands_of_digits_is_an_error_like_others(
    fetch: Callable[..., Path], status: int, header: str
) -> None:
    """After a first part, so that there is something to go on with."""

    def answer(request: BaseHTTPRequestHandler) -> bytes:
        first = request.headers["Range"] is None
        lines = ["Content-Length: 10", 'ETag: "1"'] if first else [header.format(n=5000 * "9"), 'ETag: "1"']
        head = "\r\n".join([f"HTTP/1.1 {200 if first else status} X", *lines, "Connection: close", "", ""])
        return head.encode() + b"01234"

    with answering(answer) as server, pytest.raises(FetchError):
        fetch(f"{server}/a")


def test_what_is_no_strong_validator_is_not_gone_on_with(fetch: Callable[..., Path]) -> None:
    """A weak ETag promises the same meaning, not the same bytes: the rest of another variant would be joined."""
    asked: list[dict[str, str]] = []

    def answer(request: BaseHTTPRequestHandler) -> bytes:
        asked.append(dict(request.headers))
        head = b'HTTP/1.1 200 X\r\nETag: W/"1"\r\nContent-Length: 10\r\nConnection: close\r\n\r\n'
        return head + (b"01234" if len(asked) == 1 else b"abcdefghij")

    with answering(answer) as server:
        assert fetch(f"{server}/a").read_bytes() == b"abcdefghij"
    assert len(asked) == 2
    assert not {"Range", "If-Range"} & asked[1].keys()
