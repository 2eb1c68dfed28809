"""A loopback HTTP server that does what servers do on bad days, and counts what it was asked for.

with HttpServer() as server:
    server.put("/data.bin", content, drop_after=1000)
    url = server.url("/data.bin")
    server.requests, server.bytes_sent
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Resource:
    """What is at a path, and how badly it is served. Counters such as ``failures`` go down with each request."""

    content: bytes = b""
    ranges: bool = True
    etag: str | None = "auto"
    last_modified: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    failures: int = 0
    failure_status: int = 500
    retry_after: str | None = None
    redirect: str | None = None
    redirect_status: int = 302
    drop_after: int | None = None
    drops: int = 1_000_000
    stall_after: int | None = None
    stalls: int = 1_000_000
    stall_seconds: float = 1.0
    claim_length: int | None = None
    claims: int = 1_000_000
    no_length: bool = False
    chunked: bool = False
    swap: int = 0
    wrong_range: bool = False
    basic: tuple[str, str] | None = None
    require_header: tuple[str, str] | None = None


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]


class HttpServer:
    """Serve ``Resource`` values on 127.0.0.1, from a thread, until the block ends."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.resources: dict[str, Resource] = {}
        self.requests: list[Seen] = []
        self.bytes_sent = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer((address, 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self.scheme = "http"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def use_tls(self, context: Any) -> None:
        """Speak https with this ``ssl.SSLContext``; call it before the block begins."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "https"

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def put(self, path: str, content: bytes = b"", **how: Any) -> Resource:
        """Serve ``content`` at ``path``; keyword arguments are the fields of ``Resource``."""
        resource = Resource(content=content, **how)
        self.resources[path] = resource
        return resource

    def url(self, path: str, *, user: str | None = None, host: str = "127.0.0.1") -> str:
        """Return the address of ``path``, with ``user`` (``name:password``) in it when given."""
        return f"{self.scheme}://{user + '@' if user else ''}{host}:{self.port}{path}"

    def headers_of(self, path: str) -> list[Mapping[str, str]]:
        """Return the headers of all requests for ``path``."""
        return [seen.headers for seen in self.requests if seen.path == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        owner: HttpServer = self.server.owner  # type: ignore[attr-defined]
        with owner.lock:
            owner.requests.append(Seen(self.path, dict(self.headers)))
            resource = owner.resources.get(urlsplit(self.path).path)
            failing = resource is not None and resource.failures > 0
            if resource is not None and failing:
                resource.failures -= 1
        if resource is None:
            self._answer(404, b"<!DOCTYPE html><h1>Not Found</h1>", {"Content-Type": "text/html"})
        elif failing:
            extra = {"Retry-After": resource.retry_after} if resource.retry_after is not None else {}
            self._answer(resource.failure_status, b"trouble", extra)
        elif not self._allowed(resource):
            self._answer(401, b"who are you?", {"WWW-Authenticate": 'Basic realm="test"'})
        elif resource.redirect is not None:
            self._answer(resource.redirect_status, b"", {"Location": resource.redirect})
        else:
            self._serve(owner, resource)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _allowed(self, resource: Resource) -> bool:
        if resource.basic is not None:
            expected = "Basic " + base64.b64encode(":".join(resource.basic).encode()).decode()
            if self.headers.get("Authorization") != expected:
                return False
        if resource.require_header is not None:
            name, value = resource.require_header
            return bool(self.headers.get(name) == value)
        return True

    def _serve(self, owner: HttpServer, resource: Resource) -> None:
        content = resource.content
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"' if resource.etag == "auto" else resource.etag
        headers = dict(resource.headers)
        if etag:
            headers["ETag"] = etag
        if resource.last_modified:
            headers["Last-Modified"] = resource.last_modified
        if (etag and self.headers.get("If-None-Match") == etag) or (
            resource.last_modified and self.headers.get("If-Modified-Since") == resource.last_modified
        ):
            self._answer(304, None, headers)
            return
        status, start, end = resource.status, 0, len(content)
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if asked and resource.ranges and condition in (None, etag, resource.last_modified):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, len(content) - int(last))
            end = min(end, int(last) + 1) if first and last else end
            if start >= len(content):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            status = 206
            shown = start + 1 if resource.wrong_range else start
            headers["Content-Range"] = f"bytes {shown}-{end - 1}/{len(content)}"
        body = content[start:end]
        if resource.swap > 0:
            resource.swap -= 1
            body = bytes([body[0] ^ 0xFF]) + body[1:]
        self._send(owner, resource, status, headers, body)

    def _send(self, owner: HttpServer, resource: Resource, status: int, headers: dict[str, str], body: bytes) -> None:
        length = len(body)
        if resource.claim_length is not None and resource.claims > 0:
            resource.claims -= 1
            length = resource.claim_length
            headers["Connection"] = "close"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if resource.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif resource.no_length:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = len(body)
        if resource.drop_after is not None and resource.drops > 0 and resource.drop_after < len(body):
            resource.drops -= 1
            stop = resource.drop_after
        stall = None
        if resource.stall_after is not None and resource.stalls > 0:
            resource.stalls -= 1
            stall = min(resource.stall_after, stop)
        sent = 0
        try:
            while sent < stop and stall != 0:
                end = min(sent + 65536, stop, stall if stall is not None and stall > sent else stop)
                piece = body[sent:end]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if resource.chunked else piece)
                with owner.lock:
                    owner.bytes_sent += len(piece)
                sent = end
                if sent == stall:
                    self.wfile.flush()
                    owner.stopping.wait(resource.stall_seconds)
                    break
            if stall == 0:
                owner.stopping.wait(resource.stall_seconds)
            if sent == len(body) and resource.chunked:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
        if sent < len(body) or length != len(body) or resource.no_length:
            self.close_connection = True

    def _answer(self, status: int, body: bytes | None, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(body)


def unused_port_url(path: str = "/") -> str:
    """Return a URL at which nobody listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    port = server.server_address[1]
    server.server_close()
    return f"http://127.0.0.1:{port}{path}"


def http_date(seconds: float = 1_600_000_000) -> str:
    """Return a time as HTTP writes it."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], bytes]) -> Iterator[str]:
    """Run a server whose answers, heads and all, are the bytes that ``answer`` gives; yield its address."""

    class Raw(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer(self))
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Raw) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
