"""Packages that an https URL names: certificates, and where redirects may lead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.httpserver import HttpServer
from tests.support.network import authority
from tests.support.remote import TOOLS, kept, large, only, pinned, sha
from tests.support.runner import Runner


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[HttpServer, dict[str, str]]]:
    """Yield a server that speaks https with a certificate that no machine knows, and what makes it known."""
    certificate, context = authority(tmp_path / "authority")
    server = HttpServer()
    server.use_tls(context)
    with server:
        yield server, {"SSL_CERT_FILE": str(certificate)}


def pinned_by_name(server: HttpServer, content: bytes, **how: object) -> str:
    """Return a URL with the server's name: Debian's busybox hands addresses to openssl in a way that openssl refuses."""
    return pinned(server, content, **how).replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("tool", TOOLS)
def test_by_https_with_the_site_s_own_certificates(
    node: Runner, secure: tuple[HttpServer, dict[str, str]], content: bytes, tmp_path: Path, tool: str
) -> None:
    server, trust = secure
    url = pinned_by_name(server, content)
    assert url.startswith("https:")
    assert node("-e", url, "--", "say", "here", env=only(tmp_path, tool) | trust).ok().out == "here\n"


@pytest.mark.parametrize("tool", ["curl", "wget", "python3"])
def test_a_certificate_that_nobody_knows_is_refused_at_once(
    node: Runner, secure: tuple[HttpServer, dict[str, str]], content: bytes, tmp_path: Path, tool: str
) -> None:
    server, _ = secure
    said = node("-e", pinned_by_name(server, content), "say", env=only(tmp_path, tool))
    said.refused("the server's certificate is not trusted", "SSL_CERT_FILE names the site's certificates")
    assert server.requests == []
    assert kept(node) == []
    assert node.leftovers() == []


@pytest.mark.parametrize(
    "where",
    ["https://localhost:{port}/d/env.tar.gz?x=1", "/d/env.tar.gz", "env.tar.gz", "//localhost:{port}/d/env.tar.gz"],
)
@pytest.mark.parametrize("tool", ["curl", "wget", "python3"])
def test_redirects_by_https_are_followed(
    node: Runner,
    secure: tuple[HttpServer, dict[str, str]],
    tmp_path: Path,
    tool: str,
    where: str,
) -> None:
    server, trust = secure
    content = large(tmp_path, 300_000)
    server.put("/d/moved", redirect=where.format(port=server.port))
    server.put("/d/env.tar.gz", content, drop_after=100_000, drops=1)
    url = f"{server.url('/d/moved', host='localhost')}#sha256={sha(content)}"
    assert node("-e", url, "--", "say", "here", env=only(tmp_path, tool) | trust).ok().out == "here\n"
    assert server.bytes_sent < 1.5 * len(content)


@pytest.mark.parametrize("pin", [True, False])
@pytest.mark.parametrize("tool", ["curl", "wget", "python3"])
def test_https_never_leads_to_http(
    node: Runner,
    server: HttpServer,
    secure: tuple[HttpServer, dict[str, str]],
    content: bytes,
    tmp_path: Path,
    tool: str,
    pin: bool,
) -> None:
    safe, trust = secure
    server.put("/env.tar.gz", content)
    safe.put("/moved", redirect=server.url("/env.tar.gz"))
    safe.put("/twice", redirect="/moved")
    for path in ("/moved", "/twice"):
        url = safe.url(path, host="localhost") + (f"#sha256={sha(content)}" if pin else "")
        node("-e", url, "say", env=only(tmp_path, tool) | trust).refused("is not followed there")
    assert server.requests == []
    assert kept(node) == []
