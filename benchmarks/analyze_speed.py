"""How fast programs are analysed: ours beside what there is. Prints tables in Markdown.

    python benchmarks/analyze_speed.py [--rounds N] [--files N] [--tree DIR] [--json FILE] [--small]

Copies packages of the running interpreter (those whose files are nearest to 13 kB on average) until there are 5,000
files, and analyses the tree: with an empty cache, again, and again after one file was changed. The others (ruff analyze
graph, fawltydeps, deptry, pipreqs; from the Python package index, in a virtual environment of their own) read the same
tree in the same rounds. They do less: they list imports, or draw the graph; none of them follows conditions.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from measure import CHECKOUT, duration, machine, say

PEERS = ("ruff", "fawltydeps", "deptry", "pipreqs")
FILES, BYTES = 5000, 13_000
WHOLE = "import sys; sys.path.insert(0, sys.argv[2]); from poncho.analysis import analyze; analyze(sys.argv[1], strict=False)"
PLAIN = """
import ast, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            pass
"""
COLD, WARM, CHANGED = "ours, empty cache", "ours, again", "ours, again, one file changed"
SCRIPT = "import argparse\nimport numpy as np\n\nprint(np.arange(3))\n"


@dataclass
class Case:
    """A command, what is done before it is timed, and its times: wall seconds and seconds of processors."""

    name: str
    argv: Sequence[str]
    before: Callable[[], None] = lambda: None
    wall: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--tree", type=Path, help="a directory to analyse instead")
    parser.add_argument("--json", type=Path, help="every single time goes to this file")
    parser.add_argument("--small", action="store_true", help="nothing that counts: 200 files, one round, no others")
    arguments = parser.parse_args()
    count, rounds = (200, 1) if arguments.small else (arguments.files, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="poncho-benchmark-") as name:
        directory = Path(name).resolve()
        files, size = gather(directory / "tree", count, arguments.tree)
        cases = [*ours(directory), *([] if arguments.small else peers(directory))]
        script = directory / "script.py"
        script.write_text(SCRIPT)
        alone = Case("poncho_package_analyze script.py -", [*command(), str(script), "-"])
        measure([*cases, alone], rounds, directory)
    facts = machine() | {"files": files, "bytes on average": round(size / files)}
    print("# Analysing, measured\n")
    print(f"{rounds} rounds, interleaved. " + ", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    print(table(cases, files))
    print(
        f"`{alone.name}` on a script of four lines: {duration(min(alone.wall))} (median {duration(median(alone.wall))})"
    )
    if arguments.json:
        rows = [{"name": case.name, "wall": case.wall, "work": case.work} for case in (*cases, alone)]
        arguments.json.write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n")


def gather(target: Path, count: int, tree: Path | None) -> tuple[int, int]:
    """Copy what is to be analysed; return how many files and bytes that is."""
    if tree:
        shutil.copytree(tree, target, ignore=lambda _, names: [name for name in names if name == "__pycache__"])
        found = list(target.rglob("*.py"))
        return len(found), sum(path.stat().st_size for path in found)
    target.mkdir()
    packages: list[tuple[float, Path, list[Path]]] = []
    for root in dict.fromkeys(sysconfig.get_path(which) for which in ("stdlib", "purelib", "platlib")):
        for package in sorted(Path(root).iterdir()):
            if (package / "__init__.py").is_file():
                files = sorted(package.rglob("*.py"))
                average = sum(path.stat().st_size for path in files) / len(files)
                packages.append((abs(average - BYTES), package, files))
    copied = size = 0
    for _, package, files in sorted(packages, key=lambda one: one[:2]):
        for path in files[: count - copied]:
            to = target / package.name / path.relative_to(package)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
            copied, size = copied + 1, size + path.stat().st_size
    return copied, size


def command() -> list[str]:
    """Return our command."""
    return [sys.executable, str(CHECKOUT / "bin" / "poncho_package_analyze")]


def ours(directory: Path) -> list[Case]:
    """Return our cases; they run in this order."""
    tree, cache = directory / "tree", directory / "cache"
    argv = [sys.executable, "-c", WHOLE, str(tree), str(CHECKOUT)]
    one = max(tree.rglob("*.py"), key=lambda path: path.stat().st_size)

    def change() -> None:
        with one.open("a") as stream:
            stream.write(f"import changed_{time.time_ns()}\n")

    return [
        Case(COLD, argv, lambda: shutil.rmtree(cache, ignore_errors=True)),
        Case(WARM, argv, lambda: time.sleep(2.1)),  # what is younger than two seconds is compared by content
        Case(CHANGED, argv, change),
        Case("ast.parse and ast.walk, nothing else", [sys.executable, "-W", "ignore", "-c", PLAIN, str(tree)]),
    ]


def peers(directory: Path) -> list[Case]:
    """Install the others and return their cases."""
    say("installing the others")
    home = directory / "peers"
    venv.create(home, with_pip=True)
    subprocess.run([home / "bin" / "pip", "install", "-q", *PEERS], check=True, stdout=sys.stderr)
    tree, bin_ = str(directory / "tree"), home / "bin"
    (directory / "tree" / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = []\n')

    def forget() -> None:
        shutil.rmtree(directory / "tree" / ".ruff_cache", ignore_errors=True)

    ways = {
        "ruff analyze graph": ["ruff", "analyze", "graph", tree],
        "fawltydeps --list-imports": ["fawltydeps", "--list-imports", "--code", tree],
        "deptry": ["deptry", tree, "--config", f"{tree}/pyproject.toml"],
        "pipreqs --use-local": ["pipreqs", "--print", "--use-local", "--mode", "no-pin", tree],
    }
    return [Case(name, [str(bin_ / argv[0]), *argv[1:]], forget) for name, argv in ways.items()]


def measure(cases: Sequence[Case], rounds: int, directory: Path) -> None:
    """Run each case once in each round."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    env["PONCHO_CACHE_DIR"] = str(directory / "cache")
    for number in range(rounds):
        for case in cases:
            case.before()
            say(f"round {number + 1} of {rounds}: {case.name}")
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            # Some say by their status that they have found something.
            done = subprocess.run(case.argv, env=env, cwd=directory / "tree", capture_output=True, check=False)
            case.wall.append(time.perf_counter() - began)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            case.work.append(after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime)
            if done.returncode not in (0, 1) or (done.returncode and case.argv[0] == sys.executable):
                sys.exit(f"{case.name}: status {done.returncode}\n{done.stderr.decode(errors='replace')[-2000:]}")


def table(cases: Sequence[Case], files: int) -> str:
    """Return what was measured as a Markdown table."""
    head = ["", "files / s of one core", "files / s", "minimum", "median"]
    rows: list[list[Any]] = [
        [
            case.name,
            f"{files / min(case.work):,.0f}",
            f"{files / min(case.wall):,.0f}",
            duration(min(case.wall)),
            duration(median(case.wall)),
        ]
        for case in cases
    ]
    lines = [head, ["---", *["---:"] * 4], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
