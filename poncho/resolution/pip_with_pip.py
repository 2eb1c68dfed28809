"""Resolve with pip itself: ``pip install --dry-run --report`` (pip's documentation, "Installation Report")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from poncho import _json
from poncho.engine.pip_tools import environment_for_pip, requirement_file, run_tool
from poncho.engine.process import tool_failed
from poncho.errors import ResolveError
from poncho.lock.model import LockedPip
from poncho.resolution.local import locked_directory, locked_file
from poncho.store import BuilderCache

_STEP = "resolve the pip requirements"


def resolve_with_pip(
    pip: Sequence[str],
    requirements: Sequence[str],
    constraints: Mapping[str, str],
    *,
    offline: bool,
    cache: BuilderCache,
    environ: Mapping[str, str],
) -> list[LockedPip]:
    """Return what pip would install; see ``resolve_pip``. Raises ResolveError with pip's words in its context."""
    env = environment_for_pip(environ, cache, offline=offline)
    with cache.scratch("pip") as scratch:
        env["TMPDIR"] = str(scratch)
        wanted = requirement_file(scratch / "requirements.txt", list(requirements))
        kept = requirement_file(
            scratch / "constraints.txt", [f"{name}=={version}" for name, version in constraints.items()]
        )
        report = scratch / "report.json"
        ask = [*pip, "install", "--dry-run", "--report", str(report), "-r", str(wanted), "-c", str(kept)]
        done = run_tool(ask, env=env, step=_STEP, cwd=scratch, error=ResolveError, check=False)
        if done.returncode != 0:
            # Who is in conflict with whom goes to stdout, that there is a conflict to stderr.
            raise tool_failed(ask, done.returncode, done.stdout + done.stderr, step=_STEP, error=ResolveError)
        return [_locked(item) for item in _json.loads(report.read_text(encoding="utf-8"))["install"]]


def _locked(item: Mapping[str, Any]) -> LockedPip:
    name, version = str(item["metadata"]["name"]), str(item["metadata"]["version"])
    source = item["download_info"]
    url = str(source["url"])
    fragment = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
    if "dir_info" in source:
        return locked_directory(name, version, _path(url) / source.get("subdirectory", ""))
    if "vcs_info" in source:
        vcs = source["vcs_info"]
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}{fragment}"
        return LockedPip(name, version, f"{name} @ {url}", url=url)
    if item.get("is_direct") and url.startswith("file:"):
        return locked_file(name, version, _path(url))
    sha256 = source.get("archive_info", {}).get("hashes", {}).get("sha256")
    requirement = f"{name} @ {url}{fragment}" if item.get("is_direct") else f"{name}=={version}"
    return LockedPip(name, version, requirement, url=url, sha256=sha256)


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))
