"""Install locked pip packages into a prefix, with uv, or with pip where uv cannot be run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from poncho._types import Event, Reporter, silent
from poncho._words import counted
from poncho.engine.git_credentials import take_git_credentials
from poncho.engine.pip_tools import (
    environment_for_pip,
    environment_for_uv,
    index_arguments_for_uv,
    requirement_file,
    run_tool,
    uv_command,
)
from poncho.engine.process import tool_failed
from poncho.errors import BuildError
from poncho.install.collisions import check_collisions, conda_files
from poncho.install.installer_notes import forget_notes
from poncho.install.intact import wrong_pip_files
from poncho.install.local import local_source, stage_local
from poncho.install.mending import Mending
from poncho.lock.model import LockedPip
from poncho.store import BuilderCache

_STEP = "install the pip packages"
_DOWNLOADING = re.compile(r"\s*Downloading (?P<name>\S+) \((?P<size>[\d.]+)(?P<unit>[KMG]?i?B)\)")
_DOWNLOADED = re.compile(r"\s*Downloaded (?P<name>\S+)$")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
# What a shell or the loader says of a program that cannot be run here.
_CANNOT_RUN = (126, 127)


def install_pip(
    locked: Sequence[LockedPip],
    *,
    prefix: Path,
    cache: BuilderCache,
    offline: bool = False,
    reporter: Reporter = silent,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Install exactly ``locked`` into ``prefix``, without resolving; hashes are checked where the lock has them.

    Local code is built as a wheel from a copy of its tree and installed, never editable. uv links files from its cache,
    so files of a prefix must be replaced, never written in place (as rattler's are, too). Raises BuildError with the
    tool's own words, or when a pip package has replaced files of a conda package.
    """
    if not locked:
        return
    python = prefix / "bin" / "python"
    if not python.exists():
        raise BuildError("pip packages need a Python in the environment", hint='add "python" to the conda packages')
    environ = os.environ if environ is None else environ
    reporter(Event("start", "pip", counted(len(locked), "pip package"), done=0, total=len(locked), unit="packages"))
    conda = conda_files(prefix)
    credentials = take_git_credentials([item.requirement for item in locked], environ)
    locked = [replace(item, requirement=line) for item, line in zip(locked, credentials.lines, strict=True)]
    environ = {**environ, **credentials.variables}
    with cache.scratch("pip") as work:
        tool = PipTool(python, cache, environ, offline, work, reporter)
        local = [(item, source) for item in locked if (source := local_source(item.requirement)) is not None]
        remote = [item for item in locked if local_source(item.requirement) is None]
        # pip takes a file either with hashes for all or for none.
        for number, items in enumerate((_hashed(remote), [item for item in remote if not _is_hashed(item)])):
            if items:
                file = requirement_file(work / f"requirements-{number}.txt", [_line(item) for item in items])
                what = ["--requirement", str(file)]
                tool.install(what)
                names = {str(canonicalize_name(item.name)) for item in items}
                look = partial(wrong_pip_files, prefix, names)
                again = partial(tool.install_again, what)
                Mending("pip", "pip", "wheel", look, again, cache, offline, reporter).mend()
        wheels = work / "wheels"
        for item, source in local:
            reporter(Event("info", "pip", f"building {item.name} from {source}"))
            staged = stage_local(source, work / "source" / item.name)
            if staged.suffix == ".whl":
                wheels.mkdir(exist_ok=True)
                staged.rename(wheels / staged.name)
            else:
                tool.wheel(staged, wheels)
        if local:
            # By name, not by path: an install from a path records that path of this machine in direct_url.json.
            tool.install(["--no-index", "--find-links", str(wheels), *_names(wheels)])
    forget_notes(prefix)
    check_collisions(prefix, conda, reporter)
    count = len(locked)
    reporter(
        Event("done", "pip", f"{counted(count, 'pip package')} installed", done=count, total=count, unit="packages")
    )


def _is_hashed(item: LockedPip) -> bool:
    # A repository is pinned by its commit; there is no file to hash.
    return item.sha256 is not None and "git+" not in item.requirement


def _hashed(items: Sequence[LockedPip]) -> list[LockedPip]:
    return [item for item in items if _is_hashed(item)]


def _line(item: LockedPip) -> str:
    return f"{item.requirement} --hash=sha256:{item.sha256}" if _is_hashed(item) else item.requirement


def _names(wheels: Path) -> list[str]:
    parsed = [parse_wheel_filename(path.name) for path in sorted(wheels.glob("*.whl"))]
    return [f"{name}=={version}" for name, version, _build, _tags in parsed]


class _Downloads:
    """Turn what uv says of its downloads (those of more than a mebibyte) into events."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._sizes: dict[str, int] = {}
        self._done = 0

    def __call__(self, line: str) -> None:
        if begun := _DOWNLOADING.match(line):
            self._sizes[begun["name"]] = round(float(begun["size"]) * _UNITS[begun["unit"]])
            self._report(f"downloading {begun['name']}")
        elif (ended := _DOWNLOADED.match(line)) and ended["name"] in self._sizes:
            self._done += self._sizes[ended["name"]]
            self._report(f"downloaded {ended['name']}")
        elif line.startswith("Prepared ") and self._sizes:
            self._report("installing")

    def _report(self, message: str) -> None:
        total = sum(self._sizes.values())
        self._reporter(Event("progress", "pip", message, done=self._done, total=total, unit="bytes"))


class PipTool:
    """uv, or pip: chosen once, and changed to pip for good when uv turns out not to run here."""

    def __init__(
        self,
        python: Path,
        cache: BuilderCache,
        environ: Mapping[str, str],
        offline: bool,
        work: Path,
        reporter: Reporter,
    ) -> None:
        self._python = python
        self._work = work
        self._reporter = reporter
        self._downloads = _Downloads(reporter)
        self._uv = uv_command()
        # What a tool that is killed leaves in TMPDIR goes with our own scratch directory.
        temporary = {"TMPDIR": str(work)}
        self._uv_environment = environment_for_uv(environ, cache, offline=offline) | temporary
        self._uv_arguments = index_arguments_for_uv(environ)
        self._pip_environment = environment_for_pip(environ, cache, offline=offline) | temporary

    def install(self, what: Sequence[str]) -> None:
        """Install ``what`` (requirements or options) with nothing beside it."""
        self._run(
            lambda uv: [*uv, "pip", "install", "--python", str(self._python), "--no-deps", *self._indexes(what), *what],
            lambda: [*self._pip(), "install", "--no-deps", "--no-compile", *what],
            _STEP,
        )

    def install_again(self, what: Sequence[str], names: Sequence[str]) -> bool:
        """Install the packages ``names`` of ``what`` once more; return whether nothing of them was in the cache."""
        cleaned = True
        if self._uv is not None:
            # It waits for others that use this cache.
            self._reporter(Event("progress", "pip", f"taking {', '.join(names)} out of the cache"))
            argv = [*self._uv, "cache", "clean", *names]
            done = run_tool(argv, env=self._uv_environment, step=_STEP, cwd=self._work, check=False)
            cleaned = done.returncode == 0
        chosen = [part for name in names for part in ("--reinstall-package", name)]
        self._run(
            lambda uv: [
                *[*uv, "pip", "install", "--python", str(self._python), "--no-deps", *chosen],
                *[*self._indexes(what), *what],
            ],
            lambda: [
                *self._pip(),
                "install",
                "--no-deps",
                "--no-compile",
                "--no-cache-dir",
                "--force-reinstall",
                *what,
            ],
            _STEP,
        )
        return cleaned

    def install_into(self, target: Path, wheels: Path) -> None:
        """Install all ``wheels`` (a directory) below ``target``, laid out as a prefix, with scripts for this Python."""
        what = ["--no-deps", "--no-index", "--find-links", str(wheels), *_names(wheels)]
        prefix = ["--prefix", str(target)]
        self._run(
            lambda uv: [*uv, "pip", "install", "--python", str(self._python), "--link-mode", "copy", *prefix, *what],
            lambda: [*self._pip(), "install", "--no-compile", "--ignore-installed", *prefix, *what],
            _STEP,
        )

    def wheel(self, source: Path, target: Path) -> None:
        """Build ``source`` as a wheel into the directory ``target``."""
        python = ["--python", str(self._python)]
        self._run(
            lambda uv: [*uv, "build", "--wheel", *python, *self._uv_arguments, "--out-dir", str(target), str(source)],
            lambda: [*self._pip(), "wheel", "--no-deps", "--wheel-dir", str(target), str(source)],
            f"build {source.name} as a wheel",
        )

    def _indexes(self, what: Sequence[str]) -> list[str]:
        return [] if "--no-index" in what else self._uv_arguments

    def _pip(self) -> list[str]:
        """Return the environment's own pip; without one, the pip that PONCHO depends on."""
        if any(self._python.parent.parent.glob("lib/python3*/site-packages/pip/__main__.py")):
            return [str(self._python), "-m", "pip"]
        return [sys.executable, "-m", "pip", "--python", str(self._python)]

    def _run(self, with_uv: Callable[[list[str]], list[str]], with_pip: Callable[[], list[str]], step: str) -> None:
        if self._uv is not None:
            argv = with_uv(self._uv)
            problem = self._try_uv(argv, step)
            if problem is None:
                return
            self._uv = None
            self._reporter(Event("warning", "pip", f"uv cannot be run here ({problem}): using pip"))
        run_tool(with_pip(), env=self._pip_environment, step=step, cwd=self._work)

    def _try_uv(self, argv: list[str], step: str) -> str | None:
        """Run uv; return why it could not be run, None when it did its work. Its own refusals are raised."""
        try:
            env = self._uv_environment
            answer = run_tool(argv, env=env, step=step, cwd=self._work, check=False, listener=self._downloads)
        except BuildError as error:
            return error.message
        if answer.returncode == 0:
            return None
        if answer.returncode < 0 or answer.returncode in _CANNOT_RUN:
            return f"status {answer.returncode}"
        raise tool_failed(argv, answer.returncode, answer.stderr.strip() or answer.stdout, step=step)
