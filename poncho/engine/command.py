"""The other conda engine: the ``conda``, ``mamba`` or ``micromamba`` command, by its ``--json`` protocol.

A solve is ``create --dry-run --json``, an install is ``create --file`` with an explicit list (``@EXPLICIT``, URLs
with hashes), so that what was solved is what is installed. Protocol: conda's
``UnlinkLinkTransaction._make_legacy_action_groups`` (``actions.FETCH`` and ``actions.LINK``) and ``conda/misc.py``
(explicit files); libmamba writes the same keys.

The user's ``.condarc`` still says how to reach channels (proxies, certificates, aliases, mirrors), but not which:
channels, pins, default packages and link kinds are given by us, on the command line and by ``CONDA_*`` variables,
which win over every ``.condarc``. A channel whose URL holds credentials gets a name in a settings file that only this
user can read, as arguments can be read by everybody.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poncho._redact import strip_credentials
from poncho._types import Event, Reporter
from poncho._words import counted
from poncho.engine.base import SolveRequest
from poncho.engine.command_answers import command_error, last_json, locked_from_actions
from poncho.engine.conda_meta import report_clobbered, scrub_credentials, write_history
from poncho.engine.local_archive import check_local_archive, check_sha256
from poncho.engine.pip_tools import clean_environment
from poncho.engine.prefixes import require_new_prefix
from poncho.engine.process import run_tool
from poncho.errors import BuildError
from poncho.lock.model import LockedConda
from poncho.store import BuilderCache

_SETTINGS = {
    "CONDA_ADD_PIP_AS_PYTHON_DEPENDENCY": "false",
    "CONDA_ALLOW_SOFTLINKS": "false",
    "CONDA_ALWAYS_SOFTLINK": "false",
    "CONDA_AUTO_UPDATE_CONDA": "false",
    "CONDA_CHANNEL_PRIORITY": "strict",
    "CONDA_NOTIFY_OUTDATED_CONDA": "false",
    "CONDA_REPORT_ERRORS": "false",
    "CONDA_REPODATA_FNS": "repodata.json",
}


@dataclass(frozen=True, slots=True)
class CommandEngine:
    """Solve and install with a conda command. ``executable`` is its path."""

    executable: Path
    cache: BuilderCache
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def name(self) -> str:
        """Return the command's own name: conda, mamba or micromamba."""
        return self.executable.name

    @property
    def identity(self) -> str:
        """Return the command's path and what tells one version of it from another: size and time."""
        try:
            status = self.executable.stat()
        except OSError:
            return str(self.executable)
        # conda is a small script: what it runs changes with its installation's own record of packages.
        history = self.executable.parent.parent / "conda-meta" / "history"
        changed = history.stat().st_mtime_ns if history.is_file() else 0
        return f"{self.executable} {status.st_size} {status.st_mtime_ns} {changed}"

    def solve(self, request: SolveRequest, *, reporter: Reporter) -> tuple[LockedConda, ...]:
        """Return the records of a solution, sorted by name.

        The command has no constraints: one whose package turns up in the solution is added as a spec, and solved again.
        Raises ResolveError with the command's own words, FetchError for a channel that cannot be read.
        """
        reporter(Event("start", "solve", f"{counted(len(request.specs), 'conda spec')}, with {self.name}"))
        specs = list(request.specs)
        waiting = {_name(constraint): constraint for constraint in request.constraints}
        while True:
            records = self._solve_once(request, specs)
            met = [waiting.pop(record.name) for record in records if record.name in waiting]
            if not met:
                break
            specs += met
        reporter(Event("done", "solve", counted(len(records), "conda package"), done=len(records), unit="packages"))
        return records

    def _solve_once(self, request: SolveRequest, specs: Sequence[str]) -> tuple[LockedConda, ...]:
        # In a package cache that never holds a package every one is listed under FETCH, with its URL and hashes; the
        # repodata that it also holds is kept for the next time.
        packages = self.cache.directory("conda") / "command-solve"
        with self.cache.scratch("conda") as scratch:
            prefix = scratch / "prefix"
            names, settings = self._channel_names(request.channels, scratch)
            argv = [*self._create(prefix, settings), "--dry-run", "--strict-channel-priority", "--no-pin"]
            argv += ["--override-channels", *(part for name in names for part in ("--channel", name))]
            argv += ["--offline"] if request.offline else []
            done = self._run(
                [*argv, *specs],
                request.platform,
                packages,
                "solve",
                request.virtual_packages,
                request.channels,
                {"CONDARC": str(settings)} if settings else {},
            )
        return locked_from_actions(last_json(done.stdout), done)

    def install(
        self, records: Sequence[LockedConda], prefix: Path, *, platform: str, offline: bool, reporter: Reporter
    ) -> None:
        """Install exactly ``records`` into the new directory ``prefix`` (which must not exist or be empty).

        Raises FetchError (a package cannot be downloaded or its sha256 differs), BuildError (a link script failed,
        the disk is full). A file that two packages hold is a warning to the reporter.
        """
        require_new_prefix(prefix)
        for record in records:
            check_local_archive(record)
        reporter(
            Event(
                "start",
                "install",
                f"{counted(len(records), 'conda package')}, with {self.name}",
                total=len(records),
                unit="packages",
            )
        )
        packages = self.cache.directory("conda") / "command-pkgs"
        with self.cache.scratch("conda") as scratch:
            explicit = scratch / "explicit.txt"
            explicit.touch(mode=0o600)  # URLs may hold credentials
            explicit.write_text(explicit_list(records), encoding="utf-8")
            if prefix.is_dir():
                prefix.rmdir()
            argv = [*self._create(prefix), *(["--offline"] if offline else []), "--file", str(explicit)]
            self._run(argv, platform, packages, "install", secrets=[record.url for record in records])
        for record in records:
            archive = packages / record.filename
            if record.sha256 and archive.is_file():
                check_sha256(archive, record.sha256)
        if not prefix.joinpath("conda-meta").is_dir():
            raise BuildError(f"{self.name} ended without an error, but there is no environment in {prefix}")
        report_clobbered(prefix, reporter)
        scrub_credentials(prefix)
        write_history(prefix, records, [])
        reporter(Event("done", "install", counted(len(records), "conda package"), done=len(records), unit="packages"))

    def virtual_packages(self, platform: str) -> tuple[str, ...]:
        """Return this machine's virtual packages (``name=version=build``) as the command detects them."""
        done = self._run(
            [str(self.executable), "info", "--json"], platform, self.cache.directory("conda") / "command-solve", "info"
        )
        answer = last_json(done.stdout) or {}
        # conda: [[name, version, build], …]; libmamba: ["name=version=build", …] under "virtual packages".
        found = answer.get("virtual_pkgs") or answer.get("virtual packages") or []
        return tuple("=".join(map(str, one)) if isinstance(one, list) else str(one) for one in found)

    def _create(self, prefix: Path, settings: Path | None = None) -> list[str]:
        kind = ["--no-default-packages"]
        if self._is_libmamba():
            kind = ["--rc-file", str(settings)] if settings else ["--no-rc"]
        return [str(self.executable), "create", "--yes", "--json", *kind, "--prefix", str(prefix)]

    def _channel_names(self, channels: Sequence[str], scratch: Path) -> tuple[list[str], Path | None]:
        """Return the channels as arguments, and a settings file where one with credentials needs a name instead."""
        named = {f"poncho-{number}": url for number, url in enumerate(channels) if strip_credentials(url) != url}
        if not named:
            return list(channels), None
        import yaml  # few channels need it

        settings = scratch / "condarc"
        settings.touch(mode=0o600)
        user = self.environ.get("CONDARC")
        try:
            found = yaml.safe_load(Path(user).read_text(encoding="utf-8")) if user else None
        except (OSError, ValueError, yaml.YAMLError):
            found = None
        own = {"custom_multichannels": {name: [url] for name, url in named.items()}}
        settings.write_text(yaml.safe_dump({**found, **own} if isinstance(found, dict) else own), encoding="utf-8")
        return [f"poncho-{n}" if f"poncho-{n}" in named else url for n, url in enumerate(channels)], settings

    def _is_libmamba(self) -> bool:
        """Tell micromamba and mamba 2, which have their own command line, from conda and mamba 1."""
        if "mamba" not in self.name:
            return False
        done = run_tool([str(self.executable), "--version"], env=self._environment(), step=f"run {self.executable}")
        return "conda" not in done.stdout

    def _run(
        self,
        argv: Sequence[str],
        platform: str,
        packages: Path,
        step: str,
        virtual_packages: Sequence[str] | None = None,
        secrets: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command with its own settings. ``secrets`` are URLs whose credentials must not come out again."""
        packages.mkdir(parents=True, exist_ok=True)
        env = {**self._environment(), **(settings or {}), "CONDA_SUBDIR": platform, "CONDA_PKGS_DIRS": str(packages)}
        for virtual in virtual_packages or ():
            name, version, build = (*virtual.removeprefix("__").split("="), "", "")[:3]
            env[f"CONDA_OVERRIDE_{name.upper()}"] = build if name == "archspec" else version
        done = run_tool(argv, env=env, step=f"run {self.name}", check=False)
        answer = last_json(done.stdout)
        if done.returncode != 0 or (
            answer is not None and (answer.get("exception_name") or answer.get("success") is False)
        ):
            raise command_error(self.name, step, argv, done, answer, secrets)
        return done

    def _environment(self) -> dict[str, str]:
        env = clean_environment(self.environ)
        # Settings of the user's that would change what is solved or how it is linked.
        for name in (
            "CONDA_CHANNELS",
            "CONDA_DEFAULT_CHANNELS",
            "CONDA_PINNED_PACKAGES",
            "CONDA_CREATE_DEFAULT_PACKAGES",
            "CONDA_ALWAYS_COPY",
        ):
            env.pop(name, None)
        if "MAMBA_ROOT_PREFIX" not in env:
            env["MAMBA_ROOT_PREFIX"] = str(self.cache.directory("conda") / "mamba-root")
        return env | _SETTINGS


def explicit_list(records: Sequence[LockedConda]) -> str:
    """Return an ``@EXPLICIT`` file: one URL a line with ``#md5`` (every version knows it) or ``#sha256:…``."""
    lines = ["@EXPLICIT"]
    for record in records:
        digest = record.md5 or (f"sha256:{record.sha256}" if record.sha256 else "")
        lines.append(f"{record.url}#{digest}" if digest else record.url)
    return "\n".join(lines) + "\n"


def _name(spec: str) -> str:
    """Return the package name of a match spec that starts with it."""
    bare = spec.rpartition("::")[2]
    for index, character in enumerate(bare):
        if character in " =<>!~[":
            return bare[:index].lower()
    return bare.lower()
