"""The test channel: a real conda channel made of this machine's CPython, real wheels and small packages.

Made once per content of its builder and interpreter, kept in ``PONCHO_TEST_CACHE`` (default: the user's cache
directory), shared by test sessions and by the workers of one session.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

from tests.support import conda_package, interpreter, samples, wheels
from tests.support.conda_package import CondaPackage, File, native_subdir

_SOURCES = (conda_package, interpreter, samples, wheels)
# The newest numpy for the oldest Python that is supported; later Pythons need a later one.
_NUMPY = "numpy==2.2.6" if sys.version_info < (3, 14) else "numpy>=2.3,<3"
_WHEELS = [_NUMPY, "pip>=24,<27", "setuptools>=75,<82", "wheel>=0.43,<1", "pyyaml>=6,<7"]


@dataclass(frozen=True, slots=True)
class Channel:
    """A conda channel as tests see it. Read only: ``copy`` one to change it.

    ``url`` is served over loopback HTTP with ETags, ``file_url`` is the same from its folder.
    """

    path: Path
    url: str
    python_version: str
    second: Channel | None = None
    subdir: str = native_subdir()

    @property
    def file_url(self) -> str:
        """Return the ``file://`` URL of the channel's folder."""
        return self.path.as_uri()

    @property
    def python(self) -> str:
        """Return the interpreter's version as ``3.11``."""
        return ".".join(self.python_version.split(".")[:2])

    def records(self, name: str) -> list[dict[str, object]]:
        """Return the repodata records of a package, oldest version first as they were written."""
        found: list[dict[str, object]] = []
        for subdir in (self.subdir, "noarch"):
            repodata = json.loads((self.path / subdir / "repodata.json").read_text())
            for section in ("packages", "packages.conda"):
                found += [record for record in repodata.get(section, {}).values() if record["name"] == name]
        return found

    def require(self, *names: str) -> None:
        """Skip the test when the machine could not make one of these packages."""
        for name in names:
            if not self.records(name):
                pytest.skip(f"the test channel has no {name} here (no gcc)")

    def copy(self, target: Path) -> Path:
        """Return a copy of the channel's folder that a test may change and index again."""
        return Path(shutil.copytree(self.path, target))


def cache_directory() -> Path:
    """Return where things that outlive a test session are kept."""
    return Path(os.environ.get("PONCHO_TEST_CACHE") or platformdirs.user_cache_dir("poncho-tests"))


def channels_directory() -> Path:
    """Build the channels where they are not built yet; return the directory that holds ``first`` and ``second``."""
    target = cache_directory() / f"channel-{_key()}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            with tempfile.TemporaryDirectory(prefix=".channel-", dir=target.parent) as scratch:
                built = Path(scratch, "channel")
                _build(built, Path(scratch))
                built.rename(target)
    return target


def _key() -> str:
    digest = hashlib.sha256()
    for source in (*(Path(str(module.__file__)) for module in _SOURCES), Path(__file__)):
        digest.update(source.read_bytes())
    executable = interpreter.base_executable()
    facts = [sys.version, sys.base_prefix, str(executable), executable.stat().st_mtime_ns]
    digest.update(repr([*facts, native_subdir(), samples.has_compiler()]).encode())
    return digest.hexdigest()[:16]


def _build(root: Path, scratch: Path) -> None:
    for name in ("python", "wheels", "compiled"):
        (scratch / name).mkdir()
    packages = [*_python_packages(scratch / "python", scratch / "wheels"), *samples.small_packages()]
    if samples.has_compiler():
        packages += samples.compiled_packages(scratch / "compiled")
    for folder, content in {"first": packages, "second": samples.second_channel_packages()}.items():
        for package in content:
            package.write(root / folder)
        (root / folder / native_subdir()).mkdir(exist_ok=True)
        conda_package.index(root / folder)


def _python_packages(scratch: Path, downloads: Path) -> list[CondaPackage]:
    glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.17").split()[-1]
    needs_glibc = f"__glibc >={glibc},<3.0.a0"
    found = wheels.download(_WHEELS, downloads)
    files = interpreter.interpreter_files(scratch)
    packages = [CondaPackage("python", interpreter.FULL_VERSION, files, depends=(needs_glibc,), license="PSF-2.0")]
    numpy = _compiled_wheel("numpy", found["numpy"], ("libgcc", "libstdcxx"))
    for name, soname, depends in (("libgcc", "libgcc_s.so.1", ()), ("libstdcxx", "libstdc++.so.6", ("libgcc",))):
        files = {f"lib/{soname}": File(_runtime_library(numpy, soname, scratch), executable=True)}
        packages.append(CondaPackage(name, "12.2.0", files, depends=(needs_glibc, *depends), license="GPL-3.0"))
    packages += [numpy, _compiled_wheel("pyyaml", found["pyyaml"], ("yaml",) if samples.has_compiler() else ())]
    packages += [_noarch_wheel(name, found[name]) for name in ("pip", "setuptools", "wheel")]
    return packages


def _compiled_wheel(name: str, wheel: Path, depends: tuple[str, ...]) -> CondaPackage:
    major, minor = sys.version_info[:2]
    files = wheels.wheel_files(wheel, site_packages=f"lib/{interpreter.PYTHON}/site-packages")
    files |= dict(map(wheels.script, wheels.wheel_entry_points(wheel)))
    python = f"python >={major}.{minor},<{major}.{minor + 1}.0a0"
    version, build = wheels.wheel_version(wheel), f"py{major}{minor}_0"
    return CondaPackage(name, version, files, build_string=build, depends=(python, *depends))


def _noarch_wheel(name: str, wheel: Path) -> CondaPackage:
    files = wheels.wheel_files(wheel, site_packages="site-packages")
    depends = ("python >=3.8", "setuptools", "wheel") if name == "pip" else ("python >=3.8",)
    version, entry_points = wheels.wheel_version(wheel), wheels.wheel_entry_points(wheel)
    return CondaPackage(name, version, files, noarch="python", depends=depends, entry_points=entry_points)


def _runtime_library(numpy: CondaPackage, soname: str, scratch: Path) -> bytes:
    """Return the machine's own copy of a library that numpy's extension modules need beside them."""
    for path, entry in numpy.files.items():
        if "_multiarray_umath" in path and path.endswith(".so") and isinstance(entry, File):
            probe = scratch / "probe.so"
            probe.write_bytes(entry.data)
            # Loaded from the scratch directory its own libraries are not found, but the system's are.
            library = interpreter.shared_libraries([probe])[probe].get(soname)
            if library:
                copy = scratch / soname
                copy.write_bytes(library.read_bytes())
                interpreter.set_rpath([copy], ".")
                return copy.read_bytes()
    raise FileNotFoundError(f"{soname} is not on this machine")
