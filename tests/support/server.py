"""A folder over loopback HTTP: ETags, ranges, a log of requests; credentials and faults when a test wants them."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(slots=True)
class FileServer:
    """Serve ``root`` below ``url``.

    ``basic`` is ``(user, password)``, ``token`` the token of ``/t/TOKEN/`` URLs, ``bearer`` that of an Authorization
    header; without the right ones the answer is 401. ``tls`` makes it speak https. A directory is answered with its
    ``index.html``. ``faults`` maps an end of a path to the status to answer instead, ``redirects`` a path to a URL.
    ``requests`` is what was asked: method and path.
    """

    root: Path
    basic: tuple[str, str] | None = None
    token: str | None = None
    bearer: str | None = None
    tls: ssl.SSLContext | None = None
    faults: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""

    @property
    def url(self) -> str:
        """Return the URL without credentials."""
        return f"{'https' if self.tls else 'http'}://{self.address}"

    @property
    def url_with_credentials(self) -> str:
        """Return the URL with the user and password, or the token, inside."""
        if self.basic:
            return self.url.replace("://", f"://{self.basic[0]}:{self.basic[1]}@")
        return f"{self.url}/t/{self.token}" if self.token else self.url

    @property
    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [path for _, path in self.requests]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no event."""


@contextmanager
def serve(server: FileServer) -> Iterator[FileServer]:
    """Serve until the block ends."""

    class Handler(_Handler):
        config = server

    http = _Server(("127.0.0.1", 0), Handler)
    if server.tls is not None:
        http.socket = server.tls.wrap_socket(http.socket, server_side=True)
    server.address = f"127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    config: FileServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal to the tests."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.config.requests.append((self.command, path))
        for end, status in self.config.faults.items():
            if path.endswith(end):
                return self._refuse(status)
        if path in self.config.redirects:
            return self._head(302, {"Location": self.config.redirects[path], "Content-Length": "0"})
        if not self._allowed():
            return self._refuse(401)
        if self.config.token:
            path = path.removeprefix(f"/t/{self.config.token}")
        parts = [part for part in path.split("/") if part]
        target = self.config.root.joinpath(*parts)
        if target.is_dir():
            target /= "index.html"
        if ".." in parts or not target.is_file():
            return self._refuse(404)
        return self._send(target)

    def _allowed(self) -> bool:
        if self.config.basic:
            expected = base64.b64encode(":".join(self.config.basic).encode()).decode()
            return self.headers.get("Authorization") == f"Basic {expected}"
        if self.config.bearer:
            return self.headers.get("Authorization") == f"Bearer {self.config.bearer}"
        if self.config.token:
            return urlsplit(self.path).path.startswith(f"/t/{self.config.token}/")
        return True

    def _send(self, target: Path) -> None:
        state = target.stat()
        etag = '"' + hashlib.sha256(f"{target}{state.st_mtime_ns}{state.st_size}".encode()).hexdigest()[:32] + '"'
        validators = {
            "ETag": etag,
            "Last-Modified": self.date_time_string(int(state.st_mtime)),
            "Accept-Ranges": "bytes",
        }
        if self.headers.get("If-None-Match") == etag:
            return self._head(304, validators)
        start, end, status = 0, state.st_size, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range", etag) == etag and int(asked[1]) < state.st_size:
            start, status = int(asked[1]), 206
            end = min(int(asked[2]) + 1, end) if asked[2] else end
            validators["Content-Range"] = f"bytes {start}-{end - 1}/{state.st_size}"
        kind = "text/html" if target.suffix == ".html" else "application/octet-stream"
        self._head(status, {**validators, "Content-Type": kind, "Content-Length": str(end - start)})
        if self.command == "GET":
            with target.open("rb") as stream:
                stream.seek(start)
                left = end - start
                while left and (block := stream.read(min(left, 1 << 20))):
                    self.wfile.write(block)
                    left -= len(block)
        return None

    def _refuse(self, status: int) -> None:
        headers = {"Content-Length": "0"}
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="tests"'
        self._head(status, headers)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
