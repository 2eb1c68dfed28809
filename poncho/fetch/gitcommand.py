"""Run git, through GitPython, so that neither a repository nor an address can make it run or read anything else.

Two ways. *Network* commands see the user's own configuration, because credential helpers, proxies, ssh settings and
``insteadOf`` live there; what could be turned against the user is overruled by ``-c``. *Local* commands see no
configuration but ours, so that the same commit gives the same bytes for everybody.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poncho._cleanup import deferred, register
from poncho._types import Event, Reporter, silent
from poncho._words import human_seconds
from poncho.errors import DiskFullError, FetchError
from poncho.fetch.certificates import certificate_file
from poncho.fetch.gitfailure import GitFailedError, says_disk_full
from poncho.fetch.policy import HttpPolicy
from poncho.fetch.remote import PROTOCOLS, Remote, environment_without_repository

# Damage that real, old, harmless histories have; everything else that fsck finds is an error.
_OLD_HABITS = """
    badDate badDateOverflow badEmail badFilemode badName badTagName badTimezone gitmodulesMissing gitmodulesParse
    missingAuthor missingCommitter missingEmail missingNameBeforeEmail missingSpaceBeforeDate missingSpaceBeforeEmail
    missingTaggerEntry multipleAuthors nulInCommit zeroPaddedDate zeroPaddedFilemode
    """
_HARDENED = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.symlinks=true",
    "core.autocrlf=false",
    "core.eol=lf",
    "core.fileMode=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.fsckObjects=true",
    # One pack for each fetch: then an object is there only when all that came with it is.
    "fetch.unpackLimit=1",
    "fetch.writeCommitGraph=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
    *(f"fetch.fsck.{name}=ignore" for name in _OLD_HABITS.split()),
)
_TOLERANT = tuple(f"fsck.{name}=ignore" for name in _OLD_HABITS.split())
# Reads the two variables below, which only this process and its children see; argv would show to everybody.
_HELPER = (
    '!f() { test "$1" = get || exit 0; printf "username=%s\\n" "$PONCHO_GIT_USER"; '
    'test -z "${PONCHO_GIT_PASSWORD+x}" || printf "password=%s\\n" "$PONCHO_GIT_PASSWORD"; }; f'
)
_ATTEMPTS = 3


_running: set[subprocess.Popen[bytes]] = set()


def terminate_running() -> None:
    """End the git commands that other threads wait for: the build that wanted them was interrupted."""
    for process in tuple(_running):
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a git command with all that it started: the helper that downloads, the one that indexes."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


@dataclass(frozen=True, slots=True)
class GitCommand:
    """git for one bare repository (None: for none)."""

    git_dir: Path | None = None
    reporter: Reporter = silent
    _config: tuple[str, ...] = field(default=_HARDENED)

    def local(self, *arguments: str, config: Sequence[str] = (), environment: dict[str, str] | None = None) -> str:
        """Run a command that needs no network and return what it printed; no configuration but ours counts.

        Raises GitFailedError.
        """
        variables = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "0",
            "GIT_ALLOW_PROTOCOL": "none",
            **(environment or {}),
        }
        return self._run(arguments, config, variables)

    def damage(self) -> GitFailedError | None:
        """Return what is wrong with the repository after a look at every object; None when it is sound."""
        try:
            self.local("fsck", "--full", "--no-dangling", "--no-progress", config=_TOLERANT)
        except GitFailedError as error:
            return error
        return None

    def remote(
        self, remote: Remote, *arguments: str, config: Sequence[str] = (), wait: Callable[[float], None] = time.sleep
    ) -> str:
        """Run a command that talks to ``remote``, up to three times when the network fails; return what it printed.

        Raises GitFailedError.
        """
        policy = HttpPolicy.from_environment()
        settings = [
            "http.lowSpeedLimit=1",
            f"http.lowSpeedTime={max(1, round(policy.read_timeout))}",
            *config,
        ]
        variables = {
            "GIT_TERMINAL_PROMPT": "0",
            "SSH_ASKPASS": "",
            "GCM_INTERACTIVE": "never",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        }
        if remote.protocol == "ssh" and not self._ssh_is_configured():
            variables["GIT_SSH_COMMAND"] = (
                f"ssh -o BatchMode=yes -o ConnectTimeout={max(1, round(policy.connect_timeout))} "
                "-o ServerAliveInterval=15 -o ServerAliveCountMax=4"
            )
        certificates = certificate_file(os.environ)
        if remote.protocol == "https" and certificates and not self._has_certificates(remote):
            variables["GIT_SSL_CAINFO"] = certificates
        if remote.user is not None:
            if remote.password is not None:
                # An empty value drops the user's helpers for this host: they would store what is not theirs.
                settings.append(f"credential.{remote.origin}.helper=")
                variables["PONCHO_GIT_PASSWORD"] = remote.password
            settings.append(f"credential.{remote.origin}.helper={_HELPER}")
            variables["PONCHO_GIT_USER"] = remote.user
        for attempt in range(_ATTEMPTS):
            try:
                return self._run(arguments, settings, variables)
            except GitFailedError as error:
                if not error.passing or attempt == _ATTEMPTS - 1:
                    raise
                seconds = min(policy.backoff * 2**attempt, policy.longest_wait)
                message = f"{remote.url}: {error.cause}; trying again in {human_seconds(seconds)}"
                self.reporter(Event("warning", "data", f"{message} ({attempt + 1} of {_ATTEMPTS - 1})"))
                wait(seconds)
        raise AssertionError("unreachable")

    def _ssh_is_configured(self) -> bool:
        if os.environ.get("GIT_SSH_COMMAND") or os.environ.get("GIT_SSH"):
            return True
        try:
            return bool(self._run(("config", "--get", "core.sshCommand"), (), {}))
        except GitFailedError:
            return False

    def _has_certificates(self, remote: Remote) -> bool:
        if os.environ.get("GIT_SSL_CAINFO") or os.environ.get("GIT_SSL_CAPATH"):
            return True
        try:
            return bool(self._run(("config", "--get-urlmatch", "http.sslCAInfo", remote.url), (), {}))
        except GitFailedError:
            return False

    def _run(self, arguments: Sequence[str], config: Sequence[str], variables: dict[str, str]) -> str:
        library = _gitpython()
        settings = [word for setting in (*self._config, *config) for word in ("-c", setting)]
        place = [f"--git-dir={self.git_dir}"] if self.git_dir else []
        command = ["git", *place, "--no-pager", "--literal-pathspecs", *settings, *arguments]
        if foreign := set(environment_without_repository()) - variables.keys():
            command = ["env", *(word for name in sorted(foreign) for word in ("-u", name)), *command]
        progress = _progress(library, self.reporter, str(self.git_dir or ""))
        printed: list[str] = []
        said: list[str] = []
        stopped: list[Exception] = []

        def hear(line: str) -> None:
            said.append(line)
            try:
                if not stopped:
                    progress(line)
            except Exception as error:  # the reporter ends a build this way, and this is not the thread to raise it in
                stopped.append(error)
                _kill(process.proc)

        try:
            with deferred():
                process = library.Git(str(self.git_dir or "/")).execute(
                    command,
                    as_process=True,
                    env={"GIT_OPTIONAL_LOCKS": "0", **variables},
                    universal_newlines=True,
                    errors="surrogateescape",
                    # A session of its own: git's helpers end with it, and none of them can ask at the terminal.
                    start_new_session=True,
                )
                forget = register(lambda: _kill(process.proc))
        except (OSError, library.exc.GitCommandNotFound) as error:
            raise _no_git(error) from error
        _running.add(process.proc)
        try:
            library.cmd.handle_process_output(process, printed.append, hear, decode_streams=False)
            status = process.proc.wait()
        except BaseException:
            _kill(process.proc)
            raise
        finally:
            _running.discard(process.proc)
            forget()
        if stopped:
            raise stopped[0]
        if status:
            raise self._failure(
                tuple(arguments), status, "\n".join(line.rstrip() for line in said[-40:] if line.strip())
            )
        return "".join(printed)

    def _failure(self, arguments: tuple[str, ...], status: int, tail: str) -> Exception:
        if says_disk_full(tail, self.git_dir):
            return DiskFullError(
                f"{self.git_dir}: no space left for what git fetches",
                hint="free some, or set PONCHO_CACHE_DIR to a directory with more",
                path=str(self.git_dir) if self.git_dir else None,
            )
        return GitFailedError(("git", *arguments), status, tail)


def require_lfs() -> None:
    """Raise FetchError unless git-lfs is installed."""
    if shutil.which("git-lfs") is None:
        raise FetchError(
            "the spec asks for Git LFS files, and git-lfs is not installed here",
            hint="install git-lfs (Debian: apt-get install git-lfs; conda: git-lfs), or set `lfs` to false",
        )


def _gitpython() -> Any:
    """Import GitPython, which fails at import where there is no git."""
    try:
        import git
    except ImportError as error:
        raise _no_git(error) from error
    return git


def _no_git(error: Exception) -> FetchError:
    return FetchError(
        f"git cannot be run here ({' '.join(str(error).split())[:120]})",
        hint="install git (Debian: apt-get install git)",
    )


def _progress(library: Any, reporter: Reporter, item: str) -> Callable[[str], None]:
    """Return a reader of git's stderr that reports the objects received."""
    if reporter is silent:
        return lambda line: None

    class Progress(library.RemoteProgress):  # type: ignore[misc]
        """Turn GitPython's callbacks into events."""

        def update(
            self, op_code: int, cur_count: str | float, max_count: str | float | None = None, message: str = ""
        ) -> None:
            """Report received objects."""
            if op_code & self.RECEIVING:
                total = int(float(max_count)) if max_count else None
                done = int(float(cur_count))
                reporter(Event("progress", "data", message, done=done, total=total, unit="objects", item=item))

    handler: Callable[[str], None] = Progress().new_message_handler()
    return handler
