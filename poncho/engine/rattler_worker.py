"""The process in which py-rattler runs: one request in on stdin, JSON lines out on a pipe, then gone.

Run by its path (``python -I rattler_worker.py FD DIRECTORY…``), not imported: it uses nothing of poncho. A process of
its own because py-rattler's threads crash at interpreter exit, ``task.cancel()`` leaves Rust working, and a panic is
no ``Exception``.

A request is a JSON object with ``op`` (``solve``, ``install``, ``virtual_packages``, ``read_lock``, ``match``).
Each line of the answer holds one of ``event`` (see ``poncho._types.Event``), ``result``, ``error`` (``kind``, ``message``,
further facts).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# With -I only the interpreter's own site-packages are seen; py-rattler may lie elsewhere (PYTHONPATH, a zip
# application).
sys.path.extend(path for path in sys.argv[2:] if path not in sys.path)

import rattler
from rattler import exceptions as errors
from rattler.networking import (
    AuthenticationMiddleware,
    Client,
    GCSMiddleware,
    MirrorMiddleware,
    OciMiddleware,
    RetryMiddleware,
    S3Middleware,
)
from rattler.package import BuildString
from rattler.package_cache import PackageCache
from rattler.prefix import PrefixPaths
from rattler.repo_data import Gateway, SourceConfig
from rattler.shell import ActivationVariables, Shell, activate
from rattler.virtual_package import GenericVirtualPackage, VirtualPackage, VirtualPackageOverrides

Send = Callable[[dict[str, Any]], None]

NO_CANDIDATES = re.compile(
    r"[Nn]o candidates were found for (?P<name>[A-Za-z0-9_.-]+)|── (?P<branch>[\w.-]+) \S+, for which no"
)
# conda's own names for the channels that it is delivered with.
EXPANDED = {"defaults": ("main", "r"), "pkgs/main": ("main",), "pkgs/r": ("r",), "pkgs/msys2": ("msys2",)}
# What a package's info/index.json says beside its name.
KEPT = (
    "arch", "build_number", "constrains", "depends", "features", "license", "license_family", "noarch", "platform",
    "python_site_packages_path", "timestamp", "track_features",
)  # fmt: skip
OUTPUT_LINES = 25
NAMED = 5
PROGRESS_SECONDS = 0.1


class Failure(Exception):  # noqa: N818
    """What the caller turns into an error of its own: ``kind`` is ``resolve``, ``spec``, ``fetch`` or ``build``."""

    def __init__(self, kind: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.answer = {"kind": kind, "message": message, **facts}


# --- solve -----------------------------------------------------------------------------------------------------------


async def solve(request: dict[str, Any], send: Send) -> list[dict[str, Any]]:
    """Return the records of a solution as JSON objects."""
    config = _config(request)
    specs, named = _match_specs(request["specs"], config)
    constraints, _ = _match_specs(request["constraints"], config)
    channels = _channels(request["channels"], named, config)
    platform = _platform(request["platform"])
    gateway = Gateway(
        cache_dir=Path(request["cache"]) / "repodata",
        default_config=SourceConfig(cache_action="force-cache-only" if request["offline"] else "cache-or-fetch"),
        client=_client(request),
    )
    platforms = [platform, rattler.Subdir("noarch")]
    try:
        records = await rattler.solve(
            channels,
            specs,
            gateway=gateway,
            platforms=platforms,
            virtual_packages=_virtual_packages(request),
            constraints=constraints,
            channel_priority=rattler.ChannelPriority.Strict,
            # A channel's own wish to be ranked beside another one (CEP-42) would change the order that the spec gives.
            channel_relations="disabled",
        )
    except errors.SolverError as error:
        words = str(error).removeprefix("Cannot solve the request because of: ").strip()
        raise Failure("resolve", words, similar=await _similar(words, channels, platforms, gateway)) from error
    except (errors.GatewayError, errors.FetchRepoDataError, errors.IoError) as error:
        words = str(error)
        guilty = next((channel.base_url for channel in channels if channel.base_url in words), None)
        raise Failure("fetch", words, channel=guilty, offline=request["offline"]) from error
    return [_to_json(record) for record in records]


async def match(request: dict[str, Any], send: Send) -> list[list[str]]:
    """Return for each match spec the names of the records that it allows."""
    specs, _ = _match_specs(request["specs"], _config(request))
    records = [_from_json(document) for document in request["records"]]
    return [[record.name.normalized for record in records if spec.matches(record)] for spec in specs]


def _config(request: dict[str, Any]) -> rattler.ChannelConfig:
    alias = {"channel_alias": request["alias"]} if request["alias"] else {}
    return rattler.ChannelConfig(root_dir=request["root"], **alias)


def _channels(
    names: Sequence[str], more: Sequence[rattler.Channel], config: rattler.ChannelConfig
) -> list[rattler.Channel]:
    found = [_channel(one, config) for name in names for one in EXPANDED.get(name, (name,))]
    known = {channel.base_url for channel in found}
    return found + [channel for channel in {c.base_url: c for c in more}.values() if channel.base_url not in known]


def _channel(name: str, config: rattler.ChannelConfig) -> rattler.Channel:
    try:
        return rattler.Channel(name, config)
    except (errors.InvalidChannelError, errors.InvalidUrlError, ValueError) as error:
        raise Failure("spec", f"{name!r} is not a channel: {error}") from error


def _platform(name: str) -> rattler.Subdir:
    try:
        return rattler.Subdir(name)
    except errors.ParseSubdirError as error:
        raise Failure("spec", f"{name!r} is not a platform such as linux-64 or osx-arm64") from error


def _match_specs(
    texts: Sequence[str], config: rattler.ChannelConfig
) -> tuple[list[rattler.MatchSpec], list[rattler.Channel]]:
    """Return the match specs, and the channels that ``channel::package`` specs name."""
    specs: list[rattler.MatchSpec] = []
    channels: list[rattler.Channel] = []
    for text in texts:
        name, separator, rest = text.rpartition("::")
        if separator:
            # Written with the URL, the name means the same as in the list of channels, whatever the channel alias.
            channel = _channel(EXPANDED.get(name, (name,))[0], config)
            channels.append(channel)
            text = f"{channel.base_url.rstrip('/')}::{rest}"
        try:
            specs.append(rattler.MatchSpec(text))
        except Exception as error:
            raise Failure("spec", f"{rest or text!r} is not a conda match spec: {error}") from error
    return specs, channels


async def _similar(words: str, channels: Any, platforms: Any, gateway: Gateway) -> dict[str, list[str]]:
    """Return, for each name without a candidate, names that the channels do have and that look like it."""
    import difflib

    missing = {match["name"] or match["branch"] for match in NO_CANDIDATES.finditer(words)}
    try:
        names = [name.normalized for name in await gateway.names(channels, platforms, "disabled")]
    except Exception:
        return {}
    return {
        name: difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.65) for name in missing if name[:2] != "__"
    }


def _client(request: dict[str, Any]) -> Client:
    # The default stack (retries; RATTLER_AUTH_FILE, keyring, netrc; other kinds of servers), mirrors before it.
    stack: list[Any] = [
        RetryMiddleware(3),
        AuthenticationMiddleware(),
        OciMiddleware(),
        GCSMiddleware(),
        S3Middleware(),
    ]
    mirrors = [MirrorMiddleware(request["mirrors"])] if request["mirrors"] else []
    return Client([*mirrors, *stack], user_agent="poncho")


def _to_json(record: rattler.RepoDataRecord) -> dict[str, Any]:
    """Return a record as JSON. py-rattler writes records only as conda-meta files, so that is the way."""
    with tempfile.TemporaryDirectory(prefix="poncho-") as scratch:
        path = Path(scratch, "record.json")
        rattler.PrefixRecord(record, PrefixPaths(), requested_specs=[], files=[]).write_to_path(path, False)
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for key in ("files", "paths_data", "requested_spec", "requested_specs", "link"):
        document.pop(key, None)
    return document


def _from_json(document: dict[str, Any]) -> rattler.RepoDataRecord:
    with tempfile.TemporaryDirectory(prefix="poncho-") as scratch:
        path = Path(scratch, "record.json")
        whole = {**document, "files": [], "paths_data": {"paths_version": 1, "paths": []}}
        path.write_text(json.dumps(whole), encoding="utf-8")
        try:
            return rattler.PrefixRecord.from_path(path)
        except Exception as error:
            name = document.get("name")
            raise Failure("install", f"its record in the lock cannot be read: {error}", package=name) from error


# --- virtual packages ------------------------------------------------------------------------------------------------


def _virtual_packages(request: dict[str, Any]) -> list[GenericVirtualPackage]:
    if request["virtual_packages"] is not None:
        return [_generic(text) for text in request["virtual_packages"]]
    if request["platform"] == str(rattler.Subdir.current()):
        return [package.into_generic() for package in VirtualPackage.detect(VirtualPackageOverrides.from_env())]
    return [_generic(text) for text in _usual(request["platform"])]


def _usual(platform: str) -> list[str]:
    """Return what a machine of another platform usually has; ``CONDA_OVERRIDE_*`` says what the real one has."""
    system, _, machine = platform.partition("-")
    usual = {
        "linux": {"unix": "0", "linux": "4.18", "glibc": "2.28"},
        "osx": {"unix": "0", "osx": "11.0"},
        "win": {"win": "10"},
    }.get(system, {})
    if "cuda" not in usual and os.environ.get("CONDA_OVERRIDE_CUDA"):
        usual = {**usual, "cuda": os.environ["CONDA_OVERRIDE_CUDA"]}
    versions = {name: os.environ.get(f"CONDA_OVERRIDE_{name.upper()}", version) for name, version in usual.items()}
    machine = {"64": "x86_64", "32": "x86"}.get(machine, machine)
    return [f"__{name}={version}=0" for name, version in versions.items() if version] + [f"__archspec=1={machine}"]


def _generic(text: str) -> GenericVirtualPackage:
    try:
        name, version, build = (*text.split("="), "0", "0")[:3]
        return GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), BuildString(build))
    except Exception as error:
        raise Failure("spec", f"{text!r} is not a virtual package: {error}") from error


async def virtual_packages(request: dict[str, Any], send: Send) -> list[str]:
    """Return the virtual packages as ``name=version=build``."""
    return [str(package) for package in _virtual_packages({"virtual_packages": None, **request})]


# --- install ---------------------------------------------------------------------------------------------------------


async def install(request: dict[str, Any], send: Send) -> list[str]:
    """Link the records into the prefix, run their post-link scripts; return the order in which they were linked."""
    # An explicit list says nothing of what its packages depend on; they say it themselves.
    incomplete = {document["name"] for document in request["records"] if "depends" not in document}
    records = [_from_json({"depends": [], **document}) for document in request["records"]]
    cache = Path(request["cache"]) / "pkgs"
    if request["offline"]:
        index = await PackageCache(cache).index()
        missing = [r for r in records if not r.url.startswith("file:") and not index.contains_url(r, r.url)]
        if missing:
            names = ", ".join(record.file_name for record in missing[:NAMED])
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            raise Failure("fetch", f"offline, and not in the cache: {names}{more}", offline=True)
    try:
        await rattler.install(
            records,
            request["prefix"],
            cache_dir=cache,
            installed_packages=[],
            platform=rattler.Subdir(request["platform"]),
            execute_link_scripts=False,
            show_progress=False,
            client=_client(request),
            requested_specs=[rattler.MatchSpec(text)._match_spec for text in request["requested"]],
            reporter=Progress(send),  # type: ignore[abstract]
        )
    except errors.InstallerError as error:
        words = str(error)
        guilty = next((r.file_name for r in records if r.file_name in words or r.url in words), None)
        raise Failure("install", words, package=guilty) from error
    if incomplete:
        records = [_complete(path, incomplete) for path in sorted(Path(request["prefix"], "conda-meta").glob("*.json"))]
    ordered = rattler.PackageRecord.sort_topologically(list(records))
    if request["link_scripts"]:
        if any(Path(request["prefix"], "bin").glob(".*-post-link.sh")):
            _unshare(request["prefix"])
        for record in ordered:
            _post_link(record, Path(request["prefix"]), request["platform"], send)
    return [record.name.normalized for record in ordered]


def _complete(path: Path, incomplete: set[str]) -> rattler.PrefixRecord:
    """Return the record of an installed package; one that was incomplete is completed from the package itself."""
    document = json.loads(path.read_text(encoding="utf-8"))
    extracted = document.get("extracted_package_dir")
    if document["name"] in incomplete and extracted:
        index = json.loads(Path(extracted, "info", "index.json").read_text(encoding="utf-8"))
        path.write_text(json.dumps({**document, **{key: index[key] for key in KEPT if key in index}}, indent=2) + "\n")
    return rattler.PrefixRecord.from_path(path)


def _unshare(prefix: str) -> None:
    """Give the prefix files of its own: a post-link script may write into one that is a link to the package cache."""
    for directory, _, names in os.walk(prefix):
        for name in names:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                shutil.copy2(path, f"{path}.poncho-own")
                os.replace(f"{path}.poncho-own", path)


def _post_link(record: rattler.PackageRecord, prefix: Path, platform: str, send: Send) -> None:
    """Run a package's post-link script as conda and rattler do: by bash, in the activated environment.

    Not by rattler's ``execute_link_scripts``, which throws away what the script prints and goes on when it fails.
    """
    name = record.name.normalized
    script = prefix / "bin" / f".{name}-post-link.sh"
    if not script.exists():
        return
    send({"event": {"kind": "info", "step": "install", "message": f"post-link script of {name}"}})
    variables = {
        "PREFIX": str(prefix),
        "PKG_NAME": name,
        "PKG_VERSION": str(record.version),
        "PKG_BUILDNUM": str(record.build_number),
    }
    activation = activate(prefix, ActivationVariables(), Shell.bash, rattler.Subdir(platform)).script
    try:
        done = subprocess.run(
            ["bash", "-c", f'{activation}\n. "$1"', "bash", str(script)],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise Failure("post-link", f"cannot run bash: {error.strerror}", package=name, status=127, tail="") from error
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").splitlines()[-OUTPUT_LINES:]
        raise Failure(
            "post-link", lines[-1] if lines else "", package=name, status=done.returncode, tail="\n".join(lines)
        )
    messages = prefix / ".messages.txt"
    if messages.exists():
        text = messages.read_text(encoding="utf-8", errors="replace").strip()
        messages.unlink()
        if text:
            send({"event": {"kind": "info", "step": "install", "message": f"{name}: {text}"}})


class Progress(rattler.InstallerReporter):
    """Turn rattler's callbacks (from several threads) into a bounded number of events."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._packages = 0
        self._linked = 0
        self._bytes: dict[int, tuple[int, int]] = {}
        self._next = 0
        self._last = 0.0

    def on_transaction_start(self, total_operations: int) -> None:
        self._packages = total_operations

    def on_download_start(self, cache_entry: int) -> int:
        with self._lock:
            self._next += 1
            return self._next

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        with self._lock:
            self._bytes[download_idx] = (progress, total or progress)
            if time.monotonic() - self._last < PROGRESS_SECONDS:
                return
            self._last = time.monotonic()
            done, whole = (sum(part) for part in zip(*self._bytes.values(), strict=True))
        self._send({"event": {"kind": "progress", "step": "fetch", "done": done, "total": whole, "unit": "bytes"}})

    def on_transaction_complete(self) -> None:
        with self._lock:
            whole = sum(total for _, total in self._bytes.values())
        if whole:
            event = {"kind": "done", "step": "fetch", "message": "downloaded", "done": whole, "total": whole}
            self._send({"event": event | {"unit": "bytes"}})

    def on_link_start(self, operation: int, package_name: str) -> int:
        with self._lock:
            self._linked += 1
            done = self._linked
        total = self._packages
        self._send(
            {
                "event": {
                    "kind": "progress", "step": "install", "message": package_name,
                    "done": done, "total": total, "unit": "packages",
                }
            }
        )  # fmt: skip
        return operation


# --- pixi.lock -------------------------------------------------------------------------------------------------------


async def read_lock(request: dict[str, Any], send: Send) -> dict[str, Any]:
    """Return what one environment of a pixi.lock (any version that rattler reads) holds for one platform."""
    try:
        lock = rattler.LockFile.from_path(Path(request["path"]))
        environments = dict(lock.environments())
        environment = environments.get(request["environment"])
        if environment is None:
            names = ", ".join(sorted(environments)) or "none"
            raise Failure("environment", f"has no environment {request['environment']!r}", names=names)
        platforms = {str(one.subdir): one for one in environment.platforms()}
        platform = platforms.get(request["platform"])
        if platform is None:
            raise Failure(
                "platform", f"holds no packages for {request['platform']}", names=", ".join(sorted(platforms))
            )
        conda, pypi = [], []
        for package in environment.packages(platform) or []:
            if isinstance(package, rattler.PypiLockedPackage):
                sha256 = package.hashes.sha256 if package.hashes else None
                known = {"name": package.name, "version": package.version, "location": package.location}
                pypi.append({**known, "sha256": sha256.hex() if sha256 else None})
            elif isinstance(package, rattler.CondaLockedBinaryPackage):
                conda.append(_to_json(package.repo_data_record()))
            else:
                raise Failure("spec", f"{package.name} is to be built from source: {package.location}")
        channels = [str(channel) for channel in environment.channels()]
    except Failure:
        raise
    except Exception as error:
        raise Failure("spec", str(error) or type(error).__name__) from error
    return {"channels": channels, "conda": conda, "pypi": pypi}


# --- the process -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Answer one request, then end at once: a normal interpreter exit would crash in py-rattler's threads."""
    warnings.simplefilter("ignore")
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    lock = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with lock:
            while data:
                data = data[os.write(descriptor, data) :]

    operations: dict[str, Any] = {
        "solve": solve,
        "install": install,
        "virtual_packages": virtual_packages,
        "read_lock": read_lock,
        "match": match,
    }
    request = json.load(sys.stdin)
    try:
        send({"result": asyncio.run(operations[request["op"]](request, send))})
    except Failure as failure:
        send({"error": failure.answer})
    except BaseException as error:  # a panic of Rust is a BaseException
        send({"error": {"kind": "crash", "message": f"{type(error).__name__}: {error}"}})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
