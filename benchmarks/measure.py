"""What the benchmarks share: processes timed from outside, rounds that interleave, the machine's facts, tables.

On a shared machine a single time says little. So everything that is compared is run in the same rounds, one after the
other, and the minimum and the median of the rounds are shown; a ratio is one of minimums.
"""

from __future__ import annotations

import json
import os
import platform
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
CREATE = [sys.executable, str(CHECKOUT / "bin" / "poncho_package_create")]
RUNNER = str(CHECKOUT / "bin" / "poncho_package_run")
# What an environment of 1.3 GB is made of.
PIP = (
    *("numpy", "scipy", "pandas", "pyarrow", "matplotlib", "scikit-learn", "numba", "awkward", "uproot", "coffea"),
    *("statsmodels", "dask", "distributed", "polars"),
)


@dataclass(frozen=True)
class Case:
    """One thing to time. ``run`` does it once and returns its seconds; ``repeat`` is how often in each round."""

    name: str
    run: Callable[[], float]
    repeat: int = 1


@dataclass(frozen=True)
class Row:
    """The seconds that a case took, one for each time it ran; ``size`` in bytes where it made a file."""

    name: str
    seconds: list[float]
    size: int | None = None

    @property
    def best(self) -> float:
        """Return the minimum."""
        return min(self.seconds)


@dataclass(frozen=True)
class Section:
    """Rows of one table.

    ``against`` names the row that the others are compared with, ``word`` is what the table calls it; ``floor`` names
    the row that nothing can be faster than.
    """

    title: str
    rows: list[Row]
    against: str | None = None
    word: str = "today"
    floor: str | None = None
    remark: str = ""

    def row(self, name: str | None) -> Row | None:
        """Return the row of that name, or None."""
        return next((row for row in self.rows if row.name == name), None)

    def ratio(self, row: Row) -> float | None:
        """Return how many times as long as ``row`` the one that it is compared with takes."""
        against = self.row(self.against)
        return against.best / row.best if against else None

    def above_floor(self, row: Row) -> float | None:
        """Return the seconds that ``row`` adds to the floor."""
        floor = self.row(self.floor)
        return row.best - floor.best if floor else None


def interleave(cases: Sequence[Case], rounds: int, *, rotate: bool = True, last: int = 0) -> list[Row]:
    """Run all cases in each of ``rounds`` rounds; each round begins with another one, unless they need their order.

    The ``last`` cases stay at the end of a round. What is to be repeated in a round takes turns, too.
    """
    rows = {case.name: Row(case.name, []) for case in cases}
    turning, staying = cases[: len(cases) - last], cases[len(cases) - last :]
    for number in range(rounds):
        turn = number % len(turning) if rotate else 0
        for again in range(max(case.repeat for case in cases)):
            for case in (*turning[turn:], *turning[:turn], *staying):
                if again < case.repeat:
                    if again == 0:
                        say(f"round {number + 1} of {rounds}: {case.name}")
                    rows[case.name].seconds.append(case.run())
    return list(rows.values())


@dataclass(frozen=True)
class Node:
    """Where commands run: a directory of their own and an environment with nothing of the caller's."""

    directory: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of every command."""
        plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        return plain | {"HOME": str(self.directory), "TMPDIR": str(self.directory)} | dict(self.environ)

    def time(self, argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> float:
        """Run a command to its end and return its seconds. It must succeed."""
        return self.time_many([argv], 1, environ=environ)

    def time_many(
        self, commands: Sequence[Sequence[str]], at_once: int, *, environ: Mapping[str, str] | None = None
    ) -> float:
        """Run commands, ``at_once`` at a time, and return the seconds until the last has ended. All must succeed."""
        log = self.directory / "said"
        with log.open("wb") as said:
            actions = [(os.POSIX_SPAWN_DUP2, said.fileno(), 1), (os.POSIX_SPAWN_DUP2, said.fileno(), 2)]
            env = self.env | dict(environ or {})
            waiting, running = list(reversed(commands)), {}
            home = Path.cwd()
            os.chdir(self.directory)
            began = time.perf_counter()
            try:
                while waiting or running:
                    while waiting and len(running) < at_once:
                        argv = list(waiting.pop())
                        running[os.posix_spawnp(argv[0], argv, env, file_actions=actions)] = argv
                    process, status = os.wait()
                    argv = running.pop(process)
                    if status != 0:
                        tail = log.read_text(errors="replace")[-2000:]
                        sys.exit(f"{' '.join(argv)}: status {os.waitstatus_to_exitcode(status)}\n{tail}")
                return time.perf_counter() - began
            finally:
                os.chdir(home)


def machine() -> dict[str, Any]:
    """Return what a reader must know of this machine: cores, load, versions."""
    facts: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "poncho": runpy.run_path(str(CHECKOUT / "poncho" / "_version.py"))["__version__"],
    }
    for name in ("conda-pack", "py-rattler", "uv"):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    for name in ("tar", "gzip"):
        said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout
        facts[name] = said.partition("\n")[0].split()[-1] if said else "?"
    return facts


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(section: Section) -> str:
    """Return a section as a Markdown table, its columns aligned for a terminal, too."""
    columns = {
        "": [row.name for row in section.rows],
        "minimum": [duration(row.best) for row in section.rows],
        "median": [duration(median(row.seconds)) for row in section.rows],
        "above the floor": [duration(section.above_floor(row)) for row in section.rows],
        f"{section.word} / this": [f"{section.ratio(row) or 0:.3g}" for row in section.rows],
        "size": [f"{row.size / 1e6:.1f} MB" if row.size else "" for row in section.rows],
    }
    if section.floor is None:
        del columns["above the floor"]
    if section.against is None:
        del columns[f"{section.word} / this"]
    if not any(columns["size"]):
        del columns["size"]
    padded = []
    for name, cells in columns.items():
        width = max(map(len, (name, *cells)))
        pad = str.rjust if name else str.ljust
        padded.append(
            [pad(name, width), "-" * (width - 1) + (":" if name else "-"), *(pad(cell, width) for cell in cells)]
        )
    lines = "\n".join(f"| {' | '.join(line)} |" for line in zip(*padded, strict=True))
    remark = f"{section.remark}\n\n" if section.remark else ""
    return f"## {section.title}\n\n{remark}{lines}\n"


def duration(seconds: float | None) -> str:
    """Return seconds for people, to three digits."""
    if seconds is None:
        return ""
    return f"{seconds:.3g} s" if abs(seconds) >= 1 else f"{seconds * 1000:.3g} ms"


def as_json(sections: Sequence[Section], facts: Mapping[str, Any]) -> str:
    """Return all that was measured, each single time included."""
    tables = [
        {
            "title": section.title,
            "against": section.against,
            "floor": section.floor,
            "rows": [
                {
                    "name": row.name,
                    "seconds": row.seconds,
                    "minimum": row.best,
                    "median": median(row.seconds),
                    "ratio": section.ratio(row),
                    "above_floor": section.above_floor(row),
                    "size": row.size,
                }
                for row in section.rows
            ],
        }
        for section in sections
    ]
    return json.dumps({"machine": facts, "sections": tables}, indent=1) + "\n"


def say(what: str) -> None:
    """Tell how far it is, on stderr."""
    print(what, file=sys.stderr, flush=True)
