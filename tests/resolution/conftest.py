"""A real conda environment with Python, made once, and a small package index to resolve against."""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from poncho.engine import SolveRequest, native_platform
from poncho.engine.rattler import RattlerEngine
from poncho.store import BuilderCache


@pytest.fixture(scope="session")
def conda_python(shared_directory, channel):
    """Return the interpreter of a conda environment that holds numpy and the C library yaml's Python binding."""
    prefix = shared_directory / "resolve-env"
    engine = RattlerEngine(BuilderCache(shared_directory / "resolve-cache"))
    with FileLock(shared_directory / "resolve-env.lock"):
        if not prefix.exists():
            request = SolveRequest((channel.file_url,), ("python", "pip", "numpy"), native_platform())
            records = engine.solve(request, reporter=lambda event: None)
            engine.install(records, prefix, platform=native_platform(), offline=False, reporter=lambda event: None)
    return prefix / "bin" / "python"


def write_wheel(
    folder: Path, name: str, version: str, requires: tuple[str, ...] = (), tag: str = "py3-none-any"
) -> Path:
    """Write a wheel with one module."""
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    requirements = "".join(f"Requires-Dist: {one}\n" for one in requires)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirements}")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    """Yield a package index on loopback: ``alpha`` 1 and 2 (2 wants beta), ``beta`` 1, ``wants-new-numpy`` 1."""
    root = tmp_path_factory.mktemp("index")
    wheels = {
        "alpha": [("1.0", ()), ("2.0", ("beta",))],
        "beta": [("1.0", ())],
        "wants_new_numpy": [("1.0", ("numpy>=99",))],
        "wants_numpy": [("1.0", ("numpy>=1",))],
    }
    for name, versions in wheels.items():
        folder = root / "simple" / name.replace("_", "-")
        folder.mkdir(parents=True)
        files = [write_wheel(folder, name, version, requires) for version, requires in versions]
        links = (f'<a href="{f.name}#sha256={hashlib.sha256(f.read_bytes()).hexdigest()}">{f.name}</a>' for f in files)
        (folder / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>")
    with serve_index(root) as server:
        yield server


@dataclass
class Index:
    """A folder of folders of wheels, served; ``requests`` are the paths that were asked for."""

    root: Path
    url: str
    requests: list[str]


@contextmanager
def serve_index(root: Path) -> Iterator[Index]:
    """Serve ``root/simple`` as a package index (PEP 503); any user and password are welcome."""
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(root))

        def end_headers(self) -> None:
            self.send_header("Cache-Control", "no-cache")
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            requests.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Index(root / "simple", f"http://127.0.0.1:{server.server_address[1]}/simple", requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def environ(index):
    """Return an environment in which that index is the only one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index.url}


@pytest.fixture(params=["uv", "pip"])
def tool(request, monkeypatch):
    """Run the test with uv, and again with pip."""
    monkeypatch.setenv("PONCHO_NO_UV", "1" if request.param == "pip" else "0")
    return request.param
