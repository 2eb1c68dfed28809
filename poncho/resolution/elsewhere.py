"""Resolve pip requirements for an interpreter that is not here: another platform's.

uv is given a directory of distributions without files, one for each that conda installs there, so that it asks the same
two questions as for an interpreter of this machine. Which distribution a conda package holds is not in a channel's
index: it is the project of the package's name, by the table of ``poncho.analysis``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.tags import Tag, mac_platforms
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from poncho._home import working_directory
from poncho._types import Event, Reporter, silent
from poncho._words import counted
from poncho.analysis.known import pypi_name
from poncho.engine.git_credentials import take_git_credentials
from poncho.engine.pip_tools import uv_command
from poncho.errors import BuildError, ResolveError
from poncho.lock.model import LockedConda, LockedPip
from poncho.resolution.pip import FAILED, explain, requirement_line
from poncho.resolution.pip_with_uv import Target, resolve_with_uv
from poncho.resolution.wheels import python_tags
from poncho.store import BuilderCache

_MACHINES = {"64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
# The releases that uv knows besides manylinux2014 (2.17).
_GLIBC = (17, 28, *range(31, 41))
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_DEFAULT = {"glibc": "2.17", "osx": "11.0"}


def resolve_pip_elsewhere(
    requirements: Iterable[str],
    *,
    conda: Iterable[LockedConda],
    platform: str,
    virtual_packages: Iterable[str],
    pins: Mapping[str, str],
    offline: bool = False,
    cache: BuilderCache,
    reporter: Reporter = silent,
) -> tuple[LockedPip, ...]:
    """Return what has to be installed beside ``conda`` on ``platform``, sorted by name; see ``resolve_pip``.

    Raises ResolveError (uv's own words; a platform that wheels are not made for), BuildError without uv.
    """
    credentials = take_git_credentials(
        [requirement_line(text, working_directory()) for text in requirements], os.environ
    )
    lines, environ = list(credentials.lines), {**os.environ, **credentials.variables}
    if not lines:
        return ()
    uv = uv_command()
    if uv is None:
        raise BuildError("only uv resolves pip requirements for another platform", hint="pip install uv")
    conda = list(conda)
    python = next((item.version for item in conda if item.name == "python"), None)
    if python is None:
        raise BuildError("the spec has pip packages but no Python", hint='add "python" to the conda dependencies')
    installed = dict(distributions(conda))
    reporter(Event("start", "pip", f"{len(lines)} pip requirements for {platform}, with uv"))
    with cache.scratch("elsewhere") as scratch:
        _pretend(scratch, installed)
        target = _target(platform, python, dict(_versions(virtual_packages)), scratch)
        try:
            found = resolve_with_uv(
                uv, lines, target, {**pins, **installed}, offline=offline, cache=cache, environ=environ
            )
        except FAILED as error:
            raise explain(error, installed) from error
    found = [replace(one, requirement=credentials.restored(one.requirement)) for one in found]
    locked = tuple(sorted(found, key=lambda one: canonicalize_name(one.name)))
    reporter(Event("done", "pip", f"{counted(len(locked), 'pip package')} chosen", done=len(locked), unit="packages"))
    return locked


def distributions(conda: Iterable[LockedConda]) -> Iterator[tuple[str, str]]:
    """Yield name and version of the Python distributions that conda packages hold, as far as their names tell."""
    for item in conda:
        depends = item.record.get("depends")
        names = {str(one).split(" ")[0] for one in depends} if isinstance(depends, (list, tuple)) else set()
        if item.record.get("noarch") != "python" and not names & {"python", "python_abi"}:
            continue
        name = pypi_name(item.name)
        if name and _is_version(item.version):
            yield canonicalize_name(name), item.version


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _pretend(directory: Path, installed: Mapping[str, str]) -> None:
    for name, version in installed.items():
        info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").touch()


def _versions(virtual_packages: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in virtual_packages:
        name, version = (*text.removeprefix("__").split("="), "")[:2]
        yield name, version


def _target(platform: str, python: str, facts: Mapping[str, str], installed: Path) -> Target:
    system, _, machine = platform.partition("-")
    machine = _MACHINES.get(machine, machine)
    variables: dict[str, str] = {}
    try:
        version = tuple(int(part) for part in python.split(".")[:2])
        if system == "linux" and machine in ("x86_64", "aarch64"):
            minor = _minor(facts.get("glibc") or _DEFAULT["glibc"])
            triple = f"{machine}-manylinux_2_{max((one for one in _GLIBC if one <= minor), default=17)}"
            platforms = list(_linux_platforms(machine, minor))
        elif system == "osx":
            release = facts.get("osx") or _DEFAULT["osx"]
            triple, variables = f"{machine}-apple-darwin", {"MACOSX_DEPLOYMENT_TARGET": release}
            major, minor = (*(int(part) for part in release.split(".")), 0)[:2]
            platforms = list(mac_platforms((major, minor), "arm64" if machine == "aarch64" else machine))
        elif platform == "win-64":
            triple, platforms = "x86_64-pc-windows-msvc", ["win_amd64"]
        else:
            raise ResolveError(
                f"pip packages cannot be locked for {platform} from here",
                hint="take them from conda, or lock on such a machine",
            )
    except ValueError as error:
        raise ResolveError(f"cannot tell the wheels for {platform} with Python {python}: {error}") from error
    described = ("--python", sys.executable, "--python-version", _release(python), "--python-platform", triple)

    def tags() -> list[Tag]:
        return python_tags(version, platforms)

    return Target((*described, "--target", str(installed)), described, tags, f"{platform} {python}", variables)


def _release(python: str) -> str:
    match = re.match(r"\d+\.\d+(\.\d+)?", python)
    return match[0] if match else python


def _minor(glibc: str) -> int:
    return int((*glibc.split("."), "17")[1])


def _linux_platforms(machine: str, newest: int) -> Iterator[str]:
    for minor in range(newest, (4 if machine == "x86_64" else 16), -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{machine}"
    yield f"linux_{machine}"
