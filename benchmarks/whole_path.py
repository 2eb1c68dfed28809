"""The whole path beside what there is today: create, pack, run. Prints tables in Markdown; progress goes to stderr.

    python benchmarks/whole_path.py [--rounds N] [--quick] [--json FILE] [--peer-runner PATH]

Builds an environment of numpy, pandas, scipy and matplotlib from the Python package index with our command; packs it with
ours and with conda-pack; runs two short commands in it with our runner and as it is done today, where each task unpacks
the package for itself, relocates and activates it, runs, and deletes it. Needs about 4 GB of disk in TMPDIR.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from measure import CREATE, RUNNER, Case, Node, Section, as_json, interleave, machine, say, table

TODAY = "today's way: unpack, conda-unpack, activate, run, delete"
CONDA_PACK = "conda-pack, as it comes (1 thread)"

# What the runner that this project replaces does for each task unless it is told otherwise.
UNPACK_PER_TASK = """
set -e
package=$1
shift
directory=$(mktemp -d "$TMPDIR/task-XXXXXX")
trap 'rm -rf "$directory"' EXIT
tar -xf "$package" -C "$directory"
PATH=$directory/bin:$PATH
"$directory/bin/conda-unpack"
. "$directory/bin/activate" ""
"$@"
"""


@dataclass(frozen=True)
class Plan:
    """How much to do: ``pip`` is what the environment has, ``added`` the one small package that comes to it."""

    rounds: int
    pip: tuple[str, ...] = ("numpy", "pandas", "scipy", "matplotlib")
    added: str = "tabulate"
    imported: str = "numpy"
    repeat: int = 10
    tasks: int = 40
    at_once: int = 8

    def spec(self, *more: str) -> str:
        """Return the spec of the environment, with ``more`` pip packages in it."""
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return json.dumps({"python": python, "pip": [*self.pip, *more]})


def main() -> None:
    """Measure and print."""
    arguments = parse()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    plan = Plan(rounds)
    if arguments.quick:
        plan = replace(plan, pip=("six",), imported="six", repeat=2, tasks=8)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="poncho-benchmark-") as name:
        work = Path(name).resolve()
        sections = [create_section(plan, work)]
        facts["environment"] = environment(work / "env.tar.gz", work / "prefix")
        sections.append(pack_section(plan, work))
        sections += run_sections(plan, work, arguments.peer_runner)
    if arguments.json:
        arguments.json.write_text(as_json(sections, facts))
    print("# The whole path, measured\n")
    print(f"{rounds} rounds, interleaved. " + ", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    print("\n".join(map(table, sections)), end="")


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is measured (default: 5; --quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a small environment, few runs: does it work at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all single times there")
    parser.add_argument(
        "--peer-runner", type=Path, metavar="PATH", help="another poncho_package_run to run beside ours"
    )
    return parser.parse_args()


def environment(package: Path, prefix: Path) -> str:
    """Unpack ``package`` as a conda environment at ``prefix``; return in words what is in it."""
    prefix.mkdir()
    subprocess.run(["tar", "-xf", str(package), "-C", str(prefix)], check=True)
    subprocess.run([str(prefix / "bin" / "conda-unpack")], check=True)
    list_bytecode(prefix)
    lock = json.loads((prefix / "poncho" / "lock.json").read_text())
    files = [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files) / 1e6
    packages = " ".join(f"{item['name']}={item['version']}" for item in (*lock["conda"], *lock["pip"]))
    return f"{len(files)} files of {size:.0f} MB ({packages})"


def list_bytecode(prefix: Path) -> None:
    """Add the standard library's bytecode to the list of files of the conda package that Python came in.

    Those of the conda channels have it there. What is not listed conda-pack leaves out, which would make its package
    smaller and the first import of each task slower than they are in the field.
    """
    for record in prefix.glob("conda-meta/*.json"):
        data = json.loads(record.read_text())
        listed = set(data["files"])
        for name in data["files"]:
            if name.endswith(".py"):
                directory, _, module = name.rpartition("/")
                compiled = (prefix / directory / "__pycache__").glob(f"{module[:-3]}.*.pyc")
                listed.update(path.relative_to(prefix).as_posix() for path in compiled)
        record.write_text(json.dumps(data | {"files": sorted(listed)}))


def create_section(plan: Plan, work: Path) -> Section:
    """Time our create: from nothing but downloads, again, and with one package more. Leaves ``work/env.tar.gz``."""
    spec, more, package = work / "spec.json", work / "more.json", work / "env.tar.gz"
    spec.write_text(plan.spec())
    more.write_text(plan.spec(plan.added))
    downloads, cache = work / "poncho-downloads", work / "poncho-cache"

    def create(source: Path, cache: Path) -> float:
        # The caller's environment: it leads to the package index.
        variables = dict(os.environ) | {"PONCHO_CACHE_DIR": str(cache)}
        return Node(work, variables).time([*CREATE, "--quiet", str(source), str(package)], environ=variables)

    def first() -> float:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(downloads / "pip", cache / "pip", symlinks=True)
        return create(spec, cache)

    say("downloading")
    create(more, downloads)
    cases = [
        Case("first: nothing cached but the downloads", first),
        Case("again: nothing changed", lambda: create(spec, cache)),
        Case(f"again: {plan.added} added", lambda: create(more, cache)),
    ]
    rows = interleave(cases, plan.rounds, rotate=False)
    for leftover in (downloads, cache):
        shutil.rmtree(leftover)
    return Section(
        "Create, from a spec",
        rows,
        against=cases[0].name,
        word="first",
        remark="The whole command: solve, install, pip, compile, pack. Downloaded wheels are there (in uv's cache below "
        "`PONCHO_CACHE_DIR`, which is empty otherwise at the first); the package index is asked each time.",
    )


def pack_section(plan: Plan, work: Path) -> Section:
    """Time packing the same prefix with ours and with conda-pack. Leaves ``work/conda-pack.tar.gz``."""
    prefix, node = str(work / "prefix"), Node(work, dict(os.environ) | {"PONCHO_CACHE_DIR": str(work / "poncho-cache")})
    outputs: dict[str, Path] = {}

    def case(name: str, output: str, *argv: str) -> Case:
        target = outputs[name] = work / output

        def run() -> float:
            target.unlink(missing_ok=True)
            return node.time([*argv, str(target)])

        return Case(name, run)

    conda_pack = [sys.executable, "-m", "conda_pack.cli", "--quiet", "--prefix", prefix]
    threads = str(len(os.sched_getaffinity(0)))
    cases = [
        case("ours, as it comes (all cores)", "ours.tar.gz", *CREATE, "--quiet", prefix),
        case("ours, --level 6", "ours-6.tar.gz", *CREATE, "--quiet", "--level", "6", prefix),
        case(
            "ours, --level 6 --threads 1", "ours-1.tar.gz", *CREATE, "--quiet", "--level", "6", "--threads", "1", prefix
        ),
        case(CONDA_PACK, "conda-pack.tar.gz", *conda_pack, "--output"),
        case(f"conda-pack, --n-threads {threads}", "threads.tar.gz", *conda_pack, "--n-threads", threads, "--output"),
    ]
    rows = interleave(cases, plan.rounds)
    rows = [replace(row, size=outputs[row.name].stat().st_size) for row in rows]
    return Section("Pack an environment that exists", rows, against=CONDA_PACK, word="conda-pack")


def run_sections(plan: Plan, work: Path, peer: Path | None) -> list[Section]:
    """Time commands in the environment, every way that there is."""
    home = work / "node"
    home.mkdir()
    node = Node(home, {"PONCHO_STORE": str(home / "store")})
    package, today, directory = str(work / "ours.tar.gz"), str(work / "conda-pack.tar.gz"), str(work / "prefix")
    ways = {
        "the environment's python, bare": [],
        "ours, warm, package": [RUNNER, "-e", package, "--"],
        "ours, warm, package with -u DIR": [RUNNER, "-e", package, "-u", str(home / "ours"), "--"],
        "ours, directory": [RUNNER, "-e", directory, "--"],
    }
    if peer:
        runner = str(peer.resolve())
        ways["peer's runner, warm, package with -u DIR"] = [runner, "-e", today, "-u", str(home / "peer"), "--"]
        ways["peer's runner, directory"] = [runner, "-e", directory, "--"]

    def warm(way: str, code: str, tasks: int = 1) -> Case:
        argv = [*ways[way], "python" if ways[way] else f"{directory}/bin/python", "-c", code]
        if tasks > 1:
            return Case(way, lambda: node.time_many([argv] * tasks, plan.at_once))
        return Case(way, lambda: node.time(argv), plan.repeat)

    def cold(code: str) -> Case:
        store = home / "cold"

        def run() -> float:
            shutil.rmtree(store, ignore_errors=True)
            return node.time([RUNNER, "-e", package, "--", "python", "-c", code], environ={"PONCHO_STORE": str(store)})

        return Case("ours, cold: the first task on a node", run)

    def every_time(name: str, *argv: str) -> Case:
        return Case(name, lambda: node.time(argv))

    def cases(code: str) -> list[Case]:
        found = [*(warm(way, code) for way in ways), cold(code)]
        found.append(every_time(TODAY, "bash", "-c", UNPACK_PER_TASK, "task", today, "python", "-c", code))
        if peer:
            found.append(every_time("peer's runner, as it comes", runner, "-e", today, "--", "python", "-c", code))
        return found

    for way in ways:
        warm(way, f"import {plan.imported}").run()
    floor = next(iter(ways))
    sections = [
        Section(f"Run `python -c '{code}'`", interleave(cases(code), plan.rounds), against=TODAY, floor=floor)
        for code in ("pass", f"import {plan.imported}")
    ]
    rows = interleave([warm(way, "pass", plan.tasks) for way in ways], plan.rounds)
    title = f"{plan.tasks} tasks `python -c pass`, {plan.at_once} at a time, warm"
    return [*sections, Section(title, rows, floor=floor)]


if __name__ == "__main__":
    main()
