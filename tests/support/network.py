"""A certificate authority of one's own, and a proxy that alone knows where hosts are."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest


def authority(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a new authority's certificate, and a server's context for 127.0.0.1, localhost and ``*.poncho.test``."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make certificates")
    directory.mkdir()
    (directory / "extensions").write_text(
        "subjectAltName=DNS:localhost,DNS:*.poncho.test,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
    )
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl(
        directory,
        "req",
        "-x509",
        *kind,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=tests",
        *usage,
    )
    _openssl(directory, "req", *kind, "-keyout", "key", "-out", "request", "-subj", "/CN=localhost")
    signed = ["-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    _openssl(directory, "x509", *signed, "-extfile", "extensions", "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "key")
    return directory / "ca.pem", context


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@dataclass(slots=True)
class Proxy:
    """An HTTP proxy for CONNECT. ``hosts`` maps a host to the local port behind it; ``asked`` is what was asked for."""

    hosts: Mapping[str, int]
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def proxy(hosts: Mapping[str, int]) -> Iterator[Proxy]:
    """Run a proxy until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Proxy(hosts, url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=_accept, args=(listener, made), daemon=True)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def _accept(listener: socket.socket, made: Proxy) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_tunnel, args=(client, made), daemon=True).start()


def _tunnel(client: socket.socket, made: Proxy) -> None:
    with client, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(4096)
            if not part:
                return
            head += part
        method, target = head.split(b" ")[:2]
        host = target.decode().rpartition(":")[0]
        made.asked.append(host)
        if method != b"CONNECT" or host not in made.hosts:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", made.hosts[host])) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
