"""Packages that URLs name, and nodes with one tool to fetch them."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests.support.handmade import plain
from tests.support.httpserver import HttpServer
from tests.support.runner import Runner, without

TOOLS = ("curl", "wget", "busybox", "python3")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def large(tmp_path: Path, size: int = 3_000_000) -> bytes:
    """Return a package that is not over in one packet."""
    path = tmp_path / "large.tar.gz"
    made = plain()
    made.files["lib/noise"] = os.urandom(size)
    made.write(path)
    return path.read_bytes()


def pinned(server: HttpServer, content: bytes, path: str = "/env.tar.gz", **how: object) -> str:
    server.put(path, content, **how)
    return f"{server.url(path)}#sha256={sha(content)}"


def kept(run: Runner) -> list[str]:
    return sorted(os.listdir(run.store / ".fetched")) if (run.store / ".fetched").is_dir() else []


def only(tmp_path: Path, tool: str) -> dict[str, str]:
    """Return variables under which one tool is all there is to fetch with."""
    hidden = {"curl", "wget", "python3", "python"} - {tool}
    place = Path(without(tmp_path / f"only-{tool}", *hidden))
    if tool == "busybox":
        if not shutil.which("busybox"):
            pytest.skip("no busybox on this machine")
        (place / "wget").symlink_to(shutil.which("busybox") or "")
    elif not (place / tool).exists():
        pytest.skip(f"no {tool} on this machine")
    return {"PATH": str(place)}
