"""How well the distributions that a program requires are found from its imports, beside other analyzers.

    python benchmarks/accuracy.py --work DIR [--half tuning|seen|held-out|all] [--peers BIN] [--online] [--misses] [--json FILE]
    python benchmarks/accuracy.py --work DIR --installed 12 [--half …]

The corpus and its truth are explained in ``corpus.py``: the truth of a project is what its newest release declares
(Requires-Dist for CPython 3.11 on Linux, no extras), as far as an import of it stands anywhere in the importable code;
which imports a requirement provides is read from its own wheel. Every tool gets the importable code alone, on a machine
where nothing of it is installed. ``--peers`` is the ``bin`` of an environment with pipreqs, fawltydeps, deptry and pigar.

Those two of them that ask an index about every name get a server on this machine, which knows the names in the file
``--names`` (one a line, or a table's first column; by default the projects PONCHO knows), so that a run asks no public
index for names that are guessed.

``--online`` adds PONCHO's rows with the index asked about what its tables do not know.

``--installed N`` takes N projects of the half, installs each with its requirements in an environment of its own, and
compares with what ``importlib.metadata`` says there.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

from corpus import PYTHON, Fetched, fetch, listed
from measure import CHECKOUT, machine, say

from poncho.analysis import Tier, analyze
from poncho.analysis.editable import canonical
from poncho.analysis.index import Index
from poncho.errors import PonchoError

PEERS = ("pipreqs", "fawltydeps", "deptry", "pigar")
STANDARD = frozenset(sys.stdlib_module_names)


@dataclass(frozen=True)
class Truth:
    """What is right for one project: ``required`` must be found, ``fine`` may be."""

    fetched: Fetched
    required: frozenset[str]
    fine: frozenset[str]


@dataclass
class Row:
    """One tool's counts over the corpus."""

    name: str
    found: int = 0
    wanted: int = 0
    right: int = 0
    said: int = 0
    failed: int = 0
    seconds: float = 0.0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Return the share of the required distributions that were found."""
        return self.found / self.wanted if self.wanted else 0.0

    @property
    def precision(self) -> float:
        """Return the share of the distributions said that are declared (as extras, too)."""
        return self.right / self.said if self.said else 0.0

    @property
    def f1(self) -> float:
        """Return the harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def count(self, truth: Truth, names: frozenset[str]) -> None:
        """Add one project."""
        own = truth.fetched.project.name
        names = names - {own, "pip", "python"}
        self.found += len(truth.required & names)
        self.wanted += len(truth.required)
        self.right += len(truth.fine & names)
        self.said += len(names)
        self.missed += [f"{own}: {name}" for name in sorted(truth.required - names)]
        self.wrong += [f"{own}: {name}" for name in sorted(names - truth.fine)]


def imports_of(code: Path) -> set[str]:
    """Return every dotted name that the code imports, wherever it stands, by ``ast`` alone."""
    found: set[str] = set()
    for path in code.rglob("*.py"):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def truth_of(fetched: Fetched, index: Index) -> Truth:
    """Return which declared requirements are imported."""
    imported = imports_of(fetched.code)
    required = {
        name for name in fetched.declared if _provides(name, index) and _meets(_provides(name, index), imported)
    }
    return Truth(fetched, frozenset(required), fetched.declared | fetched.extras)


def _meets(modules: frozenset[str], imported: set[str]) -> bool:
    """Tell whether one of a distribution's own modules is imported (a bare namespace says nothing)."""
    tops = {name for name in modules if "." not in name}
    below = {name for name in modules if name.partition(".")[0] not in tops}
    return any(name.partition(".")[0] in tops or name in below for name in imported) or any(
        name.rpartition(".")[0] in below for name in imported
    )


_PROVIDED: dict[str, frozenset[str]] = {}


def _provides(name: str, index: Index) -> frozenset[str]:
    if name not in _PROVIDED:
        release = index.newest(name, PYTHON)
        modules = index.modules(release) if release else None
        _PROVIDED[name] = modules if modules is not None else frozenset({name.replace("-", "_"), name})
    return _PROVIDED[name]


def by_name(truth: Truth) -> frozenset[str]:
    """Return what comes of taking the import's name for the distribution's."""
    tops = {name.partition(".")[0] for name in imports_of(truth.fetched.code)}
    return frozenset(canonical(name) for name in tops - STANDARD - set(truth.fetched.tops))


def poncho_tiers(truth: Truth, prefix: Path, *, online: bool) -> Mapping[str, frozenset[str]]:
    """Return what PONCHO says, by cut."""
    analysis = analyze(truth.fetched.code, prefix=prefix, strict=False, online=online)
    return {
        cut: frozenset(one.name for one in analysis.findings if test(one.tier, one.included))
        for cut, test in CUTS.items()
    }


CUTS: dict[str, Callable[[Tier, bool], bool]] = {
    "all tiers": lambda tier, included: True,
    "required": lambda tier, included: tier is Tier.REQUIRED,
    "default cut": lambda tier, included: included,
}


class Stand:
    """A server on this machine that knows names, in the two forms in which the peers ask."""

    def __init__(self, names: frozenset[str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, _, rest = self.path.strip("/").partition("/")
                name = canonical(rest.partition("/")[0])
                known = name in names
                body = b"<html><body></body></html>"
                if known and kind == "pypi":
                    info = {"name": name, "version": "1.0", "package_url": "http://localhost/"}
                    body = json.dumps({"info": info, "releases": {"1.0": []}, "urls": []}).encode()
                elif known:
                    body = f'<html><body><a href="{name}-1.0.tar.gz">{name}-1.0.tar.gz</a></body></html>'.encode()
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", "application/json" if kind == "pypi" else "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def peer(name: str, bin_: Path, truth: Truth, stand: Stand) -> frozenset[str]:
    """Return what another tool says. Raises subprocess.CalledProcessError when it gives up."""
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        code = here / "project"
        shutil.copytree(truth.fetched.code, code)
        out = here / "out"
        environ = {"PATH": f"{bin_}:/usr/bin:/bin", "HOME": directory, "LANG": "C.UTF-8"}
        command, read = _COMMANDS[name](bin_, code, out, stand.url)
        done = subprocess.run(
            command, cwd=code, env=environ, capture_output=True, text=True, timeout=600, check=False, input=""
        )
        try:
            return frozenset(canonical(one) for one in read(done.stdout, out))
        except (OSError, ValueError, KeyError) as error:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr) from error


_Command = tuple[list[str], Callable[[str, Path], Iterator[str]]]


def _requirements(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if found := re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line):
            yield found[1]


def _pipreqs(bin_: Path, code: Path, out: Path, url: str) -> _Command:
    command = [str(bin_ / "pipreqs"), "--mode", "no-pin", "--savepath", str(out), "--force"]
    return [*command, "--pypi-server", f"{url}/pypi/", str(code)], lambda _, file: _requirements(file.read_text())


def _fawltydeps(bin_: Path, code: Path, out: Path, url: str) -> _Command:
    (code / "requirements.txt").write_text("")
    command = [str(bin_ / "fawltydeps"), "--check-undeclared", "--json", "--code", str(code), "--deps"]
    return [*command, str(code / "requirements.txt")], lambda text, _: iter(
        [one["name"] for one in json.loads(text)["undeclared_deps"]]
    )


def _deptry(bin_: Path, code: Path, out: Path, url: str) -> _Command:
    (code / "pyproject.toml").write_text('[project]\nname = "corpus-project"\nversion = "0"\ndependencies = []\n')
    return [str(bin_ / "deptry"), str(code), "--json-output", str(out)], lambda _, file: iter(
        [one["module"] for one in json.loads(file.read_text()) if one["error"]["code"] == "DEP001"]
    )


def _pigar(bin_: Path, code: Path, out: Path, url: str) -> _Command:
    command = [str(bin_ / "pigar"), "generate", "-f", str(out), "-c", "-", "--question-answer", "yes", "--auto-select"]
    return [*command, "--dont-show-differences", "-i", f"{url}/simple/", str(code)], lambda _, file: _requirements(
        re.sub(r"(?m)^#.*$", "", file.read_text())
    )


_COMMANDS: dict[str, Callable[[Path, Path, Path, str], _Command]] = {
    "pipreqs": _pipreqs,
    "fawltydeps": _fawltydeps,
    "deptry": _deptry,
    "pigar": _pigar,
}


def measure(truths: list[Truth], peers: Path | None, stand: Stand, *, online: bool) -> list[Row]:
    """Run every tool on every project, project by project, and return their rows."""
    ways = {"PONCHO": False, **({"PONCHO --online": True} if online else {})}
    names_of_rows = (f"{way}: {cut}" for way in ways for cut in CUTS)
    rows = {name: Row(name) for name in ("import name taken as package name", *names_of_rows)}
    with tempfile.TemporaryDirectory() as directory:
        prefix = _bare_prefix(Path(directory))
        for number, truth in enumerate(truths, 1):
            say(f"{number} of {len(truths)}: {truth.fetched.project.name}")
            began = time.perf_counter()
            rows["import name taken as package name"].count(truth, by_name(truth))
            rows["import name taken as package name"].seconds += time.perf_counter() - began
            for way, asking in ways.items():
                middle = time.perf_counter()
                try:
                    answers = poncho_tiers(truth, prefix, online=asking)
                except PonchoError as error:
                    say(f"failed: {error}")
                    answers = dict.fromkeys(CUTS, frozenset())
                    for cut in CUTS:
                        rows[f"{way}: {cut}"].failed += 1
                spent = time.perf_counter() - middle
                for cut, names in answers.items():
                    rows[f"{way}: {cut}"].count(truth, frozenset(map(canonical, names)))
                    rows[f"{way}: {cut}"].seconds += spent
            for name in PEERS if peers else ():
                row = rows.setdefault(name, Row(name))
                began = time.perf_counter()
                try:
                    said = peer(name, peers or Path(), truth, stand)
                except (subprocess.SubprocessError, OSError):
                    said = frozenset()
                    row.failed += 1
                row.seconds += time.perf_counter() - began
                row.count(truth, said)
    return list(rows.values())


def _bare_prefix(directory: Path) -> Path:
    """Return an environment of CPython 3.11 with nothing in it."""
    (directory / f"lib/python{PYTHON}/site-packages").mkdir(parents=True)
    (directory / "pyvenv.cfg").write_text(f"include-system-site-packages = false\nversion = {PYTHON}.7\n")
    return directory


def with_dependencies(truths: list[Truth], work: Path) -> Row:
    """Install each project's requirements and compare what is found with what is there and imported."""
    from uv import find_uv_bin

    row = Row("PONCHO, with the requirements installed")
    for truth in truths:
        project = truth.fetched.project
        say(f"installing {project.name}")
        with tempfile.TemporaryDirectory(dir=work) as directory:
            prefix = Path(directory) / "venv"
            uv = [find_uv_bin(), "--no-config", "-q"]
            # In the corpus' environment the project itself is absent: its code is what is analysed.
            names = sorted(truth.fetched.declared)
            commands = ([*uv, "venv", "-p", PYTHON, str(prefix)], [*uv, "pip", "install", "-p", str(prefix), *names])
            if any(subprocess.run(one, check=False).returncode for one in commands):
                row.failed += 1
                continue
            began = time.perf_counter()
            analysis = analyze(truth.fetched.code, prefix=prefix, strict=False)
            row.seconds += time.perf_counter() - began
            said = frozenset(one.name for one in analysis.findings if one.installed)
            here = _really_imported(truth, prefix)
            row.count(Truth(truth.fetched, here, here), said)
    return row


def _really_imported(truth: Truth, prefix: Path) -> frozenset[str]:
    """Return the installed distributions whose files the code's imports lead to, as ``importlib.metadata`` has them."""
    script = (
        "import importlib.metadata as m, json\n"
        "print(json.dumps({d.metadata['Name']: [str(f) for f in d.files or ()] for d in m.distributions()}))"
    )
    done = subprocess.run([prefix / "bin/python", "-c", script], capture_output=True, text=True, check=True)
    from poncho.analysis.installed import recorded_modules

    provided = {
        canonical(name): frozenset(recorded_modules("\n".join(files)))
        for name, files in json.loads(done.stdout).items()
    }
    code = truth.fetched.code
    own = set(recorded_modules("\n".join(path.relative_to(code).as_posix() for path in code.rglob("*.py"))))
    imported = {name for name in imports_of(code) if name not in own and name.partition(".")[0] not in STANDARD}
    # What is below a whole package of the program's own is its own, unlike what is below a namespace that it shares.
    whole = {top for top in own & set(truth.fetched.tops) if not _is_shared(code / top / "__init__.py")}
    imported = {name for name in imported if name.partition(".")[0] not in whole}
    return frozenset(name for name, modules in provided.items() if _meets(modules, imported))


def _is_shared(init: Path) -> bool:
    text = init.read_text("utf-8", "replace") if init.exists() else ""
    return "extend_path" in text or "declare_namespace" in text


def table(rows: list[Row]) -> str:
    """Return the rows in Markdown."""
    lines = ["| tool | recall | precision | F1 | failed | seconds |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {row.name} | {row.recall:.3f} | {row.precision:.3f} | {row.f1:.3f} | {row.failed} | {row.seconds:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


def causes(row: Row) -> str:
    """Return the names that one tool missed or said too much, the most frequent first."""
    text = ""
    for title, pairs in (("missed", row.missed), ("wrong", row.wrong)):
        counts = Counter(pair.partition(": ")[2] for pair in pairs)
        text += f"{title}: " + ", ".join(f"{name} {count}" for name, count in counts.most_common(400)) + "\n"
    return text


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--half", choices=("tuning", "seen", "held-out", "all"), default="tuning")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--names", type=Path, default=CHECKOUT / "poncho/analysis/data/projects.tsv")
    parser.add_argument("--installed", type=int, metavar="N")
    parser.add_argument("--online", action="store_true")
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    # The caller's own modules are no part of anything here.
    os.environ.pop("PYTHONPATH", None)
    work = arguments.work.absolute()
    index = Index()
    truths = []
    for project in listed():
        if arguments.half not in ("all", project.half):
            continue
        try:
            fetched = fetch(project, index, work)
            if fetched.code.is_dir():
                truths.append(truth_of(fetched, index))
            else:
                say(f"left out: {project.name}: its source distribution holds no module that its wheel installs")
        except PonchoError as error:
            say(f"left out: {project.name}: {error}")
    if arguments.installed:
        rows = [with_dependencies(truths[: arguments.installed], work)]
    else:
        names = frozenset(
            canonical(line.partition("\t")[0]) for line in arguments.names.read_text("utf-8").splitlines() if line
        )
        rows = measure(truths, arguments.peers, Stand(names), online=arguments.online)
    facts = {key: value for key, value in machine().items() if key in ("python", "poncho", "cores", "load")}
    if arguments.peers:
        facts |= _versions(arguments.peers)
    print(
        f"{len(truths)} projects ({arguments.half}), {sum(len(one.required) for one in truths)} requirements; {facts}\n"
    )
    print(table(rows))
    if arguments.misses:
        for row in rows:
            if row.name.startswith("PONCHO"):
                print(f"\n## {row.name}\n{causes(row)}")
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(row) for row in rows], indent=1))


def _versions(bin_: Path) -> dict[str, str]:
    script = f"import importlib.metadata as m; print(*(m.version(n) for n in {PEERS!r}))"
    done = subprocess.run([bin_ / "python", "-c", script], capture_output=True, text=True, check=True)
    return dict(zip(PEERS, done.stdout.split(), strict=True)) | {"uv": version("uv")}


if __name__ == "__main__":
    main()
