"""Resolve with uv, in two questions.

``uv pip install --dry-run`` knows what the environment has and says which distributions are to be installed, but not
from where. ``uv pip compile --format pylock.toml`` says from where, with hashes (PEP 751), but knows nothing of the
environment: it is told the versions, and to leave out everything else.

The second question is asked without the network: the first has just read all index pages that it needs. Where the pages that
an earlier resolution read are known, they are read first, all at once, and then the first question needs no network either:
a resolver that walks the dependencies asks for them one generation after the other.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from types import MappingProxyType
from typing import Any

from packaging.tags import Tag
from packaging.utils import canonicalize_name

from poncho import _json
from poncho.engine.pip_tools import (
    environment_for_uv,
    index_arguments_for_uv,
    requirement_file,
    run_tool,
)
from poncho.engine.process import tool_failed
from poncho.errors import BuildError, ResolveError
from poncho.lock.model import LockedPip
from poncho.resolution.local import locked_directory, locked_file
from poncho.resolution.pages import Pages, absent_pages, consulted_names, missing_versions, wanted_network
from poncho.resolution.wheels import best_wheel, supported_tags
from poncho.store import BuilderCache

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STEP = "resolve the pip requirements"
_PREPARATIONS = 4


@dataclass(frozen=True, slots=True)
class Target:
    """The interpreter that is resolved for, as uv is told of it.

    ``installed`` are the arguments that say what it has, ``described`` those that say what it is; ``tags`` gives the
    wheel tags that it supports, the preferred first; ``name`` tells it from others, for notes that are only hints.
    """

    installed: tuple[str, ...]
    described: tuple[str, ...]
    tags: Callable[[], Sequence[Tag]]
    name: str
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, python: Path, environ: Mapping[str, str]) -> Target:
        """Return the target that is an interpreter of this machine."""
        where = ("--python", str(python))
        name = next((path.name for path in sorted(python.parent.parent.glob("lib/python3.*"))), "")
        return cls(where, where, functools.cache(lambda: supported_tags(python, environ)), name)


def resolve_with_uv(
    uv: Sequence[str],
    requirements: Sequence[str],
    target: Target,
    constraints: Mapping[str, str],
    *,
    offline: bool,
    cache: BuilderCache,
    environ: Mapping[str, str],
) -> list[LockedPip]:
    """Return what is to be installed; see ``resolve_pip``. ``requirements`` are lines of a requirements file.

    Raises ResolveError with uv's own words in its context.
    """
    env = {**environment_for_uv(environ, cache, offline=offline), **target.variables}
    common = [*index_arguments_for_uv(environ), "--no-sources"]
    with cache.scratch("pip") as scratch:
        env["TMPDIR"] = str(scratch)
        wanted = requirement_file(scratch / "requirements.txt", list(requirements))
        pins = [f"{name}=={version}" for name, version in constraints.items()]
        kept = requirement_file(scratch / "constraints.txt", pins)
        # The scratch directory is the working directory: uv would read a pyproject.toml in the caller's.
        first = [*uv, "pip", "install", "--dry-run", "--output-format", "json", *common, *target.installed]
        first += ["-r", str(wanted), "-c", str(kept)]
        about = [*common, *target.described]
        pages = Pages.of(requirements, target.name, env, index_arguments_for_uv(environ), cache)
        prepared = None if offline or pages is None else _ask_prepared(uv, first, pages, about, env, scratch)
        done = prepared or run_tool([*first, "--verbose"], env=env, step=_STEP, cwd=scratch, check=False)
        if done.returncode != 0:
            raise tool_failed(first, done.returncode, _without_debug(done.stderr), step=_STEP, error=ResolveError)
        if pages is not None and not offline:
            pages.remember(consulted_names(done.stderr))
        changes = _changes(done.stdout)
        if not changes:
            return []
        pins = [f"{name}=={version}" for name, version in changes.items() if version]
        pinned = requirement_file(scratch / "pins.txt", pins)
        satisfied = requirement_file(scratch / "satisfied.txt", [name for name in constraints if name not in changes])
        lock = [*uv, "pip", "compile", "--quiet", "--format", "pylock.toml", *common, *target.described, str(wanted)]
        lock += ["-c", str(pinned), "--excludes", str(satisfied)]
        without_network = {**env, "UV_OFFLINE": "1"}
        done = run_tool(lock, env=without_network, step=_STEP, cwd=scratch, error=ResolveError, check=False)
        if done.returncode != 0:
            done = run_tool(lock, env=env, step=_STEP, cwd=scratch, error=ResolveError)
        packages = tomllib.loads(done.stdout).get("packages", [])
        found = [_locked(package, scratch, target) for package in packages]
    return [one for one in found if canonicalize_name(one.name) in changes]


def _ask_prepared(
    uv: Sequence[str], first: Sequence[str], pages: Pages, common: Sequence[str], env: Mapping[str, str], scratch: Path
) -> CompletedProcess[str] | None:
    """Have the known index pages read at once, then ask without the network; what turns out to be missing is read as well.

    None when that gives no answer, or one that rests on a page that was not read just now.
    """
    names = set(pages.names())
    if not names:
        return None
    primer = scratch / "pages.txt"
    compile = [*uv, "pip", "compile", *common, str(primer)]
    requirement_file(primer, sorted(names))
    asked = run_tool([*compile, "--verbose", "--no-deps"], env=env, step=_STEP, cwd=scratch, check=False)
    if asked.returncode != 0:
        return None
    absent = absent_pages(asked.stderr)
    for _ in range(_PREPARATIONS):
        done = run_tool([*first, "--verbose"], env={**env, "UV_OFFLINE": "1"}, step=_STEP, cwd=scratch, check=False)
        read, missing = consulted_names(done.stderr), missing_versions(done.stderr)
        more = [name for name in sorted(read - names) if name not in missing]
        if not missing and not more:
            sound = done.returncode == 0 and read and not wanted_network(done.stderr, absent=absent)
            return done if sound else None
        requirement_file(primer, [*more, *(f"{name}=={version}" for name, version in missing.items())])
        asked = run_tool([*compile, "--verbose"], env=env, step=_STEP, cwd=scratch, check=False)
        if asked.returncode != 0:
            return None
        absent |= absent_pages(asked.stderr)
        names |= consulted_names(asked.stderr)
    return None


def _without_debug(log: str) -> str:
    lines = log.splitlines()
    return "\n".join(line for line in lines if not line.startswith(("DEBUG ", "TRACE ", "WARN ", "INFO ")))


def _changes(answer: str) -> dict[str, str | None]:
    """Return name → version (None for local code) of what uv would install."""
    try:
        changes = _json.loads(answer)["changes"]
        return {canonicalize_name(one["name"]): one.get("version") for one in changes if one["action"] != "removed"}
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(
            "cannot understand what uv says that it would install",
            hint="this PONCHO wants uv 0.13",
            context={"tail": answer[-2000:]},
        ) from error


def _locked(package: Mapping[str, Any], directory: Path, target: Target) -> LockedPip:
    """Return the lock entry of one ``[[packages]]`` table; paths in it are relative to ``directory``."""
    name, version = str(package["name"]), str(package.get("version", ""))
    if "directory" in package:
        path = (directory / package["directory"]["path"] / package["directory"].get("subdirectory", "")).resolve()
        return locked_directory(name, version, path)
    if "vcs" in package:
        vcs = package["vcs"]
        where = vcs.get("url") or Path(directory, vcs["path"]).resolve().as_uri()
        fragment = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        url = f"{vcs['type']}+{where}@{vcs['commit-id']}{fragment}"
        return LockedPip(name, version, f"{name} @ {url}", url=url)
    if "archive" in package:
        archive = package["archive"]
        if "path" in archive:
            return locked_file(name, version, (directory / archive["path"]).resolve())
        url = str(archive["url"])
        fragment = f"#subdirectory={archive['subdirectory']}" if archive.get("subdirectory") else ""
        return LockedPip(
            name, version, f"{name} @ {url}{fragment}", url=url, sha256=archive.get("hashes", {}).get("sha256")
        )
    wheels = package.get("wheels") or []
    chosen = best_wheel(wheels, target.tags) if wheels else package.get("sdist")
    if not chosen:
        raise ResolveError(f"{name} {version} has no file that fits this Python", hint="choose another version")
    url = chosen.get("url") or Path(directory, chosen["path"]).resolve().as_uri()
    sha256, size = chosen.get("hashes", {}).get("sha256"), chosen.get("size")
    return LockedPip(name, version, f"{name}=={version}", url=url, sha256=sha256, size=size)
