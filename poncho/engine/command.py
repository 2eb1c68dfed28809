"""The other conda engine: the ``conda``, ``mamba`` or ``micromamba`` command, by its ``--json`` protocol.

A solve is ``create --dry-run --json``, an install is ``create --file`` with an explicit list (``@EXPLICIT``, URLs
with hashes), so that what was solved is what is installed. Protocol: conda's
``UnlinkLinkTransaction._make_legacy_action_groups`` (``actions.FETCH`` and ``actions.LINK``) and ``conda/misc.py``
(explicit files); libmamba writes the same keys.

The user's ``.condarc`` still says how to reach channels (proxies, certificates, aliases, mirrors), but not which:
channels, pins, default packages and link kinds are given by us, on the command line and by ``CONDA_*`` variables,
which win over every ``.condarc``; libmamba gets a settings file of ours with what the user's say of the way. A channel
whose URL holds credentials gets a name in a settings file that only this user can read, as arguments can be read by
everybody; what the command leaves out of the URLs that it prints is put back.
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
from poncho.engine.command_answers import command_error, last_json, locked_from_actions, with_credentials
from poncho.engine.command_records import package_directory, settle_records
from poncho.engine.conda_meta import read_records, report_clobbered, scrub_credentials, write_history
from poncho.engine.libmamba import (
    LinkScripts,
    as_asked,
    libmamba_environment,
    reach_settings,
    read_settings,
    settings_files,
)
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
            names, named = _channel_names(request.channels)
            libmamba = self._is_libmamba()
            options, env = self._settings(scratch, named, libmamba=libmamba, offline=request.offline)
            argv = [*self._create(scratch / "prefix", options), "--dry-run", "--strict-channel-priority", "--no-pin"]
            argv += ["--override-channels", *(part for name in names for part in ("--channel", name))]
            argv += ["--offline"] if request.offline else []
            wanted = [as_asked(spec) for spec in specs] if libmamba and "pip" not in map(_name, specs) else specs
            done = self._run(
                [*argv, *wanted], request.platform, packages, "solve", env, request.virtual_packages, request.channels
            )
        return with_credentials(locked_from_actions(last_json(done.stdout), done), request.channels)

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
            options, env = self._settings(scratch, {}, libmamba=self._is_libmamba(), offline=offline)
            argv = [*self._create(prefix, options), *(["--offline"] if offline else []), "--file", str(explicit)]
            scripts = LinkScripts(scratch / "scripts")
            done = self._run(
                argv, platform, packages, "install", scripts.watch(env), secrets=[record.url for record in records]
            )
            scripts.raise_failed(done.stderr)
        if not prefix.joinpath("conda-meta").is_dir():
            raise BuildError(f"{self.name} ended without an error, but there is no environment in {prefix}")
        self._check_archives(prefix, records, packages)
        settle_records(prefix, records, packages)
        # libmamba 2 notes the platform that it was told there.
        prefix.joinpath(".mambarc").unlink(missing_ok=True)
        report_clobbered(prefix, reporter)
        scrub_credentials(prefix)
        write_history(prefix, records, [])
        reporter(Event("done", "install", counted(len(records), "conda package"), done=len(records), unit="packages"))

    def _check_archives(self, prefix: Path, records: Sequence[LockedConda], packages: Path) -> None:
        wanted = {record.name: record for record in records}
        for _, installed in read_records(prefix):
            record = wanted.get(str(installed.get("name")))
            if record is not None and record.sha256:
                archive = package_directory(installed, packages).parent / record.filename
                if archive.is_file():
                    check_sha256(archive, record.sha256)

    def virtual_packages(self, platform: str) -> tuple[str, ...]:
        """Return this machine's virtual packages (``name=version=build``) as the command detects them."""
        packages = self.cache.directory("conda") / "command-solve"
        env = self._environment(libmamba=self._is_libmamba())
        done = self._run([str(self.executable), "info", "--json"], platform, packages, "info", env)
        answer = last_json(done.stdout) or {}
        # conda: [[name, version, build], …]; libmamba: ["name=version=build", …] under "virtual packages".
        found = answer.get("virtual_pkgs") or answer.get("virtual packages") or []
        return tuple("=".join(map(str, one)) if isinstance(one, list) else str(one) for one in found)

    def _create(self, prefix: Path, options: Sequence[str]) -> list[str]:
        return [str(self.executable), "create", "--yes", "--json", *options, "--prefix", str(prefix)]

    def _settings(
        self, scratch: Path, named: Mapping[str, str], *, libmamba: bool, offline: bool
    ) -> tuple[list[str], dict[str, str]]:
        """Return options and variables that say how to reach channels, and what ``named`` channels are.

        Where that takes a settings file it is written to ``scratch``, for this user's eyes alone.
        """
        env = self._environment(libmamba=libmamba, offline=offline)
        own = {"custom_multichannels": {name: [url] for name, url in named.items()}} if named else {}
        if libmamba:
            sources = run_tool(
                [str(self.executable), "config", "sources"],
                env={**env, **_settings_variables(self.environ)},
                step=f"ask {self.name} for its settings",
            )
            users = reach_settings(settings_files(sources.stdout, Path(env["HOME"])))
            if offline:
                users.pop("proxy_servers", None)
        else:
            condarc = self.environ.get("CONDARC")
            users = read_settings(Path(condarc)) if named and condarc else {}
        settings = scratch / "condarc"
        if users or own:
            import yaml  # few channels need it

            settings.touch(mode=0o600)
            settings.write_text(yaml.safe_dump({**users, **own}), encoding="utf-8")
        if libmamba:
            return (["--rc-file", str(settings)] if users or own else ["--no-rc"]), env
        return ["--no-default-packages"], env | ({"CONDARC": str(settings)} if own else {})

    def _is_libmamba(self) -> bool:
        """Tell micromamba and mamba 2, which have their own command line, from conda and mamba 1."""
        if "mamba" not in self.name:
            return False
        done = run_tool(
            [str(self.executable), "--version"], env=clean_environment(self.environ), step=f"run {self.executable}"
        )
        return "conda" not in done.stdout

    def _run(
        self,
        argv: Sequence[str],
        platform: str,
        packages: Path,
        step: str,
        environment: Mapping[str, str],
        virtual_packages: Sequence[str] | None = None,
        secrets: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run the command with its own settings. ``secrets`` are URLs whose credentials must not come out again."""
        packages.mkdir(parents=True, exist_ok=True)
        env = {**environment, "CONDA_SUBDIR": platform, "CONDA_PKGS_DIRS": str(packages)}
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

    def _environment(self, *, libmamba: bool, offline: bool = False) -> dict[str, str]:
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
        return (libmamba_environment(env, offline=offline) if libmamba else env) | _SETTINGS


def explicit_list(records: Sequence[LockedConda]) -> str:
    """Return an ``@EXPLICIT`` file: one URL a line with ``#md5`` (every version knows it) or ``#sha256:…``.

    What a package depends on stands before it: micromamba 1.5 links in this order, and its entry points need Python's
    directories.
    """
    lines = ["@EXPLICIT"]
    for record in _in_order(records):
        digest = record.md5 or (f"sha256:{record.sha256}" if record.sha256 else "")
        lines.append(f"{record.url}#{digest}" if digest else record.url)
    return "\n".join(lines) + "\n"


def _in_order(records: Sequence[LockedConda]) -> list[LockedConda]:
    """Return the records with dependencies first; where they do not say what they depend on, Python is the first."""
    left = {record.name: record for record in sorted(records, key=lambda record: record.name != "python")}
    ordered: list[LockedConda] = []

    def take(name: str) -> None:
        record = left.pop(name, None)
        if record is not None:
            depends = record.record.get("depends")
            for one in depends if isinstance(depends, (list, tuple)) else ():
                take(_name(str(one)))
            ordered.append(record)

    for name in list(left):
        take(name)
    return ordered


def _channel_names(channels: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the channels as arguments, and the URLs that have a name there instead, as they hold credentials."""
    named = {f"poncho-{number}": url for number, url in enumerate(channels) if strip_credentials(url) != url}
    return [f"poncho-{n}" if f"poncho-{n}" in named else url for n, url in enumerate(channels)], named


def _settings_variables(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in ("CONDARC", "MAMBARC") if environ.get(name)}


def _name(spec: str) -> str:
    """Return the package name of a match spec that starts with it."""
    bare = spec.rpartition("::")[2]
    for index, character in enumerate(bare):
        if character in " =<>!~[":
            return bare[:index].lower()
    return bare.lower()
