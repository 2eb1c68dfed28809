"""The workers' side of what generated libraries speak: as TaskVine's and Work Queue's C sources do it."""

from __future__ import annotations

import json
import os
import pickle
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudpickle

PATIENCE = 30.0
Json = dict[str, Any]


def _environment(changes: dict[str, str] | None) -> dict[str, str]:
    env = {**os.environ, **(changes or {})}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    return env


class TaskVineWorker:
    """Starts a library by ``sh -c`` with two pipes (vine_process.c), sends calls and reads results."""

    def __init__(
        self,
        directory: Path,
        command: Sequence[str | os.PathLike[str]],
        *,
        task: int = 7,
        cores: int = 2,
        slots: int = 2,
        env: dict[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self._calls = 100
        to_library, self._send = os.pipe()
        self._receive, from_library = os.pipe()
        words = " ".join(shlex.quote(os.fspath(word)) for word in command)
        words += f" --in-pipe-fd {to_library} --out-pipe-fd {from_library} --task-id {task} --library-cores {cores}"
        words += f" --function-slots {slots} --worker-pid {os.getpid()}"
        self.log = directory / ".taskvine.stdout"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", words],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(to_library, from_library),
                start_new_session=True,
                env=_environment(env),
            )
        os.close(to_library)
        os.close(from_library)

    def ready(self) -> Json:
        """Return the library's first message, which must come by one write."""
        return dict(json.loads(self._message()))

    def send(self, function: str, *args: Any, sandbox: str | None = None, **kwargs: Any) -> int:
        """Ask for one call; return its task number."""
        task, message = self.message(function, *args, sandbox=sandbox, **kwargs)
        os.write(self._send, message)
        return task

    def message(self, function: str, *args: Any, sandbox: str | None = None, **kwargs: Any) -> tuple[int, bytes]:
        """Make the sandbox of a call; return its task number and the bytes that ask for it."""
        self._calls += 1
        box = self.directory.parent / (sandbox or f"func.{self._calls}")
        box.mkdir()
        (box / "infile").write_bytes(cloudpickle.dumps({"fn_args": args, "fn_kwargs": kwargs}))
        text = f"{self._calls} {function} {box} {box}/.taskvine.stdout".encode()
        self._boxes = {**getattr(self, "_boxes", {}), self._calls: box}
        return self._calls, b"%d\n%s" % (len(text), text)

    def write(self, data: bytes) -> None:
        """Write bytes into the library's pipe."""
        os.write(self._send, data)

    def result(self) -> tuple[int, int]:
        """Return the next ``(task, status)``."""
        task, status = self._message().split()
        return int(task), int(status)

    def call(self, function: str, *args: Any, sandbox: str | None = None, **kwargs: Any) -> Json:
        """Make one call and return the outcome that the manager would get."""
        task = self.send(function, *args, sandbox=sandbox, **kwargs)
        assert self.result() == (task, 0), self.log.read_text()
        return self.outcome(task)

    def sandbox(self, task: int) -> Path:
        """Return the directory of a call."""
        return Path(self._boxes[task])

    def outcome(self, task: int) -> Json:
        """Return what a call left for the manager."""
        return dict(pickle.loads((self.sandbox(task) / "outfile").read_bytes()))

    def printed(self, task: int) -> str:
        """Return what a call printed."""
        return (self.sandbox(task) / ".taskvine.stdout").read_text()

    def leave(self) -> int:
        """Close the pipe, as a worker that dies does; return the library's exit status."""
        os.close(self._send)
        self._send = -1
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End the library as the worker does: with everything that it has started."""
        for fd in (self._send, self._receive):
            if fd >= 0:
                os.close(fd)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(PATIENCE)

    def _message(self) -> str:
        if not select.select([self._receive], [], [], PATIENCE)[0]:
            raise AssertionError(f"the library said nothing\n{self.log.read_text()}")
        # The results of two calls can come together; each is one write, so a message is never torn.
        length = b""
        while (byte := os.read(self._receive, 1)) != b"\n":
            if not byte:
                raise AssertionError(f"the library has ended\n{self.log.read_text()}")
            length += byte
        assert select.select([self._receive], [], [], 0)[0], "the length came without its message"
        data = os.read(self._receive, int(length))
        assert len(data) == int(length), "the message came in pieces"
        return data.decode()


class WorkQueueWorker:
    """Starts a coprocess by ``sh -c`` with pipes as its stdin and stdout (work_queue_coprocess.c), and calls over TCP."""

    def __init__(self, workspace: Path, program: Path) -> None:
        self.workspace = workspace
        self.log = workspace.parent / "coprocess.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", shlex.quote(str(program))],
                cwd=workspace,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=_environment(None),
            )
        assert self.process.stdout
        self._stdout = self.process.stdout
        length = self._stdout.readline()
        assert length.strip(), self.log.read_text()
        self.ready: Json = json.loads(self._stdout.read(int(length)))
        self._connection: socket.socket | None = None

    def call(self, function: str, *args: Any, task: int = 1, method: str | None = None, **kwargs: Any) -> Json:
        """Make one call; return the response. The connection is kept."""
        event: Json = {"fn_args": args, "fn_kwargs": kwargs}
        if method:
            event["remote_task_exec_method"] = method
        return self.raw(function, task, json.dumps(event).encode())

    def raw(self, function: str, task: int, data: bytes) -> Json:
        """Send any bytes as a call's input; return the response."""
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self.ready["port"]), PATIENCE)
        self._connection.sendall(b"%s %d %d\n%s" % (function.encode(), task, len(data), data))
        with self._connection.makefile("rb") as stream:
            length = stream.readline()
            assert length.strip(), self.log.read_text()
            return dict(json.loads(stream.read(int(length))))

    def hang_up(self) -> None:
        """Close the connection, as the process of a finished task does."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def unread_output(self) -> bytes:
        """Return what came on standard output after the first message."""
        return self._stdout.read1(1 << 16) if select.select([self._stdout], [], [], 0)[0] else b""

    def leave(self) -> int:
        """Close the coprocess's standard input, as a worker that dies does; return its exit status."""
        self.hang_up()
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End the coprocess and all it has started."""
        self.hang_up()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(PATIENCE)
        self._stdout.close()
        if self.process.stdin:
            self.process.stdin.close()
