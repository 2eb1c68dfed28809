"""Hazard 14: a server that drops, stalls, lies about lengths, swaps bytes, redirects, fails. All arrives, or is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from poncho._types import Event
from poncho.errors import FetchError
from poncho.fetch import HttpPolicy, fetch_http, resolve_http
from poncho.spec.model import HttpSource
from poncho.store import BuilderCache
from tests.support import servers
from tests.support.faults import count
from tests.support.httpserver import HttpServer, http_date

PATIENT = HttpPolicy(connect_timeout=2, read_timeout=0.3, attempts=5, backoff=0.005)
SIZE = 60_000
MOODS: list[dict[str, Any]] = [
    {"drop_after": 9_000, "drops": 3},
    {"drop_after": 0, "drops": 2},
    {"drop_after": 20_000, "drops": 2, "etag": None, "last_modified": http_date()},
    {"drop_after": 20_000, "drops": 2, "ranges": False},
    {"drop_after": 20_000, "drops": 1, "wrong_range": True},
    {"chunked": True, "drop_after": 30_000, "drops": 2},
    {"stall_after": 30_000, "stalls": 1, "stall_seconds": 0.6},
    {"stall_after": 0, "stalls": 1, "stall_seconds": 0.6},
    {"claim_length": SIZE + 9_000, "claims": 1},
    {"claim_length": SIZE + 9_000},
    {"no_length": True},
    {"swap": 1},
    {"failures": 2},
    {"failures": 1, "failure_status": 503, "retry_after": "0"},
    {"failures": 1, "failure_status": 429},
    {"redirects": 1},
    {"redirects": 4},
    {"redirects": 2, "drop_after": 9_000, "drops": 2},
]
# What cannot be had, and must not be taken for it.
BAD: list[dict[str, Any]] = [
    {"swap": 1_000_000},
    {"status": 404},
    {"failures": 1_000_000},
    {"redirect": "file:///etc/passwd"},
    {"redirect": "/LOOP"},
    {"claim_length": SIZE + 9_000, "ranges": False, "drop_after": 50_000},
    {"stall_after": 0, "stall_seconds": 0.6},
]


@pytest.fixture(autouse=True)
def _quiet_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    servers.quiet_network(monkeypatch, tmp_path / "home")


def put(web: HttpServer, path: str, content: bytes, mood: dict[str, Any]) -> None:
    """Serve ``content`` at the end of as many redirects as the mood has, badly there."""
    how = dict(mood)
    steps = how.pop("redirects", 0)
    for step in range(steps):
        following = f"{path}.{step + 1}" if step < steps - 1 else f"{path}.end"
        status = (301, 302, 303, 307, 308)[step % 5]
        web.put(f"{path}.{step}" if step else path, redirect=following, redirect_status=status)
    web.put(f"{path}.end" if steps else path, content, **how)


def test_a_hundred_files_from_a_bad_server_are_all_right(tmp_path: Path) -> None:
    cache = BuilderCache(tmp_path / "cache")
    with servers.http_server() as web:
        for number in range(count(100, 1000)):
            content = os.urandom(SIZE)
            digest = hashlib.sha256(content).hexdigest()
            mood, path = MOODS[number % len(MOODS)], f"/f{number}"
            put(web, path, content, mood)
            # Only with a digest can swapped bytes be told from right ones.
            known = "swap" in mood or number // len(MOODS) % 2
            source = HttpSource(web.url(path), sha256=digest if known else None)
            locked, place = fetch_http(source, tmp_path / f"data{number}", cache=cache, policy=PATIENT)
            assert place.read_bytes() == content, mood
            assert (locked.sha256, locked.size) == (digest, SIZE)


@pytest.mark.parametrize("mood", BAD, ids=str)
def test_what_cannot_be_had_is_refused_and_nothing_is_left(mood: dict[str, Any], tmp_path: Path) -> None:
    content = os.urandom(SIZE)
    with servers.http_server() as web:
        how = {**mood, "redirect": "/f" if mood.get("redirect") == "/LOOP" else mood.get("redirect")}
        web.put("/f", content, **how)
        source = HttpSource(web.url("/f"), sha256=hashlib.sha256(content).hexdigest())
        with pytest.raises(FetchError) as caught:
            fetch_http(source, tmp_path / "data", cache=BuilderCache(tmp_path / "cache"), policy=PATIENT)
    assert "\n" not in caught.value.message
    assert not (tmp_path / "data").exists()
    assert not list((tmp_path / "cache" / "http" / "sha256").rglob("*/*"))


def test_resuming_costs_no_more_than_a_twentieth(tmp_path: Path) -> None:
    asked = sent = 0
    for number in range(count(10, 100)):
        content = os.urandom(400_000)
        with servers.http_server() as web:
            web.put("/f", content, drop_after=20_000 + 1_000 * (number % 37))
            source = HttpSource(web.url("/f"))
            cache = BuilderCache(tmp_path / "cache")
            _, place = fetch_http(source, tmp_path / f"data{number}", cache=cache, policy=PATIENT)
            assert place.read_bytes() == content
            asked, sent = asked + len(content), sent + web.bytes_sent
            assert len(web.requests) > 5
    assert sent <= 1.05 * asked


def test_a_lock_is_kept_by_a_server_that_swaps_bytes(tmp_path: Path) -> None:
    with servers.http_server() as web:
        web.put("/f", b"right" * 1000)
        locked = resolve_http(HttpSource(web.url("/f")), cache=BuilderCache(tmp_path / "one"), policy=PATIENT)
        web.put("/f", b"wrong" * 1000)
        with pytest.raises(FetchError, match="wrong checksum"):
            fetch_http(locked, tmp_path / "data", cache=BuilderCache(tmp_path / "two"), policy=PATIENT)


def test_every_further_try_is_said_and_they_come_to_an_end(tmp_path: Path) -> None:
    events: list[Event] = []
    cache = BuilderCache(tmp_path / "cache")
    with servers.http_server() as web:
        web.put("/f", b"x", failures=1_000_000)
        source = HttpSource(web.url("/f"))
        with pytest.raises(FetchError, match="HTTP 500"):
            fetch_http(source, tmp_path / "data", cache=cache, policy=PATIENT, reporter=events.append)
        said = [event.message for event in events if event.kind == "warning"]
        assert len(said) == len(web.requests) - 1 == PATIENT.attempts - 1
        assert "HTTP 500" in said[0]
        assert said[0].endswith("trying again in 0.0 s (1 of 4)")


def test_a_server_that_asks_to_wait_too_long_is_given_up(tmp_path: Path) -> None:
    policy = HttpPolicy(attempts=50, backoff=0.005, longest_wait=0.05, total_wait=0.22)
    cache = BuilderCache(tmp_path / "cache")
    with servers.http_server() as web:
        web.put("/f", b"x", failures=1_000_000, failure_status=503, retry_after="3600")
        with pytest.raises(FetchError, match="HTTP 503"):
            fetch_http(HttpSource(web.url("/f")), tmp_path / "data", cache=cache, policy=policy)
        assert len(web.requests) == 5
