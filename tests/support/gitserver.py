"""Real git over loopback: bare repositories that a test makes, served by git-http-backend and git-daemon."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(directory: Path, *arguments: str, seconds: int = 1_700_000_000, **environment: str) -> str:
    """Run git in ``directory`` as a person who works on a repository would, at a fixed time; return what it printed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    date = f"{seconds} +0000"
    variables = {**inherited, **_IDENTITY, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, **environment}
    command = ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(
        command, cwd=directory, env=variables, check=True, capture_output=True, text=True
    ).stdout.strip()


class Repository:
    """A work tree to commit in; what is committed can be fetched from its bare ``path`` at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path.parent / f"{path.name}.work"
        path.parent.mkdir(parents=True, exist_ok=True)
        git(path.parent, "init", "--quiet", "--bare", path.name)
        git(path.parent, "clone", "--quiet", str(path), str(self.work))
        self._seconds = 1_700_000_000

    def commit(self, files: Mapping[str, str | bytes | None] | None = None, message: str = "change") -> str:
        """Write ``files`` (None deletes one), commit everything, push the branch, and return the commit."""
        for name, content in (files or {}).items():
            place = self.work / name
            if content is None:
                place.unlink()
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        self._seconds += 60
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "--message", message, seconds=self._seconds)
        self.push()
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git in the work tree."""
        return git(self.work, *arguments, seconds=self._seconds)

    def push(self) -> None:
        """Push all branches and tags."""
        self.git("push", "--quiet", "--force", "--all", "origin")
        self.git("push", "--quiet", "--force", "--tags", "origin")

    def commit_tree(self, *entries: tuple[str, str, str]) -> str:
        """Commit a tree made by hand, of ``(mode, name, content or object)``, as branch ``crafted``; return the commit.

        Such trees need not be ones that ``git add`` would make.
        """
        raw = b""
        for mode, name, content in entries:
            kind = "commit" if mode == "160000" else "tree" if mode == "40000" else "blob"
            sha = content if kind != "blob" else self._hash("blob", content.encode())
            raw += mode.encode() + b" " + name.encode() + b"\0" + bytes.fromhex(sha)
        tree = self._hash("tree", raw)
        commit = git(self.path, "commit-tree", tree, "-m", "crafted")
        git(self.path, "update-ref", "refs/heads/crafted", commit)
        return commit

    def hash_tree(self, *entries: tuple[str, str, str]) -> str:
        """Return the object of a tree made by hand."""
        raw = b"".join(
            mode.encode() + b" " + name.encode() + b"\0" + bytes.fromhex(self._hash("blob", content.encode()))
            for mode, name, content in entries
        )
        return self._hash("tree", raw)

    def _hash(self, kind: str, content: bytes) -> str:
        command = ["git", "hash-object", "-w", "-t", kind, "--literally", "--stdin"]
        return (
            subprocess.run(command, cwd=self.path, input=content, check=True, capture_output=True)
            .stdout.decode()
            .strip()
        )


class GitServer:
    """Serve all bare repositories below ``root`` over smart http; ``login`` asks for basic authentication."""

    def __init__(self, root: Path, *, login: tuple[str, str] | None = None) -> None:
        self.root = root
        self.login = login
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.broken = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def use_tls(self, context: Any) -> None:
        """Speak https with this ``ssl.SSLContext``; call it before the block begins."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> GitServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, repository: Repository, *, user: str | None = None) -> str:
        """Return the address of ``repository``, with ``user`` (``name:password``) in it when given."""
        inside = repository.path.relative_to(self.root).as_posix()
        return f"http://{user + '@' if user else ''}127.0.0.1:{self.port}/{inside}"


class _Backend(BaseHTTPRequestHandler):
    """The CGI protocol to git-http-backend, as little of it as git needs."""

    protocol_version = "HTTP/1.0"

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        owner: GitServer = self.server.owner  # type: ignore[attr-defined]
        owner.requests.append((self.path, dict(self.headers)))
        if owner.broken > 0:
            owner.broken -= 1
            self.send_error(503)
            return
        if owner.login is not None:
            expected = "Basic " + base64.b64encode(":".join(owner.login).encode()).decode()
            if self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
        parts = urlsplit(self.path)
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        answer = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in fields if name.lower() == "status"), 200)
        self.send_response(status)
        for name, value in fields:
            if name.lower() != "status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def git_daemon(root: Path) -> Iterator[str]:
    """Serve all repositories below ``root`` with git-daemon; yield the address (``git://127.0.0.1:PORT``)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        "git",
        "daemon",
        "--export-all",
        "--reuseaddr",
        "--listen=127.0.0.1",
        f"--port={port}",
        f"--base-path={root}",
        str(root),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()
