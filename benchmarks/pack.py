"""What packing costs: ours beside conda-pack, on one environment. Prints a table in Markdown.

    python benchmarks/pack.py [--prefix DIR] [--rounds N] [--small] [--json FILE]

Makes an environment of more than a gigabyte from the Python package index with our command, or works on a copy of the one
that is named. Every way to pack it is a process of its own, timed from outside, and they take turns. Needs 8 GB in TMPDIR.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import CHECKOUT, CREATE, PIP, Case, Section, as_json, interleave, machine, say, table

SMALLER = 5  # the first level that makes packages of at most 0.96 of conda-pack's size here
STOCK = "conda-pack, as it comes (1 thread)"
STOCK_2 = "conda-pack, --n-threads 2"
FRESH = "ours, as it comes, without a cache"
FILLING = "ours, as it comes, into an empty cache"
SMALL_ONE = f"ours, --level {SMALLER}, without a cache"
SMALLER_STILL = f"ours, --level {SMALLER + 1}, without a cache"
CHANGED = "ours, again: one small pip package changed"
SAME = "ours, again: nothing changed"
ZSTD = "ours, .tar.zst, without a cache"
STOCK_ZSTD = "conda-pack, .tar.zst"
BARE = "the least: read, sha256, ISA-L 2, write; no package"
WHOLE = "poncho_package_create PREFIX OUTPUT --no-cache"

BARE_PACK = Path(__file__).parent / "bare_pack.py"

# The step alone, as poncho_package_create does it: what comes before it in a whole build is measured by whole_path.py.
PACK = """
import sys
from pathlib import Path
from poncho.pack import PackOptions, pack
from poncho.store import BuilderCache
prefix, output, cache, level = sys.argv[1:]
pack(
    Path(prefix), Path(output), spec_text="{}", lock_text="{}",
    options=PackOptions(level=int(level) if level else None), cache=BuilderCache(Path(cache)) if cache else None,
)
"""


@dataclass
class Ground:
    """Where it happens: the environment, the cache, and what each way made: its size and the most memory it took."""

    work: Path
    prefix: Path
    small: Path
    sizes: dict[str, int] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    changes: int = 0

    @property
    def cache(self) -> Path:
        """Return the directory of the builder's cache."""
        return self.work / "cache"

    def spend(self, name: str, argv: Sequence[str], output: Path) -> float:
        """Run a command to its end and return its seconds; note what it made and its peak of memory."""
        output.unlink(missing_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(self.work), "LANG": "C.UTF-8", "PYTHONPATH": str(CHECKOUT)}
        env["PONCHO_CACHE_DIR"] = str(self.work / "commands")
        said = self.work / "said"
        actions = [(os.POSIX_SPAWN_OPEN, fd, str(said), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for fd in (1, 2)]
        began = time.perf_counter()
        process = os.posix_spawnp(argv[0], argv, env, file_actions=actions)
        _, status, usage = os.wait4(process, 0)
        seconds = time.perf_counter() - began
        if status:
            sys.exit(f"{' '.join(argv)}: status {os.waitstatus_to_exitcode(status)}\n{said.read_text()[-2000:]}")
        self.sizes[name] = output.stat().st_size
        self.peaks[name] = max(self.peaks.get(name, 0), usage.ru_maxrss * 1024)
        return seconds

    def ours(self, name: str, *, cached: bool = False, level: int | None = None, form: str = "tar.gz") -> float:
        """Pack with ours."""
        output = self.work / f"ours.{form}"
        cache = str(self.cache) if cached else ""
        argv = [sys.executable, "-c", PACK, str(self.prefix), str(output), cache, "" if level is None else str(level)]
        return self.spend(name, argv, output)

    def whole(self) -> float:
        """Pack with our command, which also looks at what the environment holds: records, local code, bytecode."""
        output = self.work / "ours.tar.gz"
        return self.spend(WHOLE, [*CREATE, "--quiet", "--no-cache", str(self.prefix), str(output)], output)

    def stock(self, name: str, *more: str, form: str = "tar.gz") -> float:
        """Pack with conda-pack."""
        output = self.work / f"stock.{form}"
        argv = [sys.executable, "-m", "conda_pack.cli", "-p", str(self.prefix), "-o", str(output), "-q"]
        return self.spend(name, [*argv, "--ignore-missing-files", *more], output)

    def bare(self) -> float:
        """Do only what no packer can leave out, in one process for each core."""
        output = self.work / "bare"
        return self.spend(BARE, [sys.executable, str(BARE_PACK), str(self.prefix), str(output)], output)

    def fill(self) -> float:
        """Pack with ours into an empty cache."""
        shutil.rmtree(self.cache, ignore_errors=True)
        return self.ours(FILLING, cached=True)

    def change(self) -> float:
        """Change the small package as an update would, and pack with ours."""
        self.changes += 1
        text = self.small.read_text()
        self.small.unlink()
        self.small.write_text(text + f"\n# change {self.changes}\n")
        return self.ours(CHANGED, cached=True)


def main() -> None:
    """Measure and print."""
    arguments = parse()
    rounds = arguments.rounds or (1 if arguments.small else 7)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="poncho-benchmark-") as name:
        ground = prepare(Path(name).resolve(), arguments)
        files = [path for path in ground.prefix.rglob("*") if path.is_file() and not path.is_symlink()]
        size = sum(path.stat().st_size for path in files)
        facts["environment"] = f"{len(files)} files, {size / 1e6:.0f} MB"
        section = measured(ground, rounds)
        same = same_bytes(ground)
    print("# Packing, measured\n")
    print(f"{rounds} rounds, interleaved. " + ", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    print(table(section))
    print("\n".join(summary(section, ground)))
    print(f"The package from the cache is byte-identical to one without: {'yes' if same else 'NO'}.")
    if arguments.json:
        arguments.json.write_text(as_json([section], facts))
    if not same:
        sys.exit(1)


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", type=Path, metavar="DIR", help="an environment to copy, instead of making one")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is measured (default: 7; --small: 1)")
    parser.add_argument("--small", action="store_true", help="a small environment, once: does it work at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all single times there")
    return parser.parse_args()


def prepare(work: Path, arguments: argparse.Namespace) -> Ground:
    """Make the environment."""
    prefix = work / "environment"
    if arguments.prefix:
        say(f"copying {arguments.prefix}")
        subprocess.run(["cp", "-a", "--reflink=auto", str(arguments.prefix.resolve()), str(prefix)], check=True)
    else:
        say("making the environment")
        spec = work / "requirements.txt"
        spec.write_text("\n".join(("idna", "packaging") if arguments.small else ("idna", *PIP)) + "\n")
        env = {**os.environ, "PONCHO_CACHE_DIR": str(work / "making")}
        subprocess.run([*CREATE, str(spec), f"{prefix}/", "-q"], check=True, env=env)
        shutil.rmtree(work / "making")
    wheels = sorted(prefix.glob("lib/python3.*/site-packages/*.dist-info/RECORD"), key=lambda path: path.stat().st_size)
    for record in wheels:
        names = [line.split(",")[0] for line in record.read_text().splitlines()]
        site = record.parents[1]
        code = [site / name for name in names if name.endswith(".py") and ".." not in name]
        if len(code) > 1 and code[-1].is_file():
            return Ground(work, prefix, code[-1])
    sys.exit(f"{prefix}: no small package of pip in it")


def measured(ground: Ground, rounds: int) -> Section:
    """Measure all ways."""
    time.sleep(2.5)  # what was changed just now is always read again
    cases = [
        Case(STOCK, lambda: ground.stock(STOCK)),
        Case(STOCK_2, lambda: ground.stock(STOCK_2, "--n-threads", "2")),
        Case(FRESH, lambda: ground.ours(FRESH)),
        Case(BARE, ground.bare),
        Case(SMALL_ONE, lambda: ground.ours(SMALL_ONE, level=SMALLER)),
        Case(SMALLER_STILL, lambda: ground.ours(SMALLER_STILL, level=SMALLER + 1)),
        Case(WHOLE, ground.whole),
        Case(ZSTD, lambda: ground.ours(ZSTD, form="tar.zst")),
        Case(STOCK_ZSTD, lambda: ground.stock(STOCK_ZSTD, form="tar.zst")),
        Case(FILLING, ground.fill),
        Case(CHANGED, ground.change),
        Case(SAME, lambda: ground.ours(SAME, cached=True)),
    ]
    rows = interleave(cases, rounds, rotate=False)
    rows = [type(row)(row.name, row.seconds, ground.sizes[row.name]) for row in rows]
    return Section("Pack an environment that exists", rows, against=STOCK, word="conda-pack")


def summary(section: Section, ground: Ground) -> list[str]:
    """Return the comparisons in words."""
    stock = section.row(STOCK)
    assert stock is not None
    assert stock.size
    lines = []
    for row in section.rows:
        if row.name in (STOCK, STOCK_2, STOCK_ZSTD) or row.size is None:
            continue
        ratio, size = section.ratio(row), row.size / stock.size
        lines.append(f"{row.name}: {ratio:.3g} times as fast as conda-pack's default, {size:.3f} of its size.")
    peaks = ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in ground.peaks.items())
    zstd, theirs = section.row(ZSTD), section.row(STOCK_ZSTD)
    if zstd and theirs and zstd.size and theirs.size:
        ratio, size = theirs.best / zstd.best, zstd.size / theirs.size
        lines.append(f"{ZSTD}: {ratio:.3g} times as fast as conda-pack's .tar.zst, {size:.3f} of its size.")
    lines.append(f"The most memory that each took (largest process): {peaks}.")
    return [*(f"- {line}" for line in lines), ""]


def same_bytes(ground: Ground) -> bool:
    """Tell whether the package from the cache is the one that is made without."""
    ground.ours(SAME, cached=True)
    (ground.work / "ours.tar.gz").rename(ground.work / "cached.tar.gz")
    ground.ours(FRESH)
    done = subprocess.run(["cmp", str(ground.work / "ours.tar.gz"), str(ground.work / "cached.tar.gz")], check=False)
    return done.returncode == 0


if __name__ == "__main__":
    main()
