"""pip as a noarch conda package, from a copy of pip that is already on this machine."""

from __future__ import annotations

import importlib.metadata
import zipfile
from collections.abc import Iterator, Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from poncho._installer_notes import NOTES
from poncho.base.conda_package import Member
from poncho.base.facts import InterpreterFacts

# What an installer writes about an installation, and what is made from other files: no content of the package.
_NOT_CONTENT = NOTES | {"INSTALLER", "REQUESTED", "direct_url.json", "RECORD.jws", "RECORD.p7s"}

Files = Mapping[str, bytes]


def find_pip(facts: InterpreterFacts) -> tuple[str, Files] | None:
    """Return pip's version and its files by their path in site-packages, or None when no copy fits the interpreter.

    Looked at: PONCHO's own environment (pip is one of its dependencies), then the wheels that come with the
    interpreter.
    """
    for files in _copies(facts):
        metadata = next((data for name, data in files.items() if name.endswith(".dist-info/METADATA")), None)
        if metadata is None:
            continue
        headers = HeaderParser().parsestr(metadata.decode("utf-8", "replace"))
        if _allows(headers["Requires-Python"], facts.version):
            return str(headers["Version"]), files
    return None


def pip_members(files: Files, version: str) -> tuple[list[Member], dict[str, Any], dict[str, Any]]:
    """Return members, ``info/index.json`` (without a build string) and ``info/link.json`` of pip's conda package."""
    record = next(name for name in files if name.endswith(".dist-info/METADATA")).replace("METADATA", "INSTALLER")
    members = [Member(f"site-packages/{name}", data) for name, data in files.items()]
    members.append(Member(f"site-packages/{record}", b"conda\n"))
    index: dict[str, Any] = {
        "arch": None,
        "build_number": 0,
        "depends": ["python >=3.6"],
        "license": "MIT",
        "name": "pip",
        "noarch": "python",
        "platform": None,
        "subdir": "noarch",
        "version": version,
    }
    commands = [f"{name} = pip._internal.cli.main:main" for name in ("pip", "pip3")]
    return members, index, {"noarch": {"entry_points": commands, "type": "python"}, "package_metadata_version": 1}


def _allows(requires: str | None, version: str) -> bool:
    try:
        return SpecifierSet(requires or "").contains(version.rstrip("+"), prereleases=True)
    except InvalidSpecifier:
        return False


def _copies(facts: InterpreterFacts) -> Iterator[Files]:
    try:
        yield _installed(importlib.metadata.distribution("pip"))
    except (importlib.metadata.PackageNotFoundError, OSError):
        pass
    directories = [facts.stdlib / "ensurepip" / "_bundled", facts.wheels, Path("/usr/share/python-wheels")]
    for directory in directories:
        if directory is None or not directory.is_dir():
            continue
        for wheel in sorted(directory.glob("pip-*.whl"), reverse=True):
            try:
                yield _from_wheel(wheel)
            except (OSError, zipfile.BadZipFile):
                continue


def _installed(distribution: importlib.metadata.Distribution) -> Files:
    names = [str(file) for file in distribution.files or ()]
    if not names:
        raise importlib.metadata.PackageNotFoundError(distribution.name)
    contents = {name: Path(str(distribution.locate_file(name))).read_bytes() for name in names if _is_content(name)}
    return _with_record(contents)


def _from_wheel(wheel: Path) -> Files:
    with zipfile.ZipFile(wheel) as archive:
        return _with_record({name: archive.read(name) for name in archive.namelist() if _is_content(name)})


def _is_content(name: str) -> bool:
    file = name.rpartition("/")[2]
    if name.startswith(("../", "/")) or not file or "__pycache__" in name or name.endswith(".pyc"):
        return False
    return not (".dist-info/" in name and file in _NOT_CONTENT)


def _with_record(files: Mapping[str, bytes]) -> Files:
    """Return the files with a RECORD that lists just these (hashes are optional in it: PEP 376)."""
    name = next((name for name in files if name.endswith(".dist-info/METADATA")), None)
    if name is None:
        return files
    record = name.replace("METADATA", "RECORD")
    listed = sorted({*files, record, name.replace("METADATA", "INSTALLER")})
    return {**files, record: "".join(f"{file},,\n" for file in listed).encode()}
