"""What breaks on real nodes, made on purpose: killed system calls, full disks, other users; and how often it is tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FULL = os.environ.get("PONCHO_TEST_FULL") == "1"
NOBODY = 65534


def count(sample: int, full: int) -> int:
    """Return how often a test tries something: the sample, or with PONCHO_TEST_FULL=1 all of it (docs/robustness.md)."""
    return full if FULL else sample


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until the function returns something true."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.005)


def strace(log: Path, *options: str) -> list[str]:
    """Return the words that run a command and its children under strace; skip where that cannot be."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("no strace on this machine")
    words = [program, "-f", "-qq", "-o", str(log), *options]
    done = subprocess.run([*words[:4], "/dev/null", "-e", "trace=openat", "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("processes cannot be traced here")
    return words


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory at ``place``; skip where that cannot be."""
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "poncho-test", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def as_nobody(*command: object) -> list[str]:
    """Return the words that run a command as another user; skip where that cannot be."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to become somebody else")
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *map(str, command)]


def processes_with(marker: str) -> list[int]:
    """Return the processes in whose environment ``marker`` is (``NAME=VALUE``), zombies left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker.encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
