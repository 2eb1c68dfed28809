"""Packages that a URL names: fetched once for each node, from servers that behave well and badly."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.support.handmade import plain
from tests.support.httpserver import HttpServer, unused_port_url
from tests.support.prefixes import packed
from tests.support.remote import TOOLS, kept, large, only, pinned, sha
from tests.support.runner import Runner, without

FEW = {"PONCHO_FETCH_TRIES": "2"}


def test_it_is_fetched_once_and_then_the_server_is_not_asked(run: Runner, server: HttpServer, content: bytes) -> None:
    url = pinned(server, content)
    for _ in range(3):
        assert run("-e", url, "--", "say", "here").ok().out == "here\n"
    assert len(server.requests) == 1
    assert kept(run) == [f"{sha(content)}.package"]
    assert run.leftovers() == []
    assert "here, as" in run("-d", "-e", url, "--", "say").ok().err
    assert len(server.requests) == 1


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_fetches_resumes_and_follows_redirects(
    node: Runner, server: HttpServer, tmp_path: Path, tool: str
) -> None:
    env = only(tmp_path, tool)
    content = large(tmp_path)
    pinned(server, content, drop_after=1_200_000, drops=1)
    server.put("/moved", redirect="/env.tar.gz")
    url = f"{server.url('/moved')}#sha256={sha(content)}"
    done = node("-d", "-e", url, "--", "say", "here", env=env).ok()
    assert done.out == "here\n"
    assert "trying again" in done.err
    assert "from byte" in done.err
    # What had come was not sent again.
    assert server.bytes_sent < 1.2 * len(content)


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_says_what_is_wrong(node: Runner, server: HttpServer, tmp_path: Path, tool: str) -> None:
    env = {**only(tmp_path, tool), **FEW}
    node("-e", server.url("/none"), "say", env=env).refused("does not exist (404)")
    server.put("/secret", b"x", basic=("me", "word"))
    node("-e", server.url("/secret"), "say", env=env).refused("refuses it (401)", ".netrc")
    server.put("/down", b"x", failures=9, failure_status=503)
    node("-e", server.url("/down"), "say", env=env).refused("after 2 tries", "503")
    node("-e", unused_port_url(), "say", env=env).refused("after 2 tries", "without network")
    assert len(server.headers_of("/none")) <= 2  # wget asks for the size first
    assert kept(node) == []
    assert node.leftovers() == []


@pytest.mark.parametrize("tool", ["curl", "wget", "python3"])
def test_credentials_come_from_netrc(
    node: Runner, server: HttpServer, content: bytes, tmp_path: Path, tool: str
) -> None:
    env = only(tmp_path, tool)
    netrc = node.directory / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password word\n")
    netrc.chmod(0o600)
    url = pinned(server, content, basic=("me", "word"))
    assert node("-e", url, "say", "in", env=env).ok().out == "in\n"


@pytest.mark.parametrize("tool", ["curl", "wget", "python3"])
def test_no_tool_has_the_url_among_its_arguments(node: Runner, server: HttpServer, tmp_path: Path, tool: str) -> None:
    content = large(tmp_path)
    url = pinned(server, content, stall_after=1000, stalls=1, stall_seconds=20)
    url = url.replace("/env.tar.gz", "/env.tar.gz?token=hush")
    process = node.start("-e", url, "say", env=only(tmp_path, tool))
    deadline = time.monotonic() + 20
    while server.bytes_sent < 1000 and time.monotonic() < deadline:
        time.sleep(0.02)
    seen = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
                parent = (entry / "status").read_text()
            except OSError:
                continue
            if b"hush" in words and b"poncho_package_run" not in words:
                seen.append((words, parent))
    process.terminate()
    process.communicate(timeout=20)
    assert server.bytes_sent >= 1000
    assert seen == []


def test_a_killed_download_leaves_what_the_next_run_goes_on_with(
    node: Runner, server: HttpServer, tmp_path: Path
) -> None:
    content = large(tmp_path)
    url = pinned(server, content, stall_after=2_000_000, stalls=1, stall_seconds=30)
    process = node.start("-e", url, "say")
    part = node.store / ".fetched" / f"{sha(content)}.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 1_500_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == -15
    assert node.unpacked() == []
    assert node.leftovers() == []
    assert kept(node) == [part.name]
    begin = part.stat().st_size
    assert node("-e", url, "say", "on").ok().out == "on\n"
    assert server.headers_of("/env.tar.gz")[-1]["Range"] == f"bytes={begin}-"
    # What was there was something else: it is found out, and all is fetched.
    other = large(tmp_path)
    url = pinned(server, other)
    (node.store / ".fetched" / f"{sha(other)}.part").write_bytes(b"x" * 1000)
    done = node("-d", "-e", url, "say", "whole").ok()
    assert done.out == "whole\n"
    assert "fetching it whole" in done.err


def test_many_at_once_fetch_it_once(node: Runner, server: HttpServer, tmp_path: Path) -> None:
    content = large(tmp_path)
    url = pinned(server, content)
    processes = [node.start("-e", url, "say", str(number)) for number in range(60)]
    outs = [process.communicate(timeout=60) for process in processes]
    assert [out for out, _ in outs] == [b"%d\n" % number for number in range(60)]
    assert len(server.requests) == 1
    assert node.leftovers() == []


@pytest.mark.parametrize("digest", ["right", "none"])
def test_other_content_is_refused_or_taken_by_rule(
    node: Runner, server: HttpServer, content: bytes, tmp_path: Path, digest: str
) -> None:
    other = tmp_path / "other.tar.gz"
    plain(variables={"OTHER": "lib"}).write(other)
    url = pinned(server, content)
    if digest == "right":
        server.put("/env.tar.gz", other.read_bytes())
        node("-e", url, "say").refused("is not what was asked for", sha(other.read_bytes()), sha(content))
        assert kept(node) == []
        assert node.unpacked() == []
        return
    url = server.url("/env.tar.gz")
    first = node("-d", "-e", url, "say", "1").ok()
    assert f"recorded for this URL: sha256 {sha(content)}" in first.err
    assert "without encryption" in first.err
    again = node("-d", "--refresh", "-e", url, "say", "1").ok()
    assert "has not changed" in again.err
    assert server.requests[-1].headers["If-None-Match"]
    server.put("/env.tar.gz", other.read_bytes())
    count = len(server.requests)
    assert node("-e", url, "sh", "-c", 'echo "${OTHER-old}"').ok().out == "old\n"
    assert len(server.requests) == count
    changed = node("--refresh", "-e", url, "sh", "-c", 'echo "${OTHER-old}"').ok()
    assert changed.out != "old\n"
    assert changed.err == (
        f"poncho_package_run: warning: {url} has changed: its sha256 was {sha(content)}, "
        f"and is {sha(other.read_bytes())} now\n"
    )
    assert node("-e", url, "sh", "-c", 'echo "${OTHER-old}"').ok().out == changed.out


def test_content_that_changes_between_two_tries_is_not_joined(node: Runner, server: HttpServer, tmp_path: Path) -> None:
    old, new = large(tmp_path), large(tmp_path)
    server.put("/env.tar.gz", old, drop_after=1_000_000)
    process = node.start("-e", server.url("/env.tar.gz"), "say", "whole")
    deadline = time.monotonic() + 20
    while server.bytes_sent < 1_000_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    server.put("/env.tar.gz", new)
    assert process.communicate(timeout=60)[0] == b"whole\n"
    assert f"{sha(new)}.package" in kept(node)


def test_a_kept_package_that_was_damaged_is_fetched_again_when_asked(
    node: Runner, server: HttpServer, content: bytes
) -> None:
    url = pinned(server, content)
    node("-e", url, "say").ok()
    node("--refresh", "-e", url, "say").ok()
    assert len(server.requests) == 1
    (node.store / ".fetched" / f"{sha(content)}.package").write_bytes(content[:-1] + b"x")
    assert "was damaged" in node("--refresh", "-e", url, "say").ok().err
    assert len(server.requests) == 2


def test_what_is_no_package_or_does_not_fit_is_not_kept(node: Runner, server: HttpServer, content: bytes) -> None:
    server.put("/page", b"<!DOCTYPE html><h1>Sign in</h1>")
    node("-e", server.url("/page"), "say").refused("/page is not a package")
    server.put("/huge", content, claim_length=10**16)
    node("-e", server.url("/huge"), "say").refused("does not fit")
    assert kept(node) == []


@pytest.mark.parametrize("tool", ["wget", "python3"])
def test_room_is_looked_at_by_the_other_tools_too(
    node: Runner, server: HttpServer, content: bytes, tmp_path: Path, tool: str
) -> None:
    server.put("/huge", content, claim_length=10**16)
    node("-e", server.url("/huge"), "say", env={**only(tmp_path, tool), **FEW}).refused("does not fit")


def test_redirects_lead_to_no_file(node: Runner, server: HttpServer, tmp_path: Path, package: Path) -> None:
    server.put("/file", redirect=f"file://{package}")
    for tool in ("curl", "wget", "python3"):
        env = {**only(tmp_path, tool), **FEW}
        assert node("-e", server.url("/file"), "say", env=env).status == 125
    assert kept(node) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://me:word@host.invalid/env.tar.gz", "credentials do not belong"),
        ("https://host.invalid/env.tar.gz#sha256=abc", "is not the sha256"),
        ("https://host.invalid/env.tar.gz#sha256=" + "g" * 64, "is not the sha256"),
        ("https://host.invalid/env.tar.gz#main", "is not a digest"),
        ("https://host.invalid/my env.tar.gz", "%20"),
        ("https:///env.tar.gz", "names no host"),
        ("s3://bucket/env.tar.gz", "only https, http and file"),
        ("file://host.invalid/env.tar.gz", "names another host"),
        ("file:///no/such/env.tar.gz", "no such file"),
    ],
)
def test_what_is_no_address_is_said_in_one_line(node: Runner, url: str, words: str) -> None:
    done = node("-e", url, "say").refused(words)
    assert "word@" not in done.err or "me:word" not in done.err


def test_a_file_is_copied_once_and_then_not_looked_at(run: Runner, content: bytes) -> None:
    place = run.directory / "far away"
    place.mkdir()
    (place / "env.tar.gz").write_bytes(content)
    url = f"file://{str(place).replace(' ', '%20')}/env.tar.gz"
    for address in (url, f"{url}#sha256={sha(content)}"):
        assert run("-e", address, "say", "here").ok().out == "here\n"
    shutil.rmtree(place)
    for address in (url, f"{url}#sha256={sha(content)}"):
        assert run("-e", address, "say", "still").ok().out == "still\n"
    assert len(run.unpacked()) == 1
    assert run("--refresh", "-e", url, "say").refused("no such file")


def test_without_any_tool_the_way_out_is_said(node: Runner, server: HttpServer, content: bytes, tmp_path: Path) -> None:
    env = {"PATH": without(tmp_path / "none", "curl", "wget", "python3")}
    node("-e", pinned(server, content), "say", env=env).refused("neither curl, wget nor python3", "name its path")


def test_busybox_fetches_by_https_only_what_has_a_digest(node: Runner, tmp_path: Path) -> None:
    env = only(tmp_path, "busybox")
    node("-e", "https://127.0.0.1:9/env.tar.gz", "say", env=env).refused("neither curl, wget nor python3")


def test_it_goes_with_the_other_options(node: Runner, server: HttpServer, content: bytes) -> None:
    url = pinned(server, content)
    target = node.directory / "there"
    show = ["sh", "-c", 'echo "$CONDA_PREFIX"']
    assert node("-u", target, "-e", url, *show).ok().out == f"{target}\n"
    assert "work." in node("--no-store", "-e", url, *show).ok().out
    assert node("-e", url, "--env", "A=1", "sh", "-c", "echo $A").ok().out == "1\n"
    assert json.loads(node("-e", url, "--print-env=json").ok().out)["CONDA_PREFIX"].startswith(str(node.store))
    assert len(server.requests) == 1
    node("-e", url, "--relocate").refused("is not a directory")
    node("--refresh", "-e", target, "say").refused("--refresh goes with a URL")


def test_a_proxy_is_used_in_either_spelling(node: Runner, server: HttpServer, content: bytes) -> None:
    server.put("/env.tar.gz", content)  # a proxy is asked for the whole URL, and this server looks at its path alone
    url = "http://nowhere.invalid/env.tar.gz#sha256=" + sha(content)
    for name in ("http_proxy", "HTTP_PROXY"):
        node("-e", url, "say", env={name: server.url(""), "PONCHO_STORE": str(node.directory / name)}).ok()
    assert server.requests[0].path.startswith("http://nowhere.invalid")


def versions(tmp_path: Path) -> tuple[bytes, bytes]:
    """Return two packages by the real packer, of one application: one file of thirty has changed."""
    found = []
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/say").write_text('#!/bin/sh\necho "$@"\n')
    (prefix / "bin/say").chmod(0o755)
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta/history").write_text("")
    (prefix / "lib").mkdir()
    for number in range(30):
        (prefix / f"lib/{number:02}").write_bytes(os.urandom(700_000))
    for version in ("1", "2"):
        (prefix / "lib/17").write_bytes(os.urandom(700_000))
        found.append(packed(prefix, tmp_path / f"{version}.tar.gz").path.read_bytes())
    return found[0], found[1]


def test_of_a_newer_package_only_what_has_changed_is_fetched(node: Runner, server: HttpServer, tmp_path: Path) -> None:
    old, new = versions(tmp_path)
    node("-e", pinned(server, old), "say").ok()
    before = server.bytes_sent
    url = pinned(server, new, "/new.tar.gz")
    done = node("-d", "-e", url, "say", "newer").ok()
    assert done.out == "newer\n"
    assert "bytes fetched, in" in done.err, done.err
    assert server.bytes_sent - before < 0.2 * len(new)
    assert (node.store / ".fetched" / f"{sha(new)}.package").read_bytes() == new
    # A damaged old one does no harm: each chunk is looked at, and the whole is compared with the digest.
    kept_old = node.store / ".fetched" / f"{sha(old)}.package"
    kept_old.write_bytes(old[: len(old) // 2] + bytes(4096) + old[len(old) // 2 + 4096 :])
    (node.store / ".fetched" / f"{sha(new)}.package").unlink()
    node("-e", url, "say").ok()
    assert (node.store / ".fetched" / f"{sha(new)}.package").read_bytes() == new


def test_a_server_without_ranges_sends_it_whole(node: Runner, server: HttpServer, tmp_path: Path) -> None:
    old, new = versions(tmp_path)
    node("-e", pinned(server, old), "say").ok()
    done = node("-d", "-e", pinned(server, new, "/new.tar.gz", ranges=False), "say").ok()
    assert "not by parts (the server sends no parts)" in done.err
