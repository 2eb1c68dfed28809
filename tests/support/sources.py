"""Data as users keep it, for packages to bring in: a git repository, and files on a web server."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import FileServer


@dataclass(frozen=True, slots=True)
class Sources:
    """A git repository with two commits on ``main``, a tag ``v1`` on the first, a branch ``side``; files over HTTP."""

    repository: Path
    commits: dict[str, str]
    web: FileServer


def make_repository(repository: Path) -> dict[str, str]:
    """Make the git repository; return its commits by ``v1``, ``main`` and ``side``."""
    commits = {}
    repository.mkdir()
    _git(repository, "init", "--quiet", "--initial-branch", "main")
    for name in ("v1", "main"):
        (repository / "data.txt").write_text(f"data at {name}\n")
        _git(repository, "add", "data.txt")
        _git(repository, "commit", "--quiet", "-m", name)
        commits[name] = _git(repository, "rev-parse", "HEAD")
        if name == "v1":
            _git(repository, "tag", "v1")
    _git(repository, "checkout", "--quiet", "-b", "side", "v1")
    (repository / "data.txt").write_text("data at side\n")
    _git(repository, "commit", "--quiet", "-am", "side")
    commits["side"] = _git(repository, "rev-parse", "HEAD")
    _git(repository, "checkout", "--quiet", "main")
    return commits


def make_web_files(web: Path) -> None:
    """Make the files of the web server: ``calibration.csv``, and ``archive.tar.gz`` with ``inner/value.txt``."""
    web.mkdir()
    (web / "calibration.csv").write_text("x,y\n1,2\n")
    with tarfile.open(web / "archive.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("inner/value.txt")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"42\n"))


def _git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tests", "-c", "user.email=tests@example.org", "-c", "commit.gpgsign=false"]
    run = subprocess.run(["git", *identity, *arguments], cwd=repository, check=True, capture_output=True, text=True)
    return run.stdout.strip()
