"""A cluster on this machine: the scheduler here, each worker a process inside a package."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Scheduler, SpecCluster
from distributed.deploy.spec import ProcessInterface

from poncho._arguments import several
from poncho._types import Reporter, silent
from poncho.errors import BuildError, UsageError
from poncho.integrations.command import place
from poncho.integrations.dask.command import DASK
from poncho.integrations.packages import Source, engine_package
from poncho.runner import last_words

_STOP_SECONDS = 10
# A worker whose scheduler was killed before it came to it ends after so many.
_DEATH_SECONDS = 300
_TAIL_LINES = 100
# The last line of a traceback: of several that follow each other the first is the cause.
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit): .")
# What Dask says of itself, in its own format, when all goes well.
_USUAL = re.compile(rb"\S+ \S+ - distributed\.\S+ - (?:INFO|DEBUG) - ")


class PackagedCluster(SpecCluster):
    """A ``LocalCluster`` whose workers run inside ``package`` (a file, or a spec as for ``python_command``).

    ``n_workers`` None is one for each core divided by ``threads_per_worker``; ``dashboard_address`` None is a free port
    of ``host``. ``worker_options`` are those of ``distributed.Nanny`` that JSON can hold (``memory_limit``, ``resources``,
    ``local_directory``, ``death_timeout``, …); further options are those of SpecCluster. ``scale`` and ``adapt`` work.
    ``python_path`` are the directories of your own modules that workers import (None: the main program's). Raises PonchoError.
    """

    def __init__(
        self,
        package: Source,
        *,
        n_workers: int | None = None,
        threads_per_worker: int = 1,
        host: str = "127.0.0.1",
        scheduler_port: int = 0,
        dashboard_address: str | None = None,
        worker_options: Mapping[str, Any] | None = None,
        extra: Sequence[str] = (),
        store: str | None = None,
        python_path: Sequence[Path | str] | None = None,
        name: str | None = None,
        reporter: Reporter = silent,
        **options: Any,
    ) -> None:
        built = engine_package(package, DASK, extra=extra, reporter=reporter)
        given = _beside_the_program() if python_path is None else several(python_path)
        paths = [os.path.abspath(one) for one in given]
        number = max(1, CPU_COUNT // threads_per_worker) if n_workers is None else n_workers
        usual = {
            "memory_limit": 1 / max(1, math.ceil(CPU_COUNT / threads_per_worker)),
            "death_timeout": _DEATH_SECONDS,
        }
        worker = {
            "cls": PackagedWorker,
            "options": {
                "command": [*place(built.path, None).argv(store=store, python_path=paths), "python"],
                "options": {"nthreads": threads_per_worker, "host": host, **usual, **(worker_options or {})},
            },
        }
        scheduler = {
            "cls": Scheduler,
            "options": {
                "host": host,
                "port": scheduler_port,
                "dashboard_address": dashboard_address or f"{host}:0",
            },
        }
        workers = dict.fromkeys(range(number), worker)
        options.setdefault("silence_logs", logging.WARNING)
        try:
            super().__init__(workers=workers, scheduler=scheduler, worker=worker, name=name, **options)
        except KeyboardInterrupt:
            # Dask closes what has failed; of what is interrupted it forgets the workers that it waits for.
            with contextlib.suppress(Exception):
                self.sync(self._close_created)
            raise

    async def _close_created(self) -> None:
        await asyncio.gather(*(one.close() for one in list(self._created)), return_exceptions=True)


def _beside_the_program() -> list[str]:
    """Return the directory of the main program: a LocalCluster's workers import from there as well."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return [os.path.dirname(os.path.abspath(file))] if file else []


class PackagedWorker(ProcessInterface):
    """One nanny and its worker, in a process that ``command`` (the words that stand for ``python``) starts.

    ``await`` it to start it: it has started when its worker says so. Raises BuildError with its last words when it ends before.
    What tasks write goes where this process's own goes, as with a LocalCluster: stdout as it is, stderr without what Dask
    tells of itself.
    """

    def __init__(self, scheduler: str, name: Any = None, *, command: Sequence[str], options: Mapping[str, Any]) -> None:
        super().__init__()
        self.scheduler, self.name = scheduler, name
        self._command, self._options = list(command), dict(options)
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)

    async def start(self) -> None:
        """Start the process; return when its worker is there."""
        spec = {"cls": "distributed.Nanny", "opts": {"name": self.name, **self._options}}
        # The client's configuration counts for workers too; only their logging must say when they are there.
        config = dask.config.serialize(dask.config.global_config)
        environment = os.environ | {"DASK_INTERNAL_INHERIT_CONFIG": config, "DASK_LOGGING__DISTRIBUTED": "info"}
        try:
            text = json.dumps(spec)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"worker_options cannot be sent to the workers: {error}", hint="use numbers, text, lists and dicts"
            ) from error
        words = [*self._command, "-m", "distributed.cli.dask_spec", self.scheduler, "--spec", text]
        how: dict[str, Any] = {
            "env": environment,
            "stdin": asyncio.subprocess.DEVNULL,
            "stderr": asyncio.subprocess.PIPE,
        }
        self._starting = asyncio.create_task(asyncio.create_subprocess_exec(*words, **how))
        self._process = await asyncio.shield(self._starting)
        ready = asyncio.Event()
        self._reader = asyncio.create_task(self._read(self._process.stderr, ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([self._reader, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not ready.is_set():
            raise self._ended(await self._process.wait())
        await super().start()

    def _ended(self, status: int) -> BuildError:
        tail = b"".join(self._tail).decode(errors="replace").rstrip()
        said = [line.rstrip() for line in tail.splitlines() if line.strip()]
        what, hint = f"(exit status {status})", next((line for line in said if _ERROR.match(line)), None)
        if hint is None:
            runner = last_words("\n".join(said))
            what, hint = (f"{what}: {runner[0]}", runner[1]) if runner else (what, said[-1] if said else None)
        return BuildError(
            f"worker {self.name} in the package ended before it was there {what}",
            hint=hint,
            context={"tail": tail},
        )

    async def close(self) -> None:
        """End the process: politely, then at once."""
        if self._starting is not None and self._process is None:  # interrupted on the way
            with contextlib.suppress(OSError):
                self._process = await self._starting
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except asyncio.TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._reader is not None:
            self._reader.cancel()
        await super().close()

    async def _read(self, stream: asyncio.StreamReader | None, ready: asyncio.Event) -> None:
        """Read what the process writes to stderr to its end, so that it never waits for a reader."""
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line longer than the reader's limit
                continue
            if not line:
                return
            self._tail.append(line)
            if b"Start worker at" in line:
                ready.set()
            if ready.is_set():
                _pass_on(line for line in self._tail if not _USUAL.match(line))
                self._tail.clear()


def _pass_on(lines: Iterable[bytes]) -> None:
    """Write to this process's stderr, where it has one; where its children write, too."""
    text = b"".join(lines)
    if text and sys.__stderr__ is not None:
        with contextlib.suppress(OSError):
            os.write(2, text)
