"""Run a tool of another maker: closed stdin, a process group that does not outlive us, an error that tells."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from poncho._cleanup import deferred, register
from poncho._home import for_children
from poncho._redact import redact
from poncho.engine.unbuilt import find_unbuilt
from poncho.errors import BuildError, DiskFullError, PonchoError

TAIL_LINES = 25
# So long what a tool has started may pass on what is still in its pipes (bash's `exec > >(tee log)`), in seconds.
_LAST_WORDS = 1.0

MakeError = Callable[..., PonchoError]
Listener = Callable[[str], None]

_DISK_FULL = ("no space left on device", "disk quota exceeded", "(os error 28)", "(os error 122)")


def run_tool(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    step: str,
    cwd: Path | None = None,
    error: MakeError = BuildError,
    hint: str | None = None,
    check: bool = True,
    listener: Listener | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to its end and return what it printed (text, stdout and stderr apart).

    ``step`` is a short phrase for the message ("resolve the pip requirements"). With ``check``, an exit status other
    than 0 raises ``error`` with the command, the status and the last lines of its output in ``context``, all
    redacted; a command that cannot be started always raises it. If we are interrupted, the whole process group of the
    tool is killed first. ``listener`` gets each line of stderr as it comes, in the calling thread.
    """
    try:
        with deferred():
            process = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd or for_children(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            forget = register(lambda: kill_group(process))
    except OSError as problem:
        raise error(
            f"cannot {step}: {argv[0]}: {problem.strerror}", hint=hint, context={"command": shlex.join(argv)}
        ) from problem
    if hasattr(os, "waitid"):
        threading.Thread(target=_end_group, args=(process.pid,), daemon=True).start()
    try:
        stdout, stderr = process.communicate() if listener is None else _listen(process, listener)
    except BaseException:
        kill_group(process)
        raise
    finally:
        forget()
    if check and process.returncode != 0:
        raise tool_failed(argv, process.returncode, stderr.strip() or stdout, step=step, error=error, hint=hint)
    return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)


def _listen(process: subprocess.Popen[str], listener: Listener) -> tuple[str, str]:
    """Do what ``communicate`` does, and show ``listener`` the lines of stderr meanwhile."""
    assert process.stdout is not None
    assert process.stderr is not None
    printed: list[str] = []
    reader = threading.Thread(target=lambda out: printed.append(out.read()), args=(process.stdout,), daemon=True)
    reader.start()
    said: list[str] = []
    with process.stdout, process.stderr:
        for line in process.stderr:
            said.append(line)
            listener(line.rstrip("\n"))
        reader.join()
    process.wait()
    return "".join(printed), "".join(said)


def _end_group(pid: int) -> None:
    """Wait for a tool to end, then kill what it leaves behind: that holds the pipes open which we read to their end."""
    with suppress(ChildProcessError, ProcessLookupError, PermissionError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # not reaped: its number stays its own
        time.sleep(_LAST_WORDS)
        # Reaped by now when all was read: then nothing holds the pipes.
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            os.killpg(pid, signal.SIGKILL)


def kill_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Kill a process that was started with ``start_new_session=True``, and all that it started; then reap it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:  # macOS says so of a group whose leader is a zombie
        process.kill()
    process.wait()


def tool_failed(
    argv: Sequence[str],
    status: int,
    output: str,
    *,
    step: str,
    error: MakeError = BuildError,
    hint: str | None = None,
) -> PonchoError:
    """Return (not raise) the error for a command that failed: its own last words, the command and its status."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()][-TAIL_LINES:]
    ending = f"was killed by signal {-status}" if status < 0 else f"exit status {status}"
    words = telling_line(lines)
    context = {"command": redact(shlex.join(argv)), "status": status, "tail": redact("\n".join(lines))}
    if says_disk_full("\n".join(lines)):
        return DiskFullError(f"cannot {step}: no space left on the file system of the cache", context=context)
    unbuilt = find_unbuilt(output)
    if unbuilt is not None:
        return BuildError(
            f"cannot build {unbuilt.label}: {unbuilt.why}",
            hint=unbuilt.hint,
            context={**context, "unbuilt": unbuilt.label},
        )
    return error(f"cannot {step}: {Path(argv[0]).name}: {words or ending}", hint=hint, context=context)


def says_disk_full(text: str) -> bool:
    """Tell whether a tool's words mean that a disk, a quota or its inodes are used up."""
    low = text.lower()
    return any(words in low for words in _DISK_FULL)


def telling_line(lines: Sequence[str]) -> str:
    """Return the line of a tool's output that says most: its last ``error``/``cause`` line, else the last line."""
    for marker in ("cause:", "error:", "fatal:", "critical"):
        for line in reversed(lines):
            if marker in line.lower():
                return _without_marker(line)
    told = [line.strip() for line in lines if not line.lstrip().startswith("hint:")]
    return told[-1] if told else ""


def _without_marker(line: str) -> str:
    text = line.strip().lstrip("×╰─▶├│ ").strip()
    for marker in ("cause:", "error:", "ERROR:"):
        text = text.removeprefix(marker).strip()
    return text
