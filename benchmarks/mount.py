"""How long it takes until numpy is imported for the first time: from a mounted image, unpacked, and as it is done today.

    python benchmarks/mount.py [--rounds N] [--small] [--package FILE] [--json FILE]

Builds a package of more than a gigabyte as run_start.py does (or takes the one that is named), and one with numpy alone; writes a
squashfs image of each. Measures, in rounds that interleave, first starts on a node that has nothing but the package, and
later ones. Needs squashfs-tools, squashfuse, access to /dev/fuse, and 12 GB of disk in TMPDIR.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import CREATE, PIP, RUNNER, Case, Node, Section, as_json, interleave, machine, say, table
from run_start import BASH, FIRST_USE

STOCK = "tar -xzf, conda-unpack, activate"
LARGE, SMALL = "large", "numpy alone"
NUMPY = ["python", "-c", "import numpy"]


@dataclass(frozen=True)
class Packed:
    """One environment as our tarball, our image and conda-pack's tarball; ``size`` is that of its files in bytes."""

    tarball: Path
    image: Path
    stock: Path
    size: int


def main() -> None:
    """Measure and print."""
    arguments = parse()
    rounds = arguments.rounds or (1 if arguments.small else 7)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="poncho-benchmark-") as name:
        work = Path(name).resolve()
        given = arguments.package.resolve() if arguments.package else None
        found = {SMALL: prepare(work / "small", ["numpy"], None)}
        found[LARGE] = found[SMALL] if arguments.small else prepare(work / "large", PIP, given)
        for kind, packed in found.items():
            sizes = (packed.size, *(path.stat().st_size for path in (packed.tarball, packed.image, packed.stock)))
            words = "{:.0f} MB, packed {:.0f} (tar.gz), {:.0f} (squashfs), {:.0f} (conda-pack)"
            facts[kind] = words.format(*(size / 1e6 for size in sizes))
        (work / "node").mkdir()
        node = Node(work / "node", {"PONCHO_STORE": str(work / "node/store")})
        sections = [first(node, found, rounds), later(node, found, rounds)]
        forget(node.directory)
    print("# First imports, measured\n")
    print(f"{rounds} rounds, interleaved. " + ", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    print("\n".join(map(table, sections)))
    if arguments.json:
        arguments.json.write_text(as_json(sections, facts))


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is measured (default: 7; --small: 1)")
    parser.add_argument("--small", action="store_true", help="only the small environment, once: does it work at all?")
    parser.add_argument(
        "--package", type=Path, metavar="FILE", help="one of our tarballs, instead of making the large one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all single times there")
    return parser.parse_args()


def prepare(work: Path, pip: Sequence[str], given: Path | None) -> Packed:
    """Make the three packages of one environment."""
    (work / "prefix").mkdir(parents=True)
    tarball = given or work / "ours.tar.gz"
    if given is None:
        say(f"making a package of {len(pip)} requirements")
        (work / "spec.json").write_text(json.dumps({"python": f"3.{sys.version_info[1]}", "pip": list(pip)}))
        subprocess.run([*CREATE, "--quiet", str(work / "spec.json"), str(tarball)], check=True)
    prefix, image, stock = work / "prefix", work / "ours.squashfs", work / "stock.tar.gz"
    subprocess.run(["tar", "-xf", tarball, "-C", prefix], check=True)
    subprocess.run([prefix / "bin/run_in_env"], check=True)
    say("packing it as an image, and with conda-pack")
    subprocess.run([*CREATE, "--quiet", str(prefix), str(image)], check=True)
    conda_pack = [sys.executable, "-m", "conda_pack.cli", "--quiet", "--prefix", prefix, "--output", stock]
    subprocess.run(conda_pack, check=True, stderr=subprocess.DEVNULL)
    size = sum(path.lstat().st_size for path in prefix.rglob("*") if path.is_file() and not path.is_symlink())
    shutil.rmtree(prefix)
    return Packed(tarball, image, stock, size)


def forget(directory: Path) -> None:
    """Take away what is mounted below a directory."""
    for line in Path("/proc/mounts").read_text().splitlines():
        where = line.split()[1]
        if where.startswith(f"{directory}/"):
            lazily = ["fusermount3", "-u", "-z"] if shutil.which("fusermount3") else ["umount", "-l"]
            subprocess.run([*lazily, where], check=True)


def first(node: Node, found: dict[str, Packed], rounds: int) -> Section:
    """Time first starts. Where nothing is deleted in between, for the reasons that run_start.py gives."""
    here = node.directory
    there, store, done = here / "cold", here / "cold-store", here / "done"
    done.mkdir()

    def start(argv: Sequence[str], size: int) -> Callable[[], float]:
        def run() -> float:
            forget(here)
            if shutil.disk_usage(done).free < 4 * size:
                shutil.rmtree(done)
                done.mkdir()
            for path in (there, store):
                if path.exists():
                    path.rename(done / f"{path.name}-{time.monotonic_ns()}")
            memory = b"x" * (size + size // 4)
            del memory
            return node.time([*argv, *NUMPY], environ={"PONCHO_STORE": str(store)})

        return run

    cases = []
    for kind, packed in found.items():
        image = str(packed.image)
        ways = {
            f"{kind}: mounted": [RUNNER, "-e", image, "--"],
            f"{kind}: image, unpacked": [RUNNER, "--no-mount", "-e", image, "--"],
            f"{kind}: tar.gz, unpacked": [RUNNER, "-e", str(packed.tarball), "--"],
            STOCK if kind == LARGE else f"{kind}: {STOCK}": [
                BASH,
                "-c",
                FIRST_USE,
                "bash",
                str(packed.stock),
                str(there),
            ],
        }
        cases += [Case(name, start(argv, packed.size)) for name, argv in ways.items()]
    rows = interleave(cases, rounds, rotate=False)
    forget(here)
    for path in (there, store, done):
        shutil.rmtree(path, ignore_errors=True)
    return Section("First start on a node, with `import numpy`", rows, against=STOCK, word="stock")


def later(node: Node, found: dict[str, Packed], rounds: int) -> Section:
    """Time starts in environments that are there: still mounted, mounted again, unpacked."""
    packed = found[LARGE]
    stores = {name: {"PONCHO_STORE": str(node.directory / name)} for name in ("mounted", "unpacked")}
    image, tarball = [RUNNER, "-e", str(packed.image), "--"], [RUNNER, "-e", str(packed.tarball), "--"]
    true = [shutil.which("true") or "/bin/true"]
    node.time([*image, *true], environ=stores["mounted"])
    node.time([*tarball, *true], environ=stores["unpacked"])
    python = next((node.directory / "unpacked").glob("[0-9a-f]*/bin/python3"))

    def again() -> float:
        forget(node.directory)
        return node.time([*image, *true], environ=stores["mounted"])

    numpy = NUMPY[1:]
    cases = [
        Case("`true`, bare", lambda: node.time(true), 10),
        Case("`true`, unpacked", lambda: node.time([*tarball, *true], environ=stores["unpacked"]), 10),
        Case("`true`, mounted", lambda: node.time([*image, *true], environ=stores["mounted"]), 10),
        Case("`true`, to be mounted again", again),
        Case("import numpy, bare", lambda: node.time([str(python), *numpy]), 5),
        Case("import numpy, unpacked", lambda: node.time([*tarball, "python", *numpy], environ=stores["unpacked"]), 5),
        Case("import numpy, mounted", lambda: node.time([*image, "python", *numpy], environ=stores["mounted"]), 5),
    ]
    if found[LARGE] is not found[SMALL]:
        heavy = ["python", "-c", "import numpy, scipy.stats, pandas, pyarrow, matplotlib.pyplot, sklearn.ensemble"]
        for name, where, argv in (
            ("unpacked", "unpacked", tarball),
            ("mounted, the first in this mount", "mounted", image),
            ("mounted, again", "mounted", image),
        ):
            cases.append(
                Case(
                    f"import of six large packages, {name}",
                    lambda argv=argv, where=where: node.time([*argv, *heavy], environ=stores[where]),
                )
            )
    return Section("Later starts in the large one", interleave(cases, rounds, rotate=False))


if __name__ == "__main__":
    main()
