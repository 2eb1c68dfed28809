"""Run the project's real commands as a person or a caller would: as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

INTERNAL_ERROR = 70
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command did. ``stdout`` and ``stderr`` are text; ``stdout_bytes`` is what it wrote."""

    argv: tuple[str, ...]
    returncode: int
    stdout_bytes: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        """Return standard output as text."""
        return self.stdout_bytes.decode(errors="surrogateescape")

    def ok(self) -> Finished:
        """Return this when the command succeeded; else fail the test with its words."""
        assert self.returncode == 0, (
            f"{self.argv} exited {self.returncode}\n{self.stdout[-2000:]}\n{self.stderr[-6000:]}"
        )
        return self

    def failed(self) -> Finished:
        """Return this when the command failed with an error of its own: no traceback, no internal error."""
        assert self.returncode != 0, f"{self.argv} succeeded\n{self.stdout[-2000:]}\n{self.stderr[-2000:]}"
        assert self.returncode != INTERNAL_ERROR, self.stderr[-6000:]
        assert "Traceback (most recent call last)" not in self.stderr, self.stderr[-6000:]
        return self


def command_path(name: str) -> Path:
    """Return the command that a user of this interpreter has: installed beside it, else the checkout's ``bin/``."""
    for directory in (Path(sys.executable).parent, CHECKOUT / "bin"):
        if (directory / name).is_file():
            return directory / name
    raise FileNotFoundError(f"{name}: neither installed beside {sys.executable} nor in {CHECKOUT / 'bin'}")


def environment(changes: Mapping[str, str | os.PathLike[str] | None] | None = None) -> dict[str, str]:
    """Return this environment with the tests' interpreter first on PATH and ``changes`` made (None removes)."""
    result = dict(os.environ)
    result["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), result.get("PATH", os.defpath)])
    for name, value in (changes or {}).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = os.fspath(value)
    return result


def run_cli(
    name: str,
    *args: str | os.PathLike[str],
    stdin: str | bytes | None = None,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | os.PathLike[str] | None] | None = None,
    timeout: float = 600,
) -> Finished:
    """Run one of the project's commands to its end.

    ``stdin`` None is an empty standard input. ``cwd`` is the tests' private home unless given: never the checkout.
    """
    argv = [str(command_path(name)), *(os.fspath(arg) for arg in args)]
    run = subprocess.run(
        argv,
        input=stdin.encode() if isinstance(stdin, str) else stdin or b"",
        cwd=cwd or os.environ["HOME"],
        env=environment(env),
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Finished(tuple(argv), run.returncode, run.stdout, run.stderr.decode(errors="replace"))
