"""Run a tool of another maker: closed stdin, a process group that does not outlive us, an error that tells."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from poncho._redact import redact
from poncho.errors import BuildError, PonchoError

TAIL_LINES = 25

MakeError = Callable[..., PonchoError]


def run_tool(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    step: str,
    cwd: Path | None = None,
    error: MakeError = BuildError,
    hint: str | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to its end and return what it printed (text, stdout and stderr apart).

    ``step`` is a short phrase for the message ("resolve the pip requirements"). With ``check``, an exit status other
    than 0 raises ``error`` with the command, the status and the last lines of its output in ``context``, all
    redacted; a command that cannot be started always raises it. If we are interrupted, the whole process group of the
    tool is killed first.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as problem:
        raise error(
            f"cannot {step}: {argv[0]}: {problem.strerror}", hint=hint, context={"command": shlex.join(argv)}
        ) from problem
    try:
        stdout, stderr = process.communicate()
    except BaseException:
        kill_group(process)
        raise
    if check and process.returncode != 0:
        raise tool_failed(argv, process.returncode, stderr.strip() or stdout, step=step, error=error, hint=hint)
    return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)


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
    return error(
        f"cannot {step}: {Path(argv[0]).name}: {words or ending}",
        hint=hint,
        context={"command": redact(shlex.join(argv)), "status": status, "tail": redact("\n".join(lines))},
    )


def telling_line(lines: Sequence[str]) -> str:
    """Return the line of a tool's output that says most: its last ``error``/``cause`` line, else the last line."""
    for marker in ("cause:", "error:", "fatal:", "critical"):
        for line in reversed(lines):
            if marker in line.lower():
                return _without_marker(line)
    return lines[-1].strip() if lines else ""


def _without_marker(line: str) -> str:
    text = line.strip().lstrip("×╰─▶├│ ").strip()
    for marker in ("cause:", "error:", "ERROR:"):
        text = text.removeprefix(marker).strip()
    return text
