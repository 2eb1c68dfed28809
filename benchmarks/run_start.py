"""How long it takes until a command runs in a package: ours beside what there is. Prints tables in Markdown.

    python benchmarks/run_start.py [--rounds N] [--small] [--package FILE] [--peer PATH] [--json FILE] [--plot FILE]

Builds a package of more than a gigabyte from the Python package index with our command (or takes the one that is named) and
packs the same environment with conda-pack. Measures, in rounds that interleave: a first start on a node that has nothing but
the package, and `true` in an environment that is there already, 1, 8 and 64 at a time, beside a bare exec of it and one
by the smallest shell script. Needs 10 GB of disk in TMPDIR, better 60, and matplotlib for the plot.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measure import CREATE, PIP, RUNNER, Case, Node, Row, Section, as_json, interleave, machine, say, table

PROGRAM = shutil.which("true") or "/bin/true"
BASH = shutil.which("bash") or "/bin/bash"
BARE = "bare exec"
SCRIPT = "a shell script of two lines"
STOCK = "tar -xzf, conda-unpack, activate"
ACTIVATE = "conda-pack's bin/activate"
OURS, OURS_TO, OURS_DIRECTORY = "ours: package", "ours: package with -u DIR", "ours: directory"
PEER, PEER_TO, PEER_DIRECTORY = "peer: package", "peer: package with -u DIR", "peer: directory"
AT_ONCE = (1, 8, 64)

FIRST_USE = """
set -e
mkdir "$2"
tar -xzf "$1" -C "$2"
PATH=$2/bin:$PATH
"$2/bin/conda-unpack"
. "$2/bin/activate"
shift 2
exec "$@"
"""
FIRST_USE_OURS = """
set -e
mkdir "$2"
tar -xf "$1" -C "$2"
directory=$2
shift 2
exec "$directory/bin/run_in_env" "$@"
"""
TWO_LINES = '#!/bin/sh\nexec "$@"\n'
ENTER = '. "$1/bin/activate"; shift; exec "$@"'


@dataclass(frozen=True)
class Ground:
    """What is measured on: our package and conda-pack's of one environment, each unpacked and ready once, too."""

    node: Node
    ours: Path
    stock: Path
    environment: Path
    stock_environment: Path
    script: Path
    peer: Path | None

    def warm(self) -> dict[str, list[str]]:
        """Return the ways to run a command in an environment that is there, by name: what comes before the command."""
        package, stock, here = str(self.ours), str(self.stock), self.node.directory
        ways = {
            BARE: [],
            SCRIPT: [str(self.script)],
            OURS: [RUNNER, "-e", package, "--"],
            OURS_TO: [RUNNER, "-e", package, "-u", str(here / "ours"), "--"],
            OURS_DIRECTORY: [RUNNER, "-e", str(self.environment), "--"],
            ACTIVATE: [BASH, "-c", ENTER, "bash", str(self.stock_environment)],
        }
        if self.peer:
            ways[PEER_TO] = [str(self.peer), "-e", stock, "-u", str(here / "peer"), "--"]
            ways[PEER_DIRECTORY] = [str(self.peer), "-e", str(self.stock_environment), "--"]
        return ways

    def cold(self) -> dict[str, list[str]]:
        """Return the ways to a first start, by name. What they leave is in ``cold`` of the node's directory."""
        package, stock, there = str(self.ours), str(self.stock), str(self.node.directory / "cold")
        ways = {
            OURS: [RUNNER, "-e", package, "--"],
            OURS_TO: [RUNNER, "-e", package, "-u", there, "--"],
            "ours: unpacked by plain tar, then run_in_env": [BASH, "-c", FIRST_USE_OURS, "bash", package, there],
            STOCK: [BASH, "-c", FIRST_USE, "bash", stock, there],
        }
        if self.peer:
            ways[PEER_TO] = [str(self.peer), "-e", stock, "-u", there, "--"]
            # The last in each round: it deletes what it has unpacked.
            ways[PEER] = [str(self.peer), "-e", stock, "--"]
        return ways


def main() -> None:
    """Measure, print, plot."""
    arguments = parse()
    rounds = arguments.rounds or (1 if arguments.small else 7)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="poncho-benchmark-") as name:
        ground, facts["environment"] = prepare(Path(name).resolve(), arguments)
        cold = cold_section(ground, rounds)
        warm = [warm_section(ground, rounds, at_once, arguments.small) for at_once in AT_ONCE]
    print("# The start, measured\n")
    print(f"{rounds} rounds, interleaved. " + ", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    print("\n".join(map(table, (cold, *warm))))
    print("\n".join(summary(cold, warm)))
    if arguments.json:
        arguments.json.write_text(as_json([cold, *warm], facts))
    if arguments.plot:
        plot(cold, warm, arguments.plot)


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is measured (default: 7; --small: 1)")
    parser.add_argument("--small", action="store_true", help="a small environment, few runs: does it work at all?")
    parser.add_argument("--package", type=Path, metavar="FILE", help="one of our packages, instead of making one")
    parser.add_argument("--peer", type=Path, metavar="PATH", help="another poncho_package_run to run beside ours")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all single times there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture of it there (PNG)")
    return parser.parse_args()


def prepare(work: Path, arguments: argparse.Namespace) -> tuple[Ground, str]:
    """Make both packages and unpack them; return them and, in words, what is in them."""
    package = arguments.package.resolve() if arguments.package else work / "ours.tar.gz"
    if not arguments.package:
        spec = work / "spec.json"
        spec.write_text(json.dumps({"python": f"3.{sys.version_info[1]}", "pip": ["six"] if arguments.small else PIP}))
        say("making the package")
        # The caller's environment: it leads to the package index.
        subprocess.run([*CREATE, "--quiet", str(spec), str(package)], check=True)
    prefix, stock, stock_prefix = work / "environment", work / "stock.tar.gz", work / "stock"
    for path in (prefix, stock_prefix, work / "node"):
        path.mkdir()
    say("unpacking it, and packing it with conda-pack")
    subprocess.run(["tar", "-xf", package, "-C", prefix], check=True)
    subprocess.run([prefix / "bin/run_in_env"], check=True)
    conda_pack = [sys.executable, "-m", "conda_pack.cli", "--quiet", "--prefix", prefix, "--output", stock]
    subprocess.run(conda_pack, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["tar", "-xf", stock, "-C", stock_prefix], check=True)
    clean = {"PATH": f"{stock_prefix}/bin:{os.defpath}"}
    subprocess.run([stock_prefix / "bin/conda-unpack"], check=True, env=clean)
    files = [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    lock = json.loads((prefix / "poncho/lock.json").read_text())
    words = (
        f"{len(files)} files, {size / 1e6:.0f} MB, of {len(lock['pip'])} pip and {len(lock['conda'])} conda packages"
    )
    words += f"; packed {package.stat().st_size / 1e6:.0f} MB (ours), {stock.stat().st_size / 1e6:.0f} MB (conda-pack)"
    node = Node(work / "node", {"PONCHO_STORE": str(work / "node/store")})
    script = work / "two_lines"
    script.write_text(TWO_LINES)
    script.chmod(0o755)
    peer = arguments.peer.resolve() if arguments.peer else None
    return Ground(node, package, stock, prefix, stock_prefix, script, peer), words


def cold_section(ground: Ground, rounds: int) -> Section:
    """Time the first start of each way, each in a place of its own.

    Two things would measure the machine and not the runner, so they are kept out. Memory that a virtual machine has to get
    from its host costs seconds for a gigabyte, whoever writes: as much as is needed is used and freed before each start.
    And ext4 without a journal avoids the inodes that were deleted in the last minutes, one by one: nothing is deleted
    before the end, as long as there is room.
    """
    here = ground.node.directory
    there, store, done = here / "cold", here / "cold-store", here / "done"
    done.mkdir()
    size = sum(path.lstat().st_size for path in ground.environment.rglob("*"))

    def start(argv: Sequence[str]) -> float:
        if shutil.disk_usage(done).free < 4 * size:
            shutil.rmtree(done)
            done.mkdir()
        for path in (there, store):
            if path.exists():
                path.rename(done / f"{path.name}-{time.monotonic_ns()}")
        os.sync()
        memory = b"x" * (size + size // 4)
        del memory
        return ground.node.time([*argv, PROGRAM], environ={"PONCHO_STORE": str(store)})

    ways = ground.cold()
    cases = [Case(name, lambda argv=argv: start(argv)) for name, argv in ways.items()]
    rows = interleave(cases, rounds, last=1 if PEER in ways else 0)
    for path in (there, store, done):
        shutil.rmtree(path, ignore_errors=True)
    return Section("First start on a node", rows, against=STOCK, word="stock")


def warm_section(ground: Ground, rounds: int, at_once: int, small: bool) -> Section:
    """Time many short commands in an environment that is there, ``at_once`` of them at a time; per command."""
    tasks = 128 if at_once == 64 else 100
    if small:
        tasks = max(8, at_once)
    ways = {name: [*argv, PROGRAM] for name, argv in ground.warm().items()}
    for argv in ways.values():
        ground.node.time(argv)

    def each(argv: Sequence[str]) -> Callable[[], float]:
        if at_once == 1:
            return lambda: ground.node.time(argv)
        return lambda: ground.node.time_many([argv] * tasks, at_once) / tasks

    # Single runs are turned round one by one: then they all have the same share of what disturbs them.
    rows = interleave([Case(name, each(argv)) for name, argv in ways.items()], rounds * (tasks if at_once == 1 else 2))
    title = f"`true`, {tasks} of them, {at_once} at a time; for each" if at_once > 1 else "`true`, one at a time"
    return Section(title, rows, floor=BARE)


def summary(cold: Section, warm: Sequence[Section]) -> list[str]:
    """Return what the targets are compared with."""

    def row(section: Section, name: str) -> Row | None:
        return section.row(name)

    ours, stock = row(cold, OURS), row(cold, STOCK)
    assert ours is not None
    assert stock is not None
    lines = [
        f"Cold: {STOCK} takes {stock.best / ours.best:.1f} times as long as ours "
        f"(medians: {median(stock.seconds) / median(ours.seconds):.1f})."
    ]
    for section, at_once in zip(warm, AT_ONCE, strict=True):
        extra = {item.name: section.above_floor(item) or 0.0 for item in section.rows}
        line = f"Warm, {at_once} at a time: ours adds {extra[OURS] * 1000:.2f} ms (package), {extra[OURS_TO] * 1000:.2f} ms (-u)"
        line += f", {extra[OURS_DIRECTORY] * 1000:.2f} ms (directory)"
        line += f"; {SCRIPT}: {extra[SCRIPT] * 1000:.2f} ms"
        rest = [name for name in (PEER_TO, PEER_DIRECTORY, ACTIVATE) if name in extra]
        line += "; " + ", ".join(f"{name} {extra[name] / extra[OURS]:.0f} times that of our package" for name in rest)
        lines.append(line + ".")
    return lines


def plot(cold: Section, warm: Sequence[Section], path: Path) -> None:
    """Draw first starts in seconds and what each later one adds to a bare exec."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ink, ours, others = "#333333", "#1b7f79", "#b8b8b8"
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 4.2), layout="constrained")
    rows = sorted(cold.rows, key=lambda row: -row.best)
    colours = [ours if row.name.startswith("ours") else others for row in rows]
    bars = left.barh([row.name for row in rows], [row.best for row in rows], color=colours)
    left.bar_label(bars, [f"{row.best:.1f} s" for row in rows], padding=3, color=ink)
    left.set_title("First start on a node (seconds)", loc="left", color=ink)
    left.set_xlim(0, max(row.best for row in rows) * 1.15)
    names = [row.name for row in reversed(warm[0].rows) if row.name != BARE]
    height = 0.8 / len(warm)
    shades = (1.0, 0.65, 0.4)
    for number, (section, at_once) in enumerate(zip(warm, AT_ONCE, strict=True)):
        found = [section.row(name) for name in names]
        values = [max(0.0, 1000 * (section.above_floor(row) or 0)) for row in found if row is not None]
        places = [at + (1 - number) * height for at in range(len(names))]
        colours = [ours if name.startswith("ours") else "#808080" for name in names]
        bars = right.barh(places, values, height, color=colours, alpha=shades[number])
        labels = [f"{value:.2g}, {at_once} at a time" for value in values]
        right.bar_label(bars, labels, padding=3, fontsize=7, color=ink)
    right.set_yticks(range(len(names)), names)
    right.set_xlim(0, right.get_xlim()[1] * 1.2)
    right.set_title("Each later start: added to a bare exec (ms)", loc="left", color=ink)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=ink)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
