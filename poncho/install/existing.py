"""An environment that exists already: is it one that can be packed, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from poncho._frozen import Frozen
from poncho._redact import strip_channel, strip_credentials
from poncho.analysis.editable import read_origin
from poncho.engine.conda_meta import read_records
from poncho.engine.platforms import native_platform
from poncho.errors import BuildError
from poncho.install.distributions import (
    InstalledDistribution,
    editable_distributions,
    installed_distributions,
    is_owned,
)
from poncho.lock.model import Lock, LockedConda, LockedPip
from poncho.spec import Spec, portable, spec_digest

_NOT_RECORD = frozenset({"files", "paths_data", "link", "extracted_package_dir", "package_tarball_full_path"})

_Kind = TypeVar("_Kind")
_SPEC_FILES = ("spec.json", "environment.yml", "environment.yaml", "requirements.txt", "pyproject.toml")


def check_prefix(prefix: Path) -> None:
    """Raise BuildError unless ``prefix`` is the directory of a conda environment that can be read."""
    if not prefix.is_dir():
        raise BuildError(
            f"{prefix}: no such directory", hint="name the directory of an environment, such as $CONDA_PREFIX"
        )
    meta = prefix / "conda-meta"
    try:
        found = meta.is_dir() and next(meta.iterdir(), None) is not None
    except OSError as error:
        raise BuildError(
            f"{meta}: cannot be read ({error.strerror})",
            hint="every file of the environment must be readable to be packed",
        ) from error
    if not found:
        specs = [prefix / name for name in _SPEC_FILES if (prefix / name).is_file()]
        meant = f"; did you mean {specs[0]}, which is one?" if specs else ""
        raise BuildError(
            f"{prefix}: is neither a conda environment (it has no conda-meta) nor a virtual one (no pyvenv.cfg)",
            hint=f"name the directory of an environment, such as $CONDA_PREFIX or .venv, or a spec file{meant}",
        )


def describe_prefix(prefix: Path) -> tuple[Spec, Lock]:
    """Return what a conda environment holds as an exact spec and as a lock. Reads only; nothing in the prefix is run.

    Editable installs are in neither: there is nothing to fetch them from. Raises BuildError as ``check_prefix`` does.
    """
    check_prefix(prefix)
    conda = tuple(sorted(_from_conda(prefix), key=lambda item: item.name))
    skipped = {item.name for item in editable_distributions(prefix)}
    pip = tuple(
        locked_pip(item) for item in _from_pip(prefix, installed_distributions(prefix)) if item.name not in skipped
    )
    python = next((item.version for item in conda if item.name == "python"), None)
    channels = tuple(dict.fromkeys(item.channel for item in conda if item.channel))
    spec = Spec(
        channels=channels,
        conda=tuple(f"{item.name}={item.version}={item.build}" for item in conda),
        pip=tuple(item.requirement for item in pip),
        python=python,
        source=str(prefix),
    )
    platform = next((item.subdir for item in conda if item.subdir not in ("", "noarch")), native_platform())
    asked = portable(spec)
    lock = Lock(platform, spec_digest(asked), spec=asked, channels=channels, conda=conda, pip=pip)
    return spec, lock


def _from_conda(prefix: Path) -> Iterator[LockedConda]:
    # What a package was made of that had a broken record has an empty one.
    return (_locked(record) for _, record in read_records(prefix) if "name" in record and "version" in record)


def _locked(record: Mapping[str, Any]) -> LockedConda:
    url = strip_credentials(str(record.get("url") or ""))
    return LockedConda(
        name=str(record.get("name")),
        version=str(record.get("version")),
        build=str(record.get("build") or record.get("build_string") or ""),
        subdir=str(record.get("subdir") or ""),
        channel=_channel(str(record.get("channel") or ""), str(record.get("subdir") or "")),
        url=url,
        sha256=_only(str, record.get("sha256")),
        md5=_only(str, record.get("md5")),
        size=_only(int, record.get("size")),
        record=Frozen({k: v for k, v in record.items() if k not in _NOT_RECORD and k not in ("url", "channel")}),
    )


def _only(kind: type[_Kind], value: object) -> _Kind | None:
    return value if isinstance(value, kind) else None


def _channel(channel: str, subdir: str) -> str:
    """Return a channel's URL without credentials and subdir; empty for one that is a directory of this machine."""
    clean = strip_channel(channel).rstrip("/")
    clean = clean.removesuffix(f"/{subdir}") if subdir else clean
    return "" if clean.startswith(("file:", "/")) or clean in ("<unknown>", "pypi") else clean


def _from_pip(prefix: Path, installed: tuple[InstalledDistribution, ...]) -> list[InstalledDistribution]:
    """Return the distributions that no conda package brought."""
    root = prefix.resolve()
    owned = {str(path) for _, record in read_records(prefix) for path in record.get("files") or ()}
    return [item for item in installed if not is_owned(item, root, owned)]


def locked_pip(item: InstalledDistribution) -> LockedPip:
    """Return the lock entry of an installed distribution: by version, or by the repository or URL that it came from."""
    url = read_origin(item.direct_url or "").url
    if url is None:
        return LockedPip(name=item.name, version=item.version, requirement=f"{item.name}=={item.version}")
    clean = strip_credentials(url)
    return LockedPip(name=item.name, version=item.version, requirement=f"{item.name} @ {clean}", url=clean)
