"""The interpreter on this machine, and pip, as a conda channel: the base of a spec that names no channel."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._types import Event, Reporter, silent
from poncho.base import rewrite
from poncho.base.binaries import check_interpreter, prepare_binaries
from poncho.base.conda_package import Member, content_digest, write_conda_package, write_repodata
from poncho.base.elf import read_elf
from poncho.base.facts import InterpreterFacts, Kind
from poncho.base.find import ask_interpreter, find_interpreter
from poncho.base.layout import Layout, plan_layout
from poncho.base.pip_package import find_pip, pip_members
from poncho.errors import BuildError, StoreError
from poncho.lock.model import LockedBase
from poncho.store import BuilderCache, atomic_directory, exclusive
from poncho.store.atomic import disk_full

# Raise it whenever the same interpreter would give other packages.
_BUILDER = 1
_FACTS_FILE = "base.json"
_TEXT_WITH_PREFIX = ("bin/", "lib/pkgconfig/")


@dataclass(frozen=True, slots=True)
class BaseChannel:
    """A conda channel in the builder's cache that holds the packages ``python`` and ``pip``.

    ``url`` is ``file://``. ``sha256`` is the digest of the packages' content: the same on every machine that has the
    same interpreter. ``platform`` is the conda subdir of ``python`` (``pip`` is noarch).
    """

    path: Path
    url: str
    python_version: str
    kind: Kind
    sha256: str
    platform: str

    @property
    def locked(self) -> LockedBase:
        """Return what a lock says of the base: what it is, not where it lies."""
        return LockedBase(self.python_version, self.kind, self.sha256)


def base_channel(
    python: str | None = None,
    *,
    cache: BuilderCache,
    reporter: Reporter = silent,
    environ: Mapping[str, str] | None = None,
    interpreter: Path | None = None,
) -> BaseChannel:
    """Return the channel of the interpreter that satisfies ``python``; make it if the cache does not hold it.

    ``python`` is a version or range as the spec has it; None means the interpreter that runs PONCHO. ``interpreter`` is
    an executable: then the channel is that of it, or of the one that its virtual environment was made with. Raises
    ResolveError when no interpreter fits, SpecError for a version that cannot be read, BuildError when it cannot be
    repackaged.
    """
    environ = os.environ if environ is None else environ
    facts = find_interpreter(python, environ) if interpreter is None else ask_interpreter(interpreter, environ)
    pip = find_pip(facts)
    if pip is None:
        raise BuildError(
            f"no copy of pip for Python {facts.version} ({facts.executable})",
            hint="install pip where PONCHO is installed, or name a conda channel in the spec",
        )
    directory = cache.directory("base") / f"{facts.name}-{_identity(facts, pip[0], pip[1])}"
    if not (directory / _FACTS_FILE).is_file():
        reporter(Event("start", "base", f"repackaging Python {facts.version} ({facts.kind}) of this machine"))
        try:
            _build(directory, facts, pip, cache, reporter, environ)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full(directory, error) from error
            raise BuildError(
                f"{facts.executable}: cannot be repackaged: {error.filename or directory}: {error.strerror}"
            ) from error
        reporter(Event("done", "base", f"Python {facts.version}"))
    return _load(directory, facts)


def _identity(facts: InterpreterFacts, pip_version: str, pip_files: Mapping[str, bytes]) -> str:
    """Return what the cache knows the packages by: an interpreter upgraded in place is another one."""
    library = facts.libdir / facts.library
    places = [facts.executable, library, facts.stdlib / "os.py", facts.stdlib, facts.dynload, facts.include]
    stamps = [(str(path), *_stamp(path)) for path in places]
    pip_digest = hashlib.sha256()
    for name in sorted(pip_files):
        pip_digest.update(f"{name}\0{len(pip_files[name])}\0".encode() + pip_files[name])
    said = {key: str(value) for key, value in asdict(facts).items()}
    parts = [_BUILDER, said, stamps, pip_version, pip_digest.hexdigest()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.resolve().stat()
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


def _load(directory: Path, facts: InterpreterFacts) -> BaseChannel:
    try:
        said = _json.loads((directory / _FACTS_FILE).read_text())
        with suppress(OSError):
            os.utime(directory / _FACTS_FILE)  # a prune goes by when it was last of use
        digest, platform = str(said["sha256"]), str(said["platform"])
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{directory}: damaged", hint=f"delete it: rm -r {directory}") from error
    return BaseChannel(directory, directory.as_uri(), facts.version, facts.kind, digest, platform)


def _build(
    directory: Path,
    facts: InterpreterFacts,
    pip: tuple[str, Mapping[str, bytes]],
    cache: BuilderCache,
    reporter: Reporter,
    environ: Mapping[str, str],
) -> None:
    with exclusive(directory.parent / f".{directory.name}.lock"), atomic_directory(directory) as private:
        if private is None:
            return
        with cache.scratch("base") as root:
            python_members, index = _python(root, facts, reporter, environ)
        platform = str(index["subdir"])
        for subdir in (platform, "noarch"):
            (private / subdir).mkdir()
        members, pip_index, link = pip_members(pip[1], pip[0])
        digests = [_stamp_build(index, python_members), _stamp_build(pip_index, members)]
        write_repodata(private / platform, platform, [write_conda_package(private / platform, python_members, index)])
        noarch = private / "noarch"
        write_repodata(noarch, "noarch", [write_conda_package(noarch, members, pip_index, link=link)])
        digest = hashlib.sha256("".join(digests).encode()).hexdigest()
        (private / _FACTS_FILE).write_text(json.dumps({"sha256": digest, "platform": platform}))


def _stamp_build(index: dict[str, Any], members: list[Member]) -> str:
    """Put a build string made of the content into ``index``, as caches know a package by it; return the digest."""
    digest = content_digest(sorted(members, key=lambda member: member.path), index)
    index["build"] = f"h{digest[:8]}_0"
    return digest


def _python(
    root: Path, facts: InterpreterFacts, reporter: Reporter, environ: Mapping[str, str]
) -> tuple[list[Member], dict[str, Any]]:
    layout = plan_layout(facts, environ)
    for module, reason in layout.dropped.items():
        reporter(Event("info", "base", f"left out {module}: {reason}"))
    binaries = {name: path for name, path in layout.files.items() if _is_binary(name, path)}
    glibc = prepare_binaries(root, binaries, facts, environ)
    texts = {name: _text(name, path.read_bytes(), facts) for name, path in layout.files.items() if name not in binaries}
    _lay_out(root, texts, layout)
    check_interpreter(root, layout.executable, facts)
    members = [Member(name, (root / name).read_bytes(), executable=True) for name in binaries]
    members += [
        Member(
            name,
            data,
            executable=name.startswith("bin/"),
            placeholder=rewrite.PLACEHOLDER if rewrite.PLACEHOLDER.encode() in data else None,
        )
        for name, data in texts.items()
    ]
    members += [Member(name, link=target) for name, target in layout.links.items()]
    return members, _index(facts, glibc)


def _is_binary(name: str, path: Path) -> bool:
    return (name.startswith(("bin/", "lib/lib")) or "/lib-dynload/" in name) and read_elf(path) is not None


def _text(name: str, data: bytes, facts: InterpreterFacts) -> bytes:
    relative = name.removeprefix(f"lib/{facts.name}/")
    if relative.startswith("_sysconfigdata_"):
        return rewrite.sysconfigdata(data, facts)
    if relative == "ssl.py":
        return rewrite.ssl_module(data, facts)
    if name.startswith(_TEXT_WITH_PREFIX):
        return rewrite.replace_prefix(data, facts)
    return rewrite.debian_module(relative, data) if facts.kind == "debian" else data


def _lay_out(root: Path, texts: Mapping[str, bytes], layout: Layout) -> None:
    """Write the rest of the prefix beside the binaries, so that the interpreter can be tried before it is published."""
    for name, data in texts.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    for name, target_name in layout.links.items():
        link = root / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target_name)


def _index(facts: InterpreterFacts, glibc: tuple[int, ...]) -> dict[str, Any]:
    platform = facts.platform or ""
    architecture = platform.partition("-")[2]
    return {
        "arch": {"64": "x86_64", "32": "x86"}.get(architecture, architecture),
        "build_number": 0,
        "depends": [f"__glibc >={'.'.join(map(str, glibc))},<3.0.a0"] if glibc else [],
        "license": "PSF-2.0",
        "name": "python",
        "platform": "linux",
        "python_site_packages_path": f"lib/{facts.name}/site-packages",
        "subdir": platform,
        "version": facts.version.rstrip("+"),
    }
