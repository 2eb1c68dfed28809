"""Whether public applications start in a package that PONCHO made from their imports alone.

    python benchmarks/applications.py --work DIR [--half tuning|held-out|fresh|all] [--way entry|directory|both]
        [--only NAME] [--json FILE] [--small]
    python benchmarks/applications.py --work DIR --draw 1|2

For each application in ``applications.txt``, one after the other:

1. its source distribution is fetched, and of it the importable code alone laid down (``corpus.fetch``): what it declares
   (pyproject.toml, setup.py, requirements files, metadata) is taken away, so that only the imports can say what is needed;
2. ``poncho_package_analyze SOURCE spec.json --prefix EMPTY``: EMPTY is a virtual environment with nothing installed, not
   even pip. No ``--online``, no mapping, no other option: what a user types first. SOURCE is in turn

   - *entry*: the program: ``application.py``, beside the importable code, which is the console script as pip writes it
     (``from package.module import main``, ``sys.exit(main())``). What it reaches is asked for;
   - *directory*: the directory of the importable code: all that a library offers, whoever would use it;
3. ``poncho_package_create spec.json env.tar.gz``;
4. ``poncho_package_run -e env.tar.gz`` starts its console script with ``--help``. The application itself comes from its own
   wheel, unpacked into a directory on PYTHONPATH, which is what installing it without its requirements does: its code, data
   and metadata. Nothing of it is in the package.

It is *started* when that ends with status 0, and nothing it printed speaks of a missing module or distribution. One that
fails for another reason (it asks a question before it reads its arguments) is started once more by importing the module of
its console script, and the table says so.

*Distributions* are those that pip would install: ours as the lock of the package lists them; beside it those that the
application declares (Requires-Dist of the same release) resolve to, by ``uv pip compile`` for the same Python on the same day:
*declared* those that it requires, *with extras* those and all its extras. An application that imports outright what it declares
as an extra cannot start with the first. An extra that does not resolve together with those before it, in the metadata's order,
is passed over. The application itself, and pip, which an environment has anyway, count on no side.

The draw: ``SCIENCE`` and ``GENERAL`` below are command-line applications written down from memory, before anything was
run. Each list is shuffled with a fixed seed, and the first 15 of each are taken whose newest release for CPython 3.11
is pure Python, has a source distribution and a console script, declares two or more requirements, which resolve to at
most 90 distributions that all have wheels (so that the whole takes an hour at most), and which is not in the corpus of
``accuracy.py``, on which names and tiers were tuned. A hash of the name splits them in ``tuning`` and ``held-out``. After the
held-out half had been looked at, a second draw (``--draw 2``: another seed, 7 and 8, without the first 30) took 15 more, which
are ``fresh``: they were written down before any of them was analysed, and measured once with the code as it was then.
"""

from __future__ import annotations

import argparse
import configparser
import datetime
import email
import email.message
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cache
from pathlib import Path

import corpus
from corpus import Project, pure_release
from measure import CHECKOUT, machine, say
from packaging.requirements import InvalidRequirement, Requirement

from poncho.analysis.editable import canonical
from poncho.analysis.index import Index, Release
from poncho.engine.pip_tools import uv_command
from poncho.errors import PonchoError

LIST = Path(__file__).with_name("applications.txt")
# Of each draw: its seed, and how many of each list.
DRAWS = {1: (20261121, {"science": 15, "general": 15}), 2: (20261122, {"science": 7, "general": 8})}
WAYS = ("entry", "directory")
HALVES = ("tuning", "held-out", "fresh")
# What a package may have of the distributions that its application declares, by the project's own figure.
MOST = 1.3
# What ours is counted beside: the fields of a result.
BESIDE = ("declared", "extras")
LARGEST = 90
SMALLEST = ("tldr", "pip-tools")
SCIENCE = """
acpype aiida-core ase asv bidscoin bioblend cdsapi cellxgene cff-converter custodian cwltool datalad deeptools dvc
earthaccess eodag fireworks frictionless gammapy gffutils heudiconv hepdata-cli intake jobflow jupyter-book lightkurve
linkml multiqc nbconvert neuroconv nextstrain-augur nextstrain-cli nf-core nwbinspector oaklib obsplus osmnx papermill
papis parsl pdb2pqr phylo-treetime planemo pronto propka pybids pycbc pydicom pyensembl pygenometracks pyhf pylhe
pystac-client radian rio-cogeo rucio-clients satpy scanpy sentinelsat snakemake snakefmt sourmash-utils sssom
stactools sumo sunpy toil varcode
"""
GENERAL = """
ansible-core ansible-lint awscli awslogs bandit beets borgmatic bpython buku cfn-lint checkov cookiecutter copier
commitizen conan csvkit csvs-to-sqlite datasette djlint dolphie doitlive esptool eyed3 fabric flit frogmouth
gallery-dl gitlint glances grip harlequin holehe howdoi http-prompt httpie instaloader internetarchive invoke iredis
jrnl khal khard linkchecker litecli locust magic-wormhole maigret mdformat mitmproxy molecule mycli nikola nox
ocrmypdf pdm pelican pgcli pip-audit pip-tools pipdeptree platformio poetry posting proselint ptpython pywal
rdiff-backup rich-cli s3cmd safety scrapy sherlock-project shodan spotdl sqlfluff sqlite-utils streamlink subliminal
supervisor td-watson thefuck tldr todoman toot tox trogon twine vdirsyncer visidata weasyprint xonsh yamllint
"""
# What is analysed as an entry: the console script, as pip writes it.
ENTRY = """\
# -*- coding: utf-8 -*-
import re
import sys
from {module} import {name}
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit({path}())
"""
# What the package runs: the same, with ``--help``; or the import alone.
START = """\
import sys
from importlib import import_module
name, place, way = sys.argv[1:4]
sys.argv[:] = [name, "--help"]
module, _, path = place.partition(":")
call = import_module(module)
for part in path.split("."):
    call = getattr(call, part)
sys.exit(call() if way == "--help" else 0)
"""
_MISSING = (
    re.compile(r"No module named ['\"]?([\w.]+)"),
    re.compile(r"No package metadata was found for ([\w.-]+)"),
    re.compile(r"The '([\w.-]+)[^']*' distribution was not found"),
    re.compile(r"cannot import name ['\"](\w+)"),
)


@dataclass(frozen=True)
class Application:
    """One application: its release, and the console script that is started."""

    name: str
    version: str
    kind: str
    script: str
    place: str
    draw: str = "1"

    @property
    def half(self) -> str:
        """Return ``tuning``, ``held-out``, or ``fresh`` for the second draw."""
        if self.draw != "1":
            return "fresh"
        return "held-out" if hashlib.sha256(self.name.encode()).digest()[0] & 1 else "tuning"

    @property
    def project(self) -> Project:
        """Return the project as the corpus knows it."""
        return Project(self.name, self.version, self.kind, 0)


@dataclass(frozen=True)
class Result:
    """What came of one application, analysed in one way.

    ``ours``, ``declared`` and ``extras`` (what is declared, extras included) are names; ``said`` is its last line where it
    did not start, ``help`` what ``--help`` said where it was started by its import.
    """

    name: str
    version: str
    half: str
    way: str
    ours: tuple[str, ...]
    declared: tuple[str, ...]
    extras: tuple[str, ...]
    started: bool
    missing: str
    said: str
    help: str
    seconds: Mapping[str, float]

    @property
    def created(self) -> bool:
        """Tell whether there was a package to start it in (one with no distribution is one, too)."""
        return "run" in self.seconds


def listed() -> list[Application]:
    """Return the applications of the list."""
    lines = (line.split() for line in LIST.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return [Application(*line) for line in lines]


def requirements(release: Release, index: Index, extra: str = "") -> list[str]:
    """Return what a release requires at run time, with an extra or without one, as its metadata says it."""
    found = []
    for line in _metadata(release, index).get_all("Requires-Dist") or ():
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate({**corpus.TARGET, "extra": extra}):
            one.marker = None
            found.append(str(one))
    return found


@cache
def declared_by(release: Release, index: Index) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the distributions that requirements resolve to, and that these and all extras do, see above."""
    wanted = requirements(release, index)
    declared = names = resolve(wanted)
    for extra in _metadata(release, index).get_all("Provides-Extra") or ():
        more = [
            one for one in requirements(release, index, extra) if canonical(Requirement(one).name) != release.project
        ]
        try:
            names = resolve(wanted + more)
        except subprocess.CalledProcessError:
            continue
        wanted += more
    return declared, names


def _metadata(release: Release, index: Index) -> email.message.Message:
    wheel = release.plainest_wheel
    return email.message_from_string(index.metadata(wheel) if wheel else "")


def resolve(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the distributions that requirements resolve to. Raises subprocess.CalledProcessError."""
    if not wanted:
        return ()
    command = [
        *(uv_command() or ["uv"]),
        "pip",
        "compile",
        "-",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--no-config",
    ]
    command += ["--only-binary", ":all:", "--python-version", "3.11.7", "--python", sys.executable]
    done = subprocess.run(command, input="\n".join(wanted), capture_output=True, text=True, check=True, timeout=300)
    names = (re.match(r"[\w.-]+", line) for line in done.stdout.splitlines())
    return tuple(sorted({canonical(name[0]) for name in names if name} - {"pip"}))


def lay_wheel(application: Application, index: Index, work: Path) -> Path:
    """Unpack an application's own wheel below ``work`` (once) and return the directory for PYTHONPATH."""
    place = work / "wheels" / application.name
    if not place.exists():
        wheel = release_of(application, index).plainest_wheel
        if wheel is None or not wheel.name.endswith("-none-any.whl"):
            raise SystemExit(f"{application.name} {application.version} has no wheel of pure Python any more")
        with tempfile.TemporaryDirectory(dir=work) as directory:
            archive = Path(directory) / wheel.name
            index.download(wheel, archive)
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(Path(directory) / "site")
            place.parent.mkdir(exist_ok=True)
            (Path(directory) / "site").rename(place)
    return place


def release_of(application: Application, index: Index) -> Release:
    """Return the files of the release that is listed."""
    files = (file for file in index.files(application.name) if file.version == application.version)
    return Release(application.name, application.version, tuple(files))


def source_of(application: Application, code: Path, way: str, here: Path) -> Path:
    """Return what is analysed: the directory of the code, or an entry beside a copy of it."""
    if way == "directory":
        return code
    shutil.copytree(code, here / "app")
    module, _, path = application.place.partition(":")
    script = here / "app" / "application.py"
    script.write_text(ENTRY.format(module=module, name=path.partition(".")[0], path=path))
    return script


def measure(application: Application, way: str, index: Index, work: Path, empty: Path) -> Result:
    """Analyse, create and start one application."""
    fetched = corpus.fetch(application.project, index, work)
    site = lay_wheel(application, index, work)
    declared = declared_by(release_of(application, index), index)
    own = {application.name, "pip"}
    seconds: dict[str, float] = {}
    ours: tuple[str, ...] = ()
    missing = said = by_import = ""
    with tempfile.TemporaryDirectory(dir=work, prefix="run-") as directory:
        here = Path(directory)
        spec, package, lock = here / "spec.json", here / "env.tar.gz", here / "lock.json"
        (here / "start.py").write_text(START)
        source = source_of(application, fetched.code, way, here)
        bin_ = CHECKOUT / "bin"
        run = [bin_ / "poncho_package_run", "-e", package, "--no-store", "--env", f"PYTHONPATH={site}", "--"]
        run += ["python", here / "start.py", application.script, application.place]
        steps: dict[str, list[str | Path]] = {
            "analyze": [sys.executable, bin_ / "poncho_package_analyze", source, spec, "--prefix", empty],
            "create": [sys.executable, bin_ / "poncho_package_create", spec, package, "--lock", lock],
            "run": [*run, "--help"],
            "import": [*run, "import"],
        }
        environ = {**os.environ, "HOME": directory, "TMPDIR": directory, "COLUMNS": "100"}
        for step, command in steps.items():
            began = time.monotonic()
            done = subprocess.run(
                command, cwd=here, env=environ, capture_output=True, text=True, errors="replace", timeout=900, input=""
            )
            seconds[step] = round(time.monotonic() - began, 1)
            if step == "create" and done.returncode == 0:
                names = {canonical(one["name"]) for one in json.loads(lock.read_text())["pip"]}
                ours = tuple(sorted(names - own))
            starting = step in ("run", "import")
            found = next(filter(None, (one.search(done.stdout + done.stderr) for one in _MISSING)), None)
            missing = found[1] if found and starting else ""
            if not (missing or done.returncode):
                said = ""
                if starting:
                    break
                continue
            wrong = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            words = " / ".join(wrong[-1:] if starting else wrong[:3])
            said = f"{step}: status {done.returncode}: {words}".replace(f"{source.parent}/", "")[:400]
            if step != "run" or missing:
                break
            by_import = said
    wanted = [tuple(sorted(set(names) - own)) for names in declared]
    named = (application.name, application.version, application.half, way)
    return Result(*named, ours, *wanted, not (missing or said), missing, said, by_import, seconds)


def table(results: Sequence[Result]) -> str:
    """Return the applications, a column for each way, and the totals of each half, as Markdown."""
    ways = [way for way in WAYS if any(one.way == way for one in results)]
    heads = "".join(f" {way} | ratio | with extras | started |" for way in ways)
    lines = [
        f"| application | half | declared | with extras |{heads} what it said |",
        f"| --- | --- | ---: | ---: |{' ---: | ---: | ---: | --- |' * len(ways)} --- |",
    ]
    by_name: dict[str, dict[str, Result]] = {}
    for one in results:
        by_name.setdefault(one.name, {})[one.way] = one
    for name, rows in sorted(by_name.items(), key=lambda pair: (HALVES.index(_any(pair[1]).half), pair[0])):
        first = _any(rows)
        cells = [f"{name} {first.version}", first.half, f"{len(first.declared)}", f"{len(first.extras)}"]
        said = []
        for way in ways:
            one = rows.get(way)
            started = "" if one is None else "no" if not one.started else "by its import" if one.help else "yes"
            cells += [f"{len(one.ours)}" if one and one.created else ""]
            cells += [_ratio([one] if one else [], beside) for beside in BESIDE] + [started]
            said += [f"{way}: {text}" for text in ([one.missing or one.said or one.help] if one else []) if text]
        lines.append(f"| {' | '.join(cells)} | {' / '.join(said)} |")
    for half in (*HALVES, "all"):
        chosen = [one for one in results if half in (one.half, "all")]
        if not chosen or (half == "all" and len({one.half for one in results}) == 1):
            continue
        firsts = [_any(rows) for rows in by_name.values() if half in (_any(rows).half, "all")]
        cells = [f"**{half}**", "", *(f"{sum(len(getattr(one, beside)) for one in firsts)}" for beside in BESIDE)]
        for way in ways:
            rows = [one for one in chosen if one.way == way]
            cells += [f"{sum(len(one.ours) for one in rows)}"]
            for beside in BESIDE:
                over = sum(1 for one in rows if len(one.ours) > MOST * len(getattr(one, beside)))
                cells += [f"{_ratio(rows, beside)}, {over} above {MOST}"]
            cells += [f"{sum(one.started for one in rows)} of {len(rows)}"]
        lines.append(f"| {' | '.join(cells)} | |")
    return "\n".join(lines)


def _any(rows: Mapping[str, Result]) -> Result:
    return next(iter(rows.values()))


def _ratio(rows: Sequence[Result], beside: str) -> str:
    """Return how many distributions ours are for one that is declared, of those that were created."""
    created = [one for one in rows if one.created]
    declared = sum(len(getattr(one, beside)) for one in created)
    return f"{sum(len(one.ours) for one in created) / declared:.2f}" if declared else ""


def draw(number: int, index: Index, before: Sequence[Application]) -> list[Application]:
    """Return the applications that a draw takes, see above, with those of earlier ones."""
    known = {project.name for project in corpus.listed()} | {one.name for one in before}
    seed, wanted = DRAWS[number]
    found = [*before]
    for kind, names in (("science", SCIENCE.split()), ("general", GENERAL.split())):
        order = sorted(set(names) - known)
        random.Random(seed).shuffle(order)
        taken = 0
        for name in order:
            if taken == wanted[kind]:
                break
            if application := _qualifies(name, kind, index, number):
                taken += 1
                say(f"{application.name} {application.version} ({application.kind}, {application.half})")
                found.append(application)
    return sorted(found, key=lambda one: one.name)


def _qualifies(name: str, kind: str, index: Index, number: int) -> Application | None:
    release = pure_release(name, index)
    wheel = release.plainest_wheel if release else None
    if release is None or wheel is None:
        return None
    wanted = requirements(release, index)
    if len({Requirement(one).name for one in wanted}) < 2:
        return None
    try:
        if len(resolve(wanted)) > LARGEST:
            return None
    except subprocess.CalledProcessError:
        return None
    with tempfile.TemporaryDirectory() as directory:
        archive = Path(directory) / wheel.name
        index.download(wheel, archive)
        script = _console_script(archive, name)
    return Application(name, release.version, kind, *script, f"{number}") if script else None


def _console_script(wheel: Path, name: str) -> tuple[str, str] | None:
    """Return the console script of the project's name, else the first one."""
    with zipfile.ZipFile(wheel) as opened:
        texts = [opened.read(one).decode() for one in opened.namelist() if one.endswith("dist-info/entry_points.txt")]
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string("\n".join(texts))
    scripts = dict(parser["console_scripts"]) if parser.has_section("console_scripts") else {}
    best = name if name in scripts else min(scripts, default=None)
    return (best, scripts[best].partition("[")[0].replace(" ", "")) if best else None


def main() -> None:
    """Run the benchmark, or make the draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--half", choices=(*HALVES, "all"), default="tuning")
    parser.add_argument("--way", choices=(*WAYS, "both"), default="both")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this one (repeatable)")
    parser.add_argument("--small", action="store_true", help="two small ones of the tuning half")
    parser.add_argument("--draw", type=int, choices=tuple(DRAWS), help="write the list instead")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    # The caller's own modules are no part of anything here.
    os.environ.pop("PYTHONPATH", None)
    index, work = Index(), arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    if arguments.draw:
        head = "# name, version, list, console script, what it calls, draw: see applications.py.\n"
        before = [one for one in listed() if int(one.draw) < arguments.draw]
        rows = (" ".join(astuple(one)) + "\n" for one in draw(arguments.draw, index, before))
        LIST.write_text(head + "".join(rows), "utf-8")
        return
    empty = work / "empty"
    if not empty.exists():
        venv.create(empty)
    wanted = [one for one in listed() if arguments.half in ("all", one.half)]
    if arguments.only:
        wanted = [one for one in listed() if one.name in arguments.only]
    if arguments.small:
        wanted = [one for one in listed() if one.name in SMALLEST]
    results: list[Result] = []
    ways = [way for way in WAYS if arguments.way in (way, "both")]
    for application, way in ((application, way) for application in wanted for way in ways):
        try:
            results.append(measure(application, way, index, work, empty))
            one = results[-1]
            say(
                f"{one.name} {way}: {len(one.ours)} / {len(one.declared)} {'started' if one.started else one.said} {one.seconds}"
            )
        except (PonchoError, subprocess.SubprocessError) as error:
            say(f"left out: {application.name}: {error}")
        if arguments.json:
            facts = {"machine": machine(), "date": f"{datetime.date.today()}"}
            rows = [asdict(one) for one in results]
            arguments.json.write_text(json.dumps(facts | {"results": rows}, indent=1) + "\n")
    shutil.rmtree(empty)
    print(f"{len({one.name for one in results})} applications, {datetime.date.today()}\n\n{table(results)}")


if __name__ == "__main__":
    main()
