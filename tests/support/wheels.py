"""Real packages from the Python package index, turned into conda packages."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from tests.support.conda_package import Entry, File, text
from tests.support.interpreter import PYTHON


def download(requirements: list[str], directory: Path) -> dict[str, Path]:
    """Download one wheel for each requirement (no dependencies); return the wheels by project name, lower case.

    pip is taken as this machine is set up for it.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    run = subprocess.run([*pip, "--dest", str(directory), *requirements], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"the test channel needs {', '.join(requirements)}; pip says: {run.stderr.strip()[-2000:]}")
    return {path.name.split("-")[0].lower(): path for path in directory.glob("*.whl")}


def wheel_version(wheel: Path) -> str:
    """Return the version in the wheel's name."""
    return wheel.name.split("-")[1]


def wheel_entry_points(wheel: Path) -> tuple[str, ...]:
    """Return the console scripts as ``name = module:function``."""
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.count("/") == 1 and name.endswith(".dist-info/entry_points.txt"):
                parser.read_string(archive.read(name).decode())
    if not parser.has_section("console_scripts"):
        return ()
    return tuple(f"{name} = {target.split('[')[0].strip()}" for name, target in parser.items("console_scripts"))


def wheel_files(wheel: Path, *, site_packages: str) -> dict[str, Entry]:
    """Return the wheel's files as they lie in a prefix whose packages are in ``site_packages`` (relative)."""
    files: dict[str, Entry] = {}
    with zipfile.ZipFile(wheel) as archive:
        for item in archive.infolist():
            if item.is_dir():
                continue
            parts = PurePosixPath(item.filename).parts
            if parts[0].endswith(".data"):
                roots = {"purelib": site_packages, "platlib": site_packages, "scripts": "bin", "data": "."}
                if parts[1] not in roots:
                    continue
                path = str(PurePosixPath(roots[parts[1]], *parts[2:]))
            else:
                path = f"{site_packages}/{item.filename}"
            files[path] = File(archive.read(item), executable=bool(item.external_attr >> 16 & 0o111))
            if parts[-1] == "METADATA" and len(parts) == 2:
                files[str(PurePosixPath(path).with_name("INSTALLER"))] = text("conda\n")
    return files


def script(entry_point: str) -> tuple[str, Entry]:
    """Return path and file of a console script as a package for one Python version holds it: with the prefix inside."""
    name, _, target = (part.strip() for part in entry_point.partition("="))
    module, _, function = target.partition(":")
    body = f"import sys\nfrom {module} import {function}\nif __name__ == '__main__':\n    sys.exit({function}())\n"
    return f"bin/{name}", text(f"#!{{PREFIX}}/bin/{PYTHON}\n{body}", executable=True)
