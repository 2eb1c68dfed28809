"""What runs on the nodes of a running cluster: it is sent by value, so nothing of PONCHO has to be installed there.

Only the standard library and ``distributed`` may be used here, and nothing that another module of PONCHO defines.

A nanny starts its worker by ``multiprocessing``'s spawn method: the interpreter that ``set_executable`` names, with a
description of the parent that sets ``sys.path``. Named here is a script that starts the package's Python through the
runner, with a first program (``BOOT``) that leaves the parent's ``sys.path`` and main program out of the description. So the
worker is wholly in the package, and the nanny stays what the cluster's manager has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import spawn
from pathlib import Path
from typing import Any

import dask
from distributed import NannyPlugin, SchedulerPlugin

PIECE = 16 << 20
PLUGIN = "poncho-package"
SHELF = "poncho-shelf"

BOOT = """\
import multiprocessing.spawn as spawn
import sys

prepare = spawn.prepare


def prepare_here(data):
    leave_out = ("sys_path", "init_main_from_path", "init_main_from_name")
    prepare({name: value for name, value in data.items() if name not in leave_out})


spawn.prepare = prepare_here
at = sys.argv.index("-c")
code = sys.argv[at + 1]
sys.argv[:] = ["-c", *sys.argv[at + 2 :]]
sys.path.pop(0)
exec(code)
"""


def here_with_nanny(dask_scheduler: Any = None) -> dict[str, str | None]:
    """Return the nanny's address of each worker (run on the scheduler)."""
    return {address: worker.nanny for address, worker in dask_scheduler.workers.items()}


def size_of(path: str) -> int | None:
    """Return the size of a file on this node, None where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def digest_here() -> str | None:
    """Return the digest of the package that this Python is in, None where it is in none."""
    try:
        return Path(sys.prefix, "poncho", "state", "digest").read_text().strip()
    except OSError:
        return None


class Shelf(SchedulerPlugin):
    """Packages on the scheduler's disk: the client puts them there in pieces, nannies take them in pieces."""

    name = SHELF
    idempotent = True

    async def start(self, scheduler: Any) -> None:
        """Open the shelf."""
        self.directory = tempfile.mkdtemp(prefix="poncho-")
        scheduler.handlers["poncho_put"] = self.put
        scheduler.handlers["poncho_get"] = self.get

    async def close(self) -> None:
        """Clear the shelf: the cluster ends."""
        shutil.rmtree(self.directory, ignore_errors=True)

    async def put(self, name: str, offset: int, data: bytes) -> int:
        """Write a piece of package ``name`` (a sha256); return how much of it is there. No data: only tell."""
        path = Path(self.directory, name)
        path.touch()
        if data:
            with path.open("r+b") as stream:
                stream.seek(offset)
                stream.write(data)
        return path.stat().st_size

    async def get(self, name: str, offset: int) -> bytes:
        """Return a piece of package ``name``."""
        with Path(self.directory, name).open("rb") as stream:
            stream.seek(offset)
            return stream.read(PIECE)


class InPackage(NannyPlugin):
    """Restart the nannies' workers inside a package; nannies that come later start theirs in it at once.

    ``path`` is where the nodes see the package, None to take it from the scheduler's shelf under its ``sha256``.
    """

    name = PLUGIN
    restart = True

    def __init__(
        self, path: str | None, *, sha256: str, size: int, runner: bytes, python: tuple[int, int], store: str | None
    ) -> None:
        self.path, self.sha256, self.size = path, sha256, size
        self.runner, self.python, self.store = runner, python, store

    async def setup(self, nanny: Any) -> None:
        """Unpack the package on this node, then let the nanny start its worker in it."""
        if sys.version_info[:2] != self.python:
            ours, theirs = (".".join(map(str, pair)) for pair in (sys.version_info[:2], self.python))
            raise RuntimeError(f"the nanny runs Python {ours}, the package has {theirs}: build it with {ours}")
        method = dask.config.get("distributed.worker.multiprocessing-method")
        if method != "spawn":
            raise RuntimeError(f"distributed.worker.multiprocessing-method is {method!r}, it must be 'spawn'")
        home = Path(nanny.local_directory, "poncho-package")
        home.mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256(self.runner).hexdigest()[:12]
        runner = _written(home / f"poncho_package_run-{key}", self.runner)
        boot = _written(home / f"boot-{hashlib.sha256(BOOT.encode()).hexdigest()[:12]}.py", BOOT.encode())
        package = self.path or str(await self._taken(nanny, home))
        words = ["env", f"PONCHO_STORE={self.store}"] if self.store else []
        words += [str(runner), "-e", package, "--", "python"]
        told = await asyncio.to_thread(
            subprocess.run,
            [*words, "-c", "import distributed"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if told.returncode:
            raise RuntimeError(f"the package does not run on {nanny.ip}: {told.stderr.strip()[-2000:]}")
        script = f'#!/bin/sh\nexec {shlex.join([*words, str(boot)])} "$@"\n'.encode()
        start = _written(home / f"worker-{hashlib.sha256(script).hexdigest()[:12]}", script)
        _start_by(nanny, str(start))

    def teardown(self, nanny: Any) -> None:
        """Let the nanny start its next worker as it did before."""
        original = vars(nanny).pop("_poncho_instantiate", None)
        if original is not None:
            nanny.handlers["instantiate"] = nanny.instantiate = original

    async def _taken(self, nanny: Any, home: Path) -> Path:
        """Return the package, taken from the scheduler unless another nanny on this node has done so."""
        package = home / f"{self.sha256}.tar.gz"
        with (home / f"{self.sha256}.lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.1)
            if size_of(str(package)) == self.size:
                return package
            digest, private = hashlib.sha256(), package.with_suffix(".part")
            with private.open("wb") as stream:
                while stream.tell() < self.size:
                    piece = await nanny.scheduler.poncho_get(name=self.sha256, offset=stream.tell())
                    if not piece:
                        raise RuntimeError("the scheduler has only a part of the package: bring it again")
                    digest.update(piece)
                    stream.write(piece)
            if digest.hexdigest() != self.sha256:
                raise RuntimeError("the package came with other bytes than the client has sent: bring it again")
            private.replace(package)
        return package


def _written(path: Path, content: bytes) -> Path:
    """Write a small program whole, under a name that tells its content."""
    if not path.exists():
        private = path.with_name(f".{path.name}.{os.getpid()}")
        private.write_bytes(content)
        private.chmod(0o755)
        private.replace(path)
    return path


def _start_by(nanny: Any, start: str) -> None:
    original = vars(nanny).setdefault("_poncho_instantiate", nanny.instantiate)

    async def instantiate() -> Any:
        with _executable(start):
            return await original()

    # By name for the nanny itself, by handler for the scheduler.
    nanny.handlers["instantiate"] = nanny.instantiate = instantiate


@contextlib.contextmanager
def _executable(start: str) -> Iterator[None]:
    """Let multiprocessing start ``start`` for as long as any nanny of this process starts its worker."""
    state = vars(spawn).setdefault("_poncho_nannies", {"number": 0})
    if not state["number"]:
        state["before"] = spawn.get_executable()
    state["number"] += 1
    spawn.set_executable(start)
    try:
        yield
    finally:
        state["number"] -= 1
        if not state["number"]:
            spawn.set_executable(state["before"])
