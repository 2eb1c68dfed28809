"""What the contract tests share: real data behind git and http, one package, one conda environment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support import packages
from tests.support.channel import Channel
from tests.support.cli import run_cli
from tests.support.reference_engine import make_environment
from tests.support.server import FileServer, serve
from tests.support.sources import Sources, make_repository, make_web_files


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    """Yield data as users keep it: in git and on a web server."""
    root = tmp_path_factory.mktemp("sources")
    commits = make_repository(root / "repository")
    make_web_files(root / "web")
    with serve(FileServer(root / "web", redirects={"/moved.csv": "/calibration.csv"})) as server:
        yield Sources(root / "repository", commits, server)


@pytest.fixture(scope="session")
def full_spec(channel: Channel, sources: Sources) -> dict[str, object]:
    """Return a spec that asks for something of every kind."""
    conda = [f"python={channel.python}", "pip", "greet", "text-prefix", "activation", "pyyaml"]
    if channel.records("prefix-tool"):
        conda.append("prefix-tool")
    return {
        "conda": {"channels": [channel.file_url], "dependencies": [*conda, {"pip": ["six==1.16.0"]}]},
        "git": {"REPOSITORY": {"remote": str(sources.repository), "ref": "v1"}},
        "http": {
            "CALIBRATION": {"type": "file", "url": f"{sources.web.url}/calibration.csv"},
            "ARCHIVE": {"type": "tar", "compression": "gzip", "url": f"{sources.web.url}/archive.tar.gz"},
        },
    }


@pytest.fixture(scope="session")
def package(shared_directory: Path, full_spec: dict[str, object]) -> Path:
    """Return the package of ``full_spec``, built once for all workers. Read only."""
    target = shared_directory / "contract" / "env.tar.gz"
    target.parent.mkdir(exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.exists():
            packages.create(full_spec, target).ok()
    return target


@pytest.fixture(scope="session")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package unpacked by plain tar, never relocated. Read only."""
    return packages.unpack(package, tmp_path_factory.mktemp("unpacked") / "env")


@pytest.fixture(scope="session")
def conda_environment(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a conda environment that poncho did not make: Python, pip, PyYAML and a pip package. Read only."""
    prefix = tmp_path_factory.mktemp("conda") / "env"
    conda = ["pip", "setuptools", "wheel", "pyyaml", "greet", "text-prefix"]
    make_environment(prefix, [channel.file_url], [f"python={channel.python}", *conda])
    subprocess.run(
        [str(prefix / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "six==1.16.0"],
        check=True,
        env={**os.environ, "PATH": f"{prefix}/bin:/usr/bin:/bin"},
    )
    return prefix


@pytest.fixture(scope="session")
def ladder_spec(channel: Channel) -> dict[str, object]:
    """Return the smallest spec: one conda package without Python, built in well under a second."""
    return {"conda": {"channels": [channel.file_url], "dependencies": ["ladder=1.2"]}}


@pytest.fixture(scope="session")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Return a function that analyses source text and returns the spec as Python values."""
    counter = iter(range(1_000_000))

    def analyze(text: str, *options: str, env: dict[str, str] | None = None) -> dict[str, object]:
        source = tmp_path_factory.mktemp(f"analyze{next(counter)}") / "application.py"
        source.write_text(text)
        result = run_cli("poncho_package_analyze", source, "-", *options, env=env).ok()
        return dict(json.loads(result.stdout))

    return analyze
