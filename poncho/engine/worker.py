"""The caller's side of a worker process: send one request, hand its events to the reporter, return its result."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poncho import _json
from poncho._cleanup import deferred, register
from poncho._descriptors import for_child
from poncho._home import for_children
from poncho._types import Event, Reporter
from poncho.engine.process import kill_group
from poncho.errors import BuildError

_WORKER = Path(__file__).parents[1] / "rattler_worker" / "__main__.py"


class WorkerFailure(Exception):  # noqa: N818
    """The worker answered with an error: ``answer`` is its JSON object. Never leaves the engine."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(str(answer.get("message")))
        self.answer = answer
        self.kind = str(answer.get("kind"))
        self.message = str(answer.get("message"))


def rattler_directory() -> str | None:
    """Return the directory that py-rattler is imported from, or None where it is not installed."""
    try:
        found = importlib.util.find_spec("rattler")
    except (ImportError, ValueError):
        return None
    return str(Path(found.origin).parent.parent) if found and found.origin else None


def call_worker(request: Mapping[str, Any], *, env: Mapping[str, str], reporter: Reporter) -> Any:
    """Run one request in a fresh worker process and return its result (a JSON value).

    If we are interrupted, or the reporter raises, the worker's whole process group is killed: that is the only real
    cancellation. Raises WorkerFailure for an error that the worker names, BuildError when it crashed.
    """
    directory = rattler_directory()
    if directory is None:
        raise BuildError(
            "py-rattler, which installs conda packages, is not installed",
            hint="pip install py-rattler, or name a conda command: --conda-executable micromamba",
        )
    receive, transmit = os.pipe()
    with tempfile.TemporaryFile() as output, os.fdopen(receive, "rb") as answers:
        try:
            with deferred(), for_child(transmit) as sending:
                process = subprocess.Popen(
                    [sys.executable, "-I", str(_WORKER), str(sending), directory],
                    env=dict(env),
                    cwd=for_children(),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(sending,),
                    start_new_session=True,
                )
                forget = register(lambda: kill_group(process))
        except OSError as error:
            raise BuildError(f"cannot start the conda worker process: {error.strerror}") from error
        finally:
            os.close(transmit)
        try:
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(request).encode())
                process.stdin.close()
            except BrokenPipeError:
                pass  # it died at once; what it printed tells why
            found, result = False, None
            for line in answers:
                answer = _json.loads(line)
                if "event" in answer:
                    reporter(Event(**answer["event"]))
                elif "error" in answer:
                    raise WorkerFailure(answer["error"])
                else:
                    found, result = True, answer["result"]
            process.wait()
        except BaseException:
            kill_group(process)
            raise
        finally:
            forget()
        if not found:
            output.seek(0)
            raise crashed(str(request["op"]), process.returncode, output.read()[-4000:].decode("utf-8", "replace"))
        return result


def crashed(operation: str, status: int, tail: str) -> BuildError:
    """Return the error for a worker that ended without an answer."""
    lines = [line for line in tail.strip().splitlines() if line.strip()]
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return BuildError(
        f"the conda worker process ended without an answer during {operation} ({how})"
        + (f": {lines[-1].strip()}" if lines else ""),
        hint="try again; if it was killed, the machine may be short of memory",
        context={"status": status, "tail": tail.strip()},
    )
