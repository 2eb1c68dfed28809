"""Install a set of conda packages, pip packages on top and bytecode: into a kept environment or wherever it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from poncho._types import Reporter
from poncho._version import __version__
from poncho.engine import CondaEngine
from poncho.engine.pip_tools import uv_command
from poncho.install.bytecode import compile_bytecode
from poncho.install.bytecode_compiler import COMPILER
from poncho.install.conda import install_conda
from poncho.install.kept import KeptEnvironments
from poncho.install.pip import install_pip
from poncho.lock.model import LockedConda, LockedPip
from poncho.store import BuilderCache, answer_key


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs ``records``; what it needs to do so."""

    records: Sequence[LockedConda]
    engine: CondaEngine
    platform: str
    cache: BuilderCache
    offline: bool
    reporter: Reporter

    def conda(self, prefix: Path) -> None:
        """Install the conda packages into the new directory ``prefix``."""
        install_conda(
            self.records,
            prefix,
            engine=self.engine,
            platform=self.platform,
            cache=self.cache,
            offline=self.offline,
            reporter=self.reporter,
        )

    def pip(self, items: Sequence[LockedPip], prefix: Path) -> None:
        """Install pip packages on top."""
        install_pip(items, prefix=prefix, offline=self.offline, cache=self.cache, reporter=self.reporter)

    def compile(self, prefix: Path, directories: Sequence[str] | None) -> None:
        """Compile the Python files of the whole prefix, or of some directories."""
        compile_bytecode(prefix, cache=self.cache, reporter=self.reporter, directories=directories)

    def environments(self) -> KeptEnvironments:
        """Return the kept environments with these conda packages."""
        return KeptEnvironments(self.cache, self._key(), self, self.reporter)

    def _key(self) -> str:
        """Return what all files of a prefix depend on beside its pip packages.

        The number counts what installing gives: raise it when the same packages give other files.
        """
        packages = [
            (one.name, one.version, one.build, one.subdir, one.sha256 or f"{one.url}#{one.md5}") for one in self.records
        ]
        programs = [__version__, self.engine.identity, _pip_installer(), COMPILER]
        return answer_key("environment 2", programs, self.platform, packages)


def _pip_installer() -> str:
    command = uv_command()
    if command is None:
        return "pip"
    try:
        return f"uv {version('uv')}"
    except PackageNotFoundError:
        status = Path(command[0]).stat()
        return f"uv {command[0]} {status.st_size} {status.st_mtime_ns}"
