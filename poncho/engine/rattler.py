"""The default conda engine: py-rattler 0.28, one worker process for each call.

Channel priority is strict, as conda-forge's users expect: a package comes from the first channel that has one that
the spec allows, never from a later one because that has a newer version. The order of channels is the request's; the
channel of a ``channel::package`` spec is added at the end when it is not in the list.

A channel is a name, a URL or a path. Names are resolved as rattler does, or below ``CONDA_CHANNEL_ALIAS`` (conda's own
variable) where it is set; ``defaults`` is ``main`` and ``r``. ``.condarc`` is not read. Credentials come from the URL,
``RATTLER_AUTH_FILE``, the keyring or netrc. ``PONCHO_CONDA_MIRRORS`` says where else to get what a URL names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from poncho._home import working_directory
from poncho._redact import redact
from poncho._types import Event, Reporter
from poncho._words import counted
from poncho.engine.base import SolveRequest
from poncho.engine.conda_meta import report_clobbered, scrub_credentials, write_history
from poncho.engine.local_archive import check_local_archive
from poncho.engine.pip_tools import clean_environment
from poncho.engine.prefixes import require_new_prefix
from poncho.engine.process import says_disk_full
from poncho.engine.records import locked_from_record, record_from_locked
from poncho.engine.worker import WorkerFailure, call_worker
from poncho.errors import BuildError, DiskFullError, FetchError, PonchoError, ResolveError, UsageError
from poncho.lock.model import LockedConda
from poncho.store import BuilderCache

_NETWORK_WORDS = (
    "error sending request", "http status", "status client error", "status server error", "dns error",
    "failed to fetch", "failed to download", "mismatch", "could not be found", "no such file or directory",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RattlerEngine:
    """Solve and install with py-rattler. Its cache, ``cache.directory("conda")``, is safe for concurrent builders."""

    cache: BuilderCache
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    name: str = "rattler"

    @property
    def identity(self) -> str:
        """Return py-rattler's name and version."""
        try:
            return f"py-rattler {version('py-rattler')}"
        except PackageNotFoundError:  # inside of a zip application without metadata
            return "py-rattler"

    def solve(self, request: SolveRequest, *, reporter: Reporter) -> tuple[LockedConda, ...]:
        """Return the records of a solution, sorted by name.

        Raises ResolveError with the solver's own words, FetchError for a channel that cannot be read.
        """
        reporter(Event("start", "solve", counted(len(request.specs), "conda spec")))
        try:
            records = self._call(
                "solve",
                reporter,
                channels=list(request.channels),
                specs=list(request.specs),
                constraints=list(request.constraints),
                platform=request.platform,
                virtual_packages=None if request.virtual_packages is None else list(request.virtual_packages),
                offline=request.offline,
                **self._naming(),
            )
        except WorkerFailure as failure:
            raise _solve_error(failure, request) from None
        locked = tuple(sorted((locked_from_record(record) for record in records), key=lambda one: one.name))
        reporter(Event("done", "solve", counted(len(locked), "conda package"), done=len(locked), unit="packages"))
        return locked

    def install(
        self, records: Sequence[LockedConda], prefix: Path, *, platform: str, offline: bool, reporter: Reporter
    ) -> None:
        """Install exactly ``records`` into the new directory ``prefix`` (which must not exist or be empty).

        Raises FetchError (a package cannot be downloaded or its sha256 differs), BuildError (a post-link script
        failed, the disk is full). A file that two packages hold is a warning to the reporter.
        """
        require_new_prefix(prefix)
        for record in records:
            check_local_archive(record)
        reporter(Event("start", "install", counted(len(records), "conda package"), total=len(records), unit="packages"))
        try:
            self._call(
                "install",
                reporter,
                records=[record_from_locked(record) for record in records],
                prefix=str(prefix),
                platform=platform,
                offline=offline,
                requested=[],
                link_scripts=True,
            )
        except WorkerFailure as failure:
            raise _install_error(failure, prefix) from None
        # rattler marks the prefix as a cache directory, which would keep backup tools and `tar --exclude-caches` from
        # it.
        prefix.joinpath("CACHEDIR.TAG").unlink(missing_ok=True)
        report_clobbered(prefix, reporter)
        scrub_credentials(prefix)
        write_history(prefix, records, [])
        reporter(Event("done", "install", counted(len(records), "conda package"), done=len(records), unit="packages"))

    def virtual_packages(self, platform: str) -> tuple[str, ...]:
        """Return this machine's virtual packages, with ``CONDA_OVERRIDE_*``; for another platform the usual ones."""
        try:
            return tuple(self._call("virtual_packages", lambda event: None, platform=platform))
        except WorkerFailure as failure:
            if "is not a platform" in failure.message:
                raise _solve_error(failure, SolveRequest((), (), platform)) from None
            raise BuildError(f"cannot detect this machine's virtual packages: {failure.message}") from None

    def matching(self, specs: Sequence[str], records: Sequence[LockedConda]) -> list[list[str]]:
        """Return for each match spec the names of the records that satisfy it.

        Raises ResolveError for text that is not a match spec.
        """
        documents = [record_from_locked(record) for record in records]
        try:
            found: list[list[str]] = self._call(
                "match", lambda event: None, specs=list(specs), records=documents, **self._naming()
            )
        except WorkerFailure as failure:
            raise _solve_error(failure, SolveRequest((), tuple(specs), "")) from None
        return found

    def _naming(self) -> dict[str, str | None]:
        """Return what the meaning of a channel's name depends on."""
        # Without the slash at its end the last part of the URL would be replaced, not extended.
        alias = self.environ.get("CONDA_CHANNEL_ALIAS")
        return {"root": str(working_directory()), "alias": f"{alias.rstrip('/')}/" if alias else None}

    def _call(self, operation: str, reporter: Reporter, **request: Any) -> Any:
        mirrors = channel_mirrors(self.environ)
        request |= {"op": operation, "cache": str(self.cache.directory("conda")), "mirrors": mirrors}
        # The worker is killed when we are interrupted: what it or a post-link script has in TMPDIR goes with ours.
        with self.cache.scratch("conda") as scratch:
            env = clean_environment(self.environ) | {"TMPDIR": str(scratch)}
            return call_worker(request, env=env, reporter=reporter)


def channel_mirrors(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Return ``PONCHO_CONDA_MIRRORS`` (``URL=MIRROR`` words) as the mirrors of each URL, in the order to try them.

    Raises UsageError for a word of another form.
    """
    mirrors: dict[str, list[str]] = {}
    for word in environ.get("PONCHO_CONDA_MIRRORS", "").split():
        source, equals, mirror = word.partition("=")
        if not equals or not all(re.match(r"(?:https?|file)://[^/]", url) for url in (source, mirror)):
            raise UsageError(
                f"PONCHO_CONDA_MIRRORS: {word} is no mirror",
                hint="write the channel's URL, =, and the mirror's URL; several of them with blanks between",
            )
        mirrors.setdefault(f"{source.rstrip('/')}/", []).append(f"{mirror.rstrip('/')}/")
    return mirrors


def _solve_error(failure: WorkerFailure, request: SolveRequest) -> PonchoError:
    answer = failure.answer
    if says_disk_full(failure.message):
        return DiskFullError(
            "no space left for what the conda channels say they have", context={"tail": failure.message}
        )
    if failure.kind == "resolve":
        similar = {name: names for name, names in answer.get("similar", {}).items() if names}
        if similar:
            hint = "; ".join(
                f"instead of {name}, did you mean {' or '.join(names)}?" for name, names in sorted(similar.items())
            )
        elif "__" in failure.message:
            hint = (
                "names with __ are facts of this machine; CONDA_OVERRIDE_CUDA=12 (or _GLIBC, …) builds for another one"
            )
        else:
            hint = f"loosen a version, or add a channel (searched: {', '.join(request.channels) or 'none'})"
        return ResolveError(
            f"no set of conda packages satisfies the spec: {_tree(failure.message)}",
            hint=hint,
            context={"solver": failure.message, "channels": redact(" ".join(request.channels))},
        )
    if failure.kind == "spec" and "is not a platform" in failure.message:
        return ResolveError(failure.message, hint="linux-64, linux-aarch64, osx-64 and osx-arm64 are the usual ones")
    if failure.kind == "spec":
        return ResolveError(failure.message, hint="for example: numpy, numpy=1.26, numpy>=1.24,<2, conda-forge::root")
    if failure.kind == "fetch":
        channel = str(answer.get("channel") or ", ".join(request.channels))
        reason = failure.message.splitlines()[-1].removeprefix("Caused by: ")
        if answer.get("offline"):
            hint = "offline only what an earlier build fetched can be used; run once without --offline"
        elif re.search(r"\b40[13]\b(?!/)", failure.message):  # a status, no part of a port
            hint = "the channel wants credentials: netrc, RATTLER_AUTH_FILE, or in the URL"
        elif re.search(r"\b404\b|could not find subdir", failure.message):
            hint = "check the channel's name or URL; a channel has the folders noarch and linux-64 with a repodata.json"
        else:
            hint = "check the network, the proxy (HTTPS_PROXY) and the channel's URL"
        return FetchError(
            f"cannot read the conda channel {channel}: {reason}",
            hint=hint,
            context={"channel": channel, "tail": failure.message},
        )
    return _crash(failure)


def _tree(words: str) -> str:
    """Return the solver's words: on the same line when they are one line, else as a block of their own."""
    return words if "\n" not in words else f"\n{words}"


def _install_error(failure: WorkerFailure, prefix: Path) -> PonchoError:
    answer = failure.answer
    package = answer.get("package")
    if failure.kind == "post-link":
        return BuildError(
            f"the post-link script of the conda package {package} failed (exit status {answer.get('status')})"
            + (f": {failure.message}" if failure.message else ""),
            hint=f"the script is part of the package; its output:\n{answer.get('tail')}"
            if answer.get("tail")
            else None,
            context={"package": package, "status": answer.get("status"), "tail": answer.get("tail", "")},
        )
    words = failure.message
    low = words.lower()
    if says_disk_full(low):
        return DiskFullError(
            f"{prefix}: no space left to install the conda packages",
            hint="free space, or set PONCHO_CACHE_DIR to a directory on a larger file system",
            path=str(prefix),
            context={"tail": words},
        )
    reason = ": ".join(line.removeprefix("Caused by: ") for line in words.splitlines() if line.strip())
    subject = f"the conda package {package}" if package else "the conda packages"
    if failure.kind == "fetch":
        return FetchError(f"cannot install {subject}: {reason}", hint="run once without --offline")
    if failure.kind == "install" and any(word in low for word in _NETWORK_WORDS):
        return FetchError(
            f"cannot fetch {subject}: {reason}",
            hint="check the network and the channel; if its packages were rebuilt, solve again",
            context={"package": package, "tail": words},
        )
    if failure.kind == "install":
        return BuildError(f"cannot install {subject}: {reason}", context={"package": package, "tail": words})
    return _crash(failure)


def _crash(failure: WorkerFailure) -> BuildError:
    return BuildError(
        f"the conda engine failed: {failure.message.splitlines()[0] if failure.message else 'no reason given'}",
        hint="this is a fault of the engine; --conda-executable micromamba uses another one",
        context={"tail": failure.message},
    )
