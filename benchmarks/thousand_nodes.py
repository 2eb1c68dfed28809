"""A thousand nodes start 64 tasks each from one package: what the shared storage is asked for, and how long it takes.

    python benchmarks/thousand_nodes.py measure --package A.tar.gz --newer B.tar.gz [--image A.squashfs] --json FACTS
    python benchmarks/thousand_nodes.py simulate --json FACTS [--plot FILE.png] [--nodes N] [--nfs-ops N] …

``measure`` runs the real runner, tar and Python on this machine under strace and counts the system calls and bytes that
concern one directory, which stands for the shared file system. ``simulate`` is a model: each parameter is an option.
Only what ``measure`` wrote is measured; see docs/scale.md.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import http.server
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

RUNNER = Path(__file__).resolve().parent.parent / "bin/poncho_package_run"
PROGRAM = "import numpy, pandas, scipy.stats, matplotlib.pyplot"
CLEAN = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C", "MPLCONFIGDIR": "/tmp"}


# --- measured


@dataclass
class Counts:
    """Calls that name or hold open something on the shared directory; ``bytes`` read from files there.

    ``bytes`` are those of read calls; of files that are mapped, their size, once each: what a first task draws at most.
    """

    opens: int = 0
    failed_opens: int = 0
    stats: int = 0
    others: int = 0
    bytes: int = 0

    @property
    def operations(self) -> int:
        return self.opens + self.failed_opens + self.stats + self.others


def count(log: Path, shared: str) -> Counts:
    """Return what a log of ``strace -f -y`` says of the paths below ``shared``."""
    found = Counts()
    mapped: set[str] = set()
    begun: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        process = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[process] = line.removesuffix("<unfinished ...>")
            continue
        if "resumed>" in line:
            line = begun.pop(process, "") + line.partition("resumed>")[2]
        if f'"{shared}' not in line and f"<{shared}" not in line:
            continue
        match = re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line)
        call = match[1] if match else ""
        result = re.search(r"= (-?\d+)(?:<[^>]*>)?(?: \w+ \(.*\))?$", line)
        value = int(result[1]) if result else 0
        if call in ("open", "openat"):
            if value < 0:
                found.failed_opens += 1
            else:
                found.opens += 1
        elif call in (
            "stat",
            "lstat",
            "newfstatat",
            "statx",
            "access",
            "faccessat",
            "faccessat2",
            "readlink",
            "readlinkat",
        ):
            found.stats += 1
        elif call in ("read", "pread64", "readv", "preadv", "sendfile", "copy_file_range"):
            found.bytes += max(value, 0)
        elif call == "mmap":
            path = re.search(rf"<({re.escape(shared)}[^>]*)>", line)
            if path and path[1] not in mapped:
                mapped.add(path[1])
                found.bytes += os.path.getsize(path[1]) if os.path.exists(path[1]) else 0
        elif call in ("execve", "getdents64", "chdir", "mkdir", "unlink", "rename", "mount"):
            found.others += 1
    return found


class Bench:
    """A directory that stands for the shared file system, one that is the node's, and a package on the first."""

    def __init__(self, scratch: Path, package: Path) -> None:
        self.scratch, self.shared, self.node = scratch, scratch / "shared", scratch / "node"
        self.shared.mkdir()
        self.node.mkdir()
        self.package = Path(shutil.copy(package, self.shared / "env.tar.gz"))

    def env(self, store: str) -> dict[str, str]:
        return {**CLEAN, "PONCHO_STORE": str(self.node / store)}

    def traced(self, store: str, *argv: object) -> Counts:
        log = self.scratch / "strace.log"
        calls = "trace=%file,%desc"
        command = ["strace", "-f", "-y", "-s", "0", "-e", calls, "-o", str(log), *map(str, argv)]
        subprocess.run(command, env=self.env(store), check=True, stdout=subprocess.DEVNULL)
        return count(log, str(self.shared))

    def timed(self, store: str, *argv: object) -> float:
        begin = time.perf_counter()
        subprocess.run([*map(str, argv)], env=self.env(store), check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin

    def cpu(self, store: str, *argv: object) -> float:
        """Return the seconds of processors that it takes, of all its processes."""
        before = os.times()
        subprocess.run([*map(str, argv)], env=self.env(store), check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system


PER_TASK = 'mkdir -p "$2" && tar -xzf "$1" -C "$2" && "$2/bin/conda-unpack" && "$2/bin/python" -c "$3"'


def measure(package: Path, newer: Path, image: Path | None, rounds: int) -> dict[str, Any]:
    """Return all that ``simulate`` needs; bytes, seconds, numbers of calls."""
    with tempfile.TemporaryDirectory(prefix="thousand-") as scratch:
        bench = Bench(Path(scratch), package)
        run = (RUNNER, "-e")
        python = ("--", "python", "-c", PROGRAM)
        pinned = f"file://{bench.package}#sha256={hashlib.sha256(package.read_bytes()).hexdigest()}"
        facts: dict[str, Any] = {
            "package_bytes": package.stat().st_size,
            "program": PROGRAM,
            "counts": {},
            "seconds": {},
        }
        counts, seconds = facts["counts"], facts["seconds"]
        direct = bench.shared / "env"
        subprocess.run([RUNNER, "-e", package, "-u", direct], env=bench.env("other"), check=True)
        facts["unpacked_bytes"] = sum(p.lstat().st_size for p in direct.rglob("*") if not p.is_dir())
        facts["files"] = sum(1 for p in direct.rglob("*") if not p.is_dir())
        counts["environment on the shared file system, each task"] = bench.traced(
            "x", direct / "bin/python", "-c", PROGRAM
        )
        counts["unpacked by each task, each task"] = bench.traced(
            "x", "sh", "-c", PER_TASK, "sh", bench.package, bench.node / "task", PROGRAM
        )
        shutil.rmtree(bench.node / "task")
        counts["runner, path, first task of a node"] = bench.traced("path", *run, bench.package, *python)
        counts["runner, path, each later task"] = bench.traced("path", *run, bench.package, *python)
        counts["runner, URL with digest, first task of a node"] = bench.traced("url", *run, pinned, *python)
        counts["runner, URL with digest, each later task"] = bench.traced("url", *run, pinned, *python)
        if image:
            counts.update(_image(bench, image))
        # Whatever the machine does besides: the least of some rounds.
        best: dict[str, list[float]] = {}
        for number in range(rounds):
            task = bench.node / f"task{number}"
            bare = (direct / "bin/python", "-c", PROGRAM)
            best.setdefault("import, warm", []).append(bench.timed("x", *bare))
            best.setdefault("import, processor", []).append(bench.cpu("x", *bare))
            argv = ("sh", "-c", PER_TASK, "sh", bench.package, task, "pass")
            best.setdefault("unpack by tar, processor", []).append(bench.cpu("x", *argv))
            shutil.rmtree(task)
            store = f"cold{number}"
            best.setdefault("first start by the runner, processor", []).append(
                bench.cpu(store, *run, bench.package, "--", "true")
            )
            shutil.rmtree(bench.node / store)
            for name, what in (("path", bench.package), ("url", pinned)):
                best.setdefault(f"later start, {name}", []).extend(
                    bench.timed(name, *run, what, "--", "true") for _ in range(40)
                )
            best.setdefault("sha256 of the package", []).append(bench.timed("x", "sha256sum", bench.package))
        seconds.update({name: min(values) for name, values in best.items()})
        facts["newer"] = _newer(bench, package, newer)
    facts["counts"] = {name: vars(value) for name, value in counts.items()}
    return facts


def _image(bench: Bench, image: Path) -> dict[str, Counts]:
    """Return what a mounted image asks for, the process that serves the mount included; nothing where none can be mounted."""
    there = Path(shutil.copy(image, bench.shared / "env.squashfs"))
    log = bench.scratch / "strace.log"
    found = {}
    for name in ("first task of a node", "each later task"):
        command = ["strace", "-f", "-y", "-s", "0", "-e", "trace=%file,%desc", "-o", str(log)]
        argv = [str(RUNNER), "-e", str(there), "--", "python", "-c", PROGRAM]
        process = subprocess.Popen([*command, *argv], env=bench.env("image"), stdout=subprocess.DEVNULL)
        # strace stays for as long as the mount is served.
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
            if re.search(r"\+\+\+ exited with 0 \+\+\+\s*$", "\n".join(_first_process(log))):
                break
        mounts = [path for path in (bench.node / "image").glob("*.mount*") if not path.name.startswith(".")]
        if not mounts:
            process.terminate()
            process.wait()
            return {}
        found[f"image, mounted, {name}"] = count(log, str(there))
        if name == "each later task":
            process.wait(10)
            for mount in mounts:
                subprocess.run(["umount", "-l", mount / "poncho/image"], check=False)
    process.wait(30)
    return found


def _first_process(log: Path) -> list[str]:
    """Return the lines of the process that strace started: the runner, which becomes the command."""
    if not log.exists():
        return []
    lines = log.read_text(errors="replace").splitlines()
    number = lines[0].split()[0] if lines else ""
    return [line for line in lines if line.startswith(number + " ")]


class _Ranges(http.server.SimpleHTTPRequestHandler):
    files: ClassVar[dict[str, Path]] = {}
    sent = 0

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        data = self.files[self.path].read_bytes()
        begin, end, status = 0, len(data), 200
        if match := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            begin, end, status = int(match[1]), min(int(match[2] or len(data)) + 1, len(data)), 206
        self.send_response(status)
        self.send_header("Content-Length", str(end - begin))
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(data[begin:end])
        type(self).sent += end - begin


def _newer(bench: Bench, package: Path, newer: Path) -> dict[str, int]:
    """Return the bytes that a server sends to a node that has the older package."""
    _Ranges.files = {"/old": package, "/new": newer}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ranges)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said = ""
    for name, path in _Ranges.files.items():
        _Ranges.sent = 0
        url = (
            f"http://127.0.0.1:{server.server_address[1]}{name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}"
        )
        argv = [str(RUNNER), "-d", "-e", url, "--", "true"]
        said = subprocess.run(argv, env=bench.env("newer"), check=True, capture_output=True, text=True).stderr
    server.shutdown()
    match = re.search(r"(\d+) of (\d+) bytes fetched, in (\d+) requests", said)
    requests = int(match[3]) if match else 1
    return {"bytes": newer.stat().st_size, "sent": _Ranges.sent, "requests": requests}


# --- modelled


@dataclass(frozen=True)
class Site:
    """The model's parameters: none of them is measured. Bytes a second, operations a second, seconds."""

    nodes: int = 1000
    tasks: int = 64
    cores: int = 64
    spread: float = 5.0  # the nodes of a job start within so long
    nfs_ops: float = 50_000  # what the NFS server answers a second, of all clients
    nfs_rtt: float = 0.0005  # one operation of one client
    nfs_bandwidth: float = 2.5e9  # 20 Gbit/s
    object_bandwidth: float = 12.5e9  # 100 Gbit/s
    nic: float = 1.25e9  # 10 Gbit/s of each node
    disk: float = 1.0e9  # what a node writes
    peers: int = 3  # nodes that one node serves at once


class Shared:
    """A server that shares its rate evenly among those who want something, none of whom gets more than ``limit``."""

    def __init__(self, rate: float, limit: float) -> None:
        self.rate, self.limit = rate, limit

    def finish(self, jobs: Sequence[tuple[float, float]]) -> list[float]:
        """Return when each job (arrival, amount) is served; events are arrivals and ends, the share is equal between them."""
        order = sorted(range(len(jobs)), key=lambda n: jobs[n][0])
        done = [0.0] * len(jobs)
        running: list[tuple[float, int]] = []
        now = level = 0.0  # level: what each running job has got since the beginning
        position = 0
        while position < len(order) or running:
            speed = min(self.limit, self.rate / len(running)) if running else 0.0
            arrival = jobs[order[position]][0] if position < len(order) else float("inf")
            end = now + (running[0][0] - level) / speed if running else float("inf")
            then = min(arrival, end)
            level += (then - now) * speed
            now = then
            if end <= arrival:
                _, which = heapq.heappop(running)
                done[which] = now
            else:
                heapq.heappush(running, (level + jobs[order[position]][1], order[position]))
                position += 1
        return done


def by_peers(site: Site, size: float, arrivals: Sequence[float], seed: Shared) -> list[float]:
    """Return when each node has it: the first from the store, then each that has it serves ``peers`` others at once."""
    first = min(range(len(arrivals)), key=lambda n: arrivals[n])
    done = [0.0] * len(arrivals)
    done[first] = seed.finish([(arrivals[first], size)])[0]
    waiting = sorted((n for n in range(len(arrivals)) if n != first), key=lambda n: arrivals[n])
    slots = [done[first]] * site.peers
    heapq.heapify(slots)
    for node in waiting:
        begin = max(heapq.heappop(slots), arrivals[node])
        done[node] = begin + size * site.peers / site.nic
        for _ in range(site.peers + 1):
            heapq.heappush(slots, done[node])
    return done


@dataclass(frozen=True)
class Way:
    """One way to start, by what it asks of whom. Amounts are for a node's first task and for each of the others."""

    name: str
    first_ops: float
    later_ops: float
    first_bytes: float
    later_bytes: float
    unpack_cpu: float  # seconds of processor, for each unpacking
    unpack_bytes: float
    unpackings: int
    via: str = "nfs"
    begin: float = 0.0  # each task's own start


@dataclass(frozen=True)
class Result:
    name: str
    moved: float
    operations: float
    half: float
    last: float


def ways(facts: dict[str, Any], site: Site) -> list[Way]:
    """Return the ways; each number is a measured one."""
    counts, seconds = facts["counts"], facts["seconds"]

    def ops(name: str, *what: str) -> float:
        return float(sum(counts[name][key] for key in (what or ("opens", "failed_opens", "stats", "others"))))

    size, unpacked, tasks = facts["package_bytes"], facts["unpacked_bytes"], site.tasks
    tar, runner = seconds["unpack by tar, processor"], seconds["first start by the runner, processor"]
    start, url = seconds["later start, path"], seconds["later start, url"]
    direct = "environment on the shared file system, each task"
    again = counts["runner, path, each later task"]
    found = [
        # Later tasks of a node: what the client may cache (stats, failed opens, data) is free, an open asks the server.
        Way("conda environment on NFS", ops(direct), ops(direct, "opens"), counts[direct]["bytes"], 0, 0, 0, 0),
        Way(
            "NFS, unpack per task",
            ops("unpacked by each task, each task"),
            ops("unpacked by each task, each task"),
            size,
            0,
            tar,
            unpacked,
            tasks,
        ),
        Way(
            "NFS, unpack per node",
            ops("runner, path, first task of a node"),
            ops("runner, path, each later task"),
            size,
            again["bytes"],
            runner,
            unpacked,
            1,
            begin=start,
        ),
        Way(
            "NFS, file:// and digest",
            ops("runner, URL with digest, first task of a node"),
            ops("runner, URL with digest, each later task"),
            size,
            0,
            runner + seconds["sha256 of the package"],
            unpacked + size,
            1,
            begin=url,
        ),
    ]
    if "image, mounted, first task of a node" in counts:
        name = "image, mounted, first task of a node"
        found.append(
            Way(
                "NFS, image mounted",
                ops(name),
                ops("image, mounted, each later task"),
                counts[name]["bytes"],
                0,
                0,
                0,
                0,
                begin=start,
            )
        )
    whole = Way("object store, unpack per task", 0, 0, size, size, tar, unpacked, tasks, "object")
    found += [
        whole,
        Way(
            "object store, per node",
            0,
            0,
            size,
            0,
            runner + seconds["sha256 of the package"],
            unpacked + size,
            1,
            "object",
            url,
        ),
        Way(
            "object store, newer package",
            0,
            0,
            facts["newer"]["sent"],
            0,
            runner + seconds["sha256 of the package"],
            unpacked + size,
            1,
            "object",
            url,
        ),
        Way(
            "worker to worker, per node",
            0,
            0,
            size,
            0,
            runner + seconds["sha256 of the package"],
            unpacked + size,
            1,
            "peers",
            url,
        ),
    ]
    return found


def simulate(way: Way, facts: dict[str, Any], site: Site, seed: int = 1) -> Result:
    """Return when half of the tasks, and the last, have imported what they need."""
    dice = random.Random(seed)
    arrivals = [dice.uniform(0, site.spread) for _ in range(site.nodes)]
    amount = way.first_bytes + (site.tasks - 1) * way.later_bytes
    if way.via == "peers":
        ready = by_peers(site, amount, arrivals, Shared(site.object_bandwidth, site.nic))
    else:
        rate = site.nfs_bandwidth if way.via == "nfs" else site.object_bandwidth
        ready = Shared(rate, site.nic).finish([(begin, amount) for begin in arrivals])
    operations = way.first_ops + (site.tasks - 1) * way.later_ops
    if operations:
        # One task waits for each of its operations; the tasks of a node do so side by side.
        served = Shared(site.nfs_ops, site.tasks / site.nfs_rtt).finish([(begin, operations) for begin in arrivals])
        alone = max(way.first_ops, way.later_ops) * site.nfs_rtt
        ready = [max(a, b, begin + alone) for a, b, begin in zip(ready, served, arrivals, strict=True)]
    side = -(-way.unpackings // site.cores) if way.unpackings else 0
    unpack = max(side * way.unpack_cpu, way.unpackings * way.unpack_bytes / site.disk)
    waves = -(-site.tasks // site.cores)
    task = unpack + waves * (facts["seconds"]["import, processor"] + way.begin)
    ends = sorted(time_ready + task for time_ready in ready)
    source = 1 if way.via == "peers" else site.nodes
    return Result(way.name, source * amount, site.nodes * operations, ends[len(ends) // 2], ends[-1])


def tables(facts: dict[str, Any], site: Site) -> tuple[str, list[Result]]:
    keys = ("opens", "failed_opens", "stats", "others")
    lines = [
        "| measured, on the shared directory | opens | failed opens | stat, access, readlink | others | bytes read |"
    ]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, row in facts["counts"].items():
        lines.append(f"| {name} | {' | '.join(f'{row[key]:,}' for key in keys)} | {row['bytes'] / 1e6:,.2f} MB |")
    lines += ["", "| measured, here | seconds |", "| --- | ---: |"]
    lines += [f"| {name} | {value:.4f} |" for name, value in facts["seconds"].items()]
    newer = facts["newer"]
    said = f"{newer['sent']:,} bytes in {newer['requests']} requests"
    lines += ["", f"A newer package of {newer['bytes']:,} bytes, the older one being there: {said}.", ""]
    results = [simulate(way, facts, site) for way in ways(facts, site)]
    title = f"modelled: {site.nodes:,} nodes x {site.tasks} tasks"
    lines += [f"| {title} | from the shared storage | metadata operations | half of the tasks run | all run |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for result in results:
        amounts = f"{result.moved / 1e9:,.2f} GB | {result.operations:,.0f}"
        lines.append(f"| {result.name} | {amounts} | {result.half:,.1f} s | {result.last:,.1f} s |")
    return "\n".join(lines), results


def plot(facts: dict[str, Any], site: Site, target: Path) -> None:
    """Draw the time until all tasks run against the number of nodes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8.5, 5.2), layout="constrained")
    numbers = [1, 3, 10, 30, 100, 300, 1000, 3000]
    values = {f.name: getattr(site, f.name) for f in fields(Site)}
    styles = {"nfs": "-", "object": "--", "peers": ":"}
    for index, way in enumerate(ways(facts, site)):
        times = [simulate(way, facts, Site(**{**values, "nodes": number})).last for number in numbers]
        axes.loglog(numbers, times, styles[way.via], marker="os^vDPX*h<>"[index], markersize=4, label=way.name)
    axes.set_xlabel(f"nodes, with {site.tasks} tasks each")
    axes.set_ylabel("seconds until all tasks have imported (model)")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(fontsize=8, loc="upper left")
    figure.savefig(target, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "simulate"))
    parser.add_argument("--json", type=Path, required=True, help="where the measured facts are, or shall be")
    parser.add_argument("--package", type=Path)
    parser.add_argument("--newer", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    for field in fields(Site):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    arguments = parser.parse_args()
    if arguments.what == "measure":
        facts = measure(arguments.package, arguments.newer, arguments.image, arguments.rounds)
        if arguments.json.exists():
            # The least of all rounds, whenever they were.
            before = json.loads(arguments.json.read_text())
            if before["package_bytes"] == facts["package_bytes"]:
                facts["seconds"] = {
                    name: min(value, before["seconds"][name]) for name, value in facts["seconds"].items()
                }
        arguments.json.write_text(json.dumps(facts, indent=4) + "\n")
        return
    facts = json.loads(arguments.json.read_text())
    site = Site(**{field.name: getattr(arguments, field.name) for field in fields(Site)})
    print(tables(facts, site)[0])
    if arguments.plot:
        plot(facts, site, arguments.plot)


if __name__ == "__main__":
    main()
