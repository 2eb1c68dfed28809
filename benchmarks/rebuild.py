"""What it costs to build again when one small pip package has changed. Prints tables in Markdown; progress goes to stderr.

    python benchmarks/rebuild.py [--rounds N] [--small] [--json FILE]

Builds an environment of more than a gigabyte from wheels of the Python package index and one small package of its own,
from empty caches; then again and again with another version of that package, one that no cache has seen. Beside it
conda-pack packs the same environment. That a rebuild gives the bytes of a build from empty caches is checked each time.
Needs 10 GB in TMPDIR.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from measure import CHECKOUT, CREATE, PIP, Case, Node, Row, Section, as_json, interleave, machine, say, table

OURS = "small-package-of-the-benchmark"
EMPTY = "from empty caches"
DOWNLOADED = "from nothing but the downloaded wheels"
CHANGED = "again: one small pip package changed"
SAME = "again: nothing changed"
STOCK = "conda-pack, as it comes (1 thread)"
STOCK_2 = "conda-pack, --n-threads 2"

# The library's create, as the command calls it; the third argument gets the seconds of each step.
TIMED = """
import json, sys, time
from poncho.builder import create
spec, output, times = sys.argv[1:]
began, spent = {}, {}
def note(event):
    if event.kind == "start":
        began[event.step] = time.perf_counter()
    elif event.kind == "done" and event.step in began:
        spent[event.step] = time.perf_counter() - began[event.step]
create(spec, output, reporter=note)
json.dump(spent, open(times, "w"))
"""


@dataclass
class Ground:
    """Where it happens. ``version`` is the newest of our small package; ``made`` the sha256 of packages by version."""

    work: Path
    pip: tuple[str, ...]
    version: int = 0
    made: dict[int, str] = field(default_factory=dict)
    compared: int = 0
    different: int = 0

    @property
    def cache(self) -> Path:
        """Return the builder's cache."""
        return self.work / "poncho"

    @property
    def package(self) -> Path:
        """Return what is built."""
        return self.work / "env.tar.gz"

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables of the builds: the caller's, which lead to the index, and ours."""
        found = {"PONCHO_CACHE_DIR": str(self.cache), "PIP_FIND_LINKS": str(self.work / "wheels")}
        return {**os.environ, **found, "PYTHONPATH": str(CHECKOUT)}

    def spec(self) -> str:
        """Write the spec with the newest version of the small package; return its path."""
        path = self.work / "spec.json"
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        path.write_text(json.dumps({"python": python, "pip": [*self.pip, f"{OURS}=={self.version}"]}))
        return str(path)

    def change(self) -> None:
        """Publish a version of the small package that no cache has seen."""
        self.version += 1
        write_wheel(self.work / "wheels", self.version)

    def create(self) -> float:
        """Run the command and return its seconds."""
        spec = self.spec()
        self.package.unlink(missing_ok=True)
        seconds = Node(self.work, self.environ).time(
            [*CREATE, "--quiet", spec, str(self.package)], environ=self.environ
        )
        self.note()
        return seconds

    def note(self) -> None:
        """Compare what was built with what was built of the same spec before."""
        state = hashlib.sha256()
        with self.package.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                state.update(chunk)
        digest = state.hexdigest()
        if self.version in self.made:
            self.compared += 1
            self.different += digest != self.made[self.version]
        self.made[self.version] = digest

    def from_empty(self) -> float:
        """Build from empty caches: the interpreter is repackaged, all is downloaded, compiled and compressed."""
        shutil.rmtree(self.cache, ignore_errors=True)
        return self.create()

    def from_downloads(self) -> float:
        """Build from a cache that holds the wheels, unpacked, and nothing else; then bring the whole cache back."""
        whole = self.cache.rename(self.work / "whole")
        shutil.copytree(whole / "pip", self.cache / "pip", symlinks=True)
        seconds = self.create()
        shutil.rmtree(self.cache)
        whole.rename(self.cache)
        return seconds

    def changed(self) -> float:
        """Build with another version of the small package."""
        self.change()
        return self.create()

    def changed_and_timed(self) -> float:
        """Build with yet another version, and return the seconds of the packing in it."""
        self.change()
        self.package.unlink()  # as for the others: deleting what was there before takes a tenth of a second
        times = self.work / "times.json"
        argv = [sys.executable, "-c", TIMED, self.spec(), str(self.package), str(times)]
        Node(self.work, self.environ).time(argv, environ=self.environ)
        self.note()
        return float(json.loads(times.read_text())["pack"])

    def stock(self, *more: str) -> float:
        """Pack the same environment with conda-pack."""
        output = self.work / "stock.tar.gz"
        output.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "conda_pack.cli", "-p", str(self.work / "prefix"), "-o", str(output), "-q"]
        return Node(self.work).time([*argv, "--ignore-missing-files", *more])


def main() -> None:
    """Measure and print."""
    arguments = parse()
    rounds = arguments.rounds or (1 if arguments.small else 3)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="poncho-benchmark-") as name:
        ground = Ground(Path(name).resolve(), ("idna", "packaging") if arguments.small else PIP)
        ground.change()
        whole, packing = measured(ground, rounds, facts)
        # The last rebuild has nothing to be compared with yet.
        say("the last rebuild beside a build from empty caches")
        ground.from_empty()
    print("# Building again, measured\n")
    print(f"{rounds} rounds, interleaved. " + ", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    print(table(whole))
    print(table(packing))
    print("\n".join(summary(whole, packing)))
    same = not ground.different
    print(
        f"{ground.compared} packages compared; each byte-identical to another build of it: {'yes' if same else 'NO'}."
    )
    if arguments.json:
        arguments.json.write_text(as_json([whole, packing], facts))
    if not same:
        sys.exit(1)


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is measured (default: 3; --small: 1)")
    parser.add_argument("--small", action="store_true", help="a small environment, once: does it work at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all single times there")
    return parser.parse_args()


def measured(ground: Ground, rounds: int, facts: dict[str, object]) -> tuple[Section, Section]:
    """Measure all: the whole command, and the packing in it beside conda-pack."""
    say("making the environment that conda-pack packs")
    prefix = ground.work / "prefix"
    subprocess.run([*CREATE, "--quiet", ground.spec(), f"{prefix}/"], check=True, env=ground.environ)
    files = [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    facts["environment"] = f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB"

    # Each round's build from empty caches is of the version that the last rebuild was of: so they can be compared.
    cases = [
        Case(EMPTY, ground.from_empty),
        Case(DOWNLOADED, ground.from_downloads),
        Case(STOCK, ground.stock),
        Case(STOCK_2, lambda: ground.stock("--n-threads", "2")),
        Case(CHANGED, ground.changed),
        Case(SAME, ground.create),
        Case(f"{CHANGED} (packing)", ground.changed_and_timed),
    ]
    rows = {row.name: row for row in interleave(cases, rounds, rotate=False)}
    whole = [rows[name] for name in (EMPTY, DOWNLOADED, CHANGED, SAME)]
    ours = Row("ours, " + CHANGED, rows[f"{CHANGED} (packing)"].seconds)
    return (
        Section("Create, the whole command", whole, against=EMPTY, word="empty"),
        Section("The packing in it", [rows[STOCK], rows[STOCK_2], ours], against=STOCK, word="conda-pack"),
    )


def summary(whole: Section, packing: Section) -> list[str]:
    """Return the comparisons in words."""
    changed, ours = whole.row(CHANGED), packing.rows[-1]
    assert changed is not None
    return [
        f"- A rebuild with one small pip package changed takes 1/{whole.ratio(changed):.3g} of a build from empty caches.",
        f"- The packing in it is {packing.ratio(ours):.3g} times as fast as conda-pack's default on the same environment.",
        "",
    ]


def write_wheel(folder: Path, version: int) -> None:
    """Write a wheel of the small package: ten modules, one of them changed in each version."""
    folder.mkdir(exist_ok=True)
    name = OURS.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    content = {f"{name}/part{number}.py": f"def part():\n    return {number}\n" * 50 for number in range(10)}
    content |= {
        f"{name}/__init__.py": f"version = {version}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {OURS}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: benchmark\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={record_digest(text)},{len(text)}\n" for path, text in content.items()]
    content[f"{info}/RECORD"] = "".join(lines) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)


def record_digest(text: str) -> str:
    """Return a sha256 as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main()
