"""Whether public applications start in a package that PONCHO made from their imports alone.

    python benchmarks/applications.py --work DIR [--half tuning|held-out|all] [--only NAME] [--json FILE] [--small]
    python benchmarks/applications.py --work DIR --draw

For each application in ``applications.txt``, one after the other:

1. its source distribution is fetched, and of it the importable code alone laid down (``corpus.fetch``): what it declares
   (pyproject.toml, setup.py, requirements files, metadata) is taken away, so that only the imports can say what is needed;
2. ``poncho_package_analyze CODE spec.json --prefix EMPTY``: EMPTY is a virtual environment with nothing installed, not even
   pip. No ``--online``, no mapping, no other option: what a user types first;
3. ``poncho_package_create spec.json env.tar.gz``;
4. ``poncho_package_run -e env.tar.gz`` starts its console script with ``--help``. The application itself comes from its own
   wheel, unpacked into a directory on PYTHONPATH, which is what installing it without its requirements does: its code, data
   and metadata. Nothing of it is in the package.

It is *started* when that ends with status 0, and nothing it printed speaks of a missing module or distribution.

*Distributions* are those that pip would install: ours as the lock of the package lists them; beside it those that the
application's requirements (Requires-Dist of the same release, no extras) resolve to, by ``uv pip compile`` for the same Python on
the same day. The application itself, and pip, which an environment has anyway, count on neither side.

The draw: ``SCIENCE`` and ``GENERAL`` below are command-line applications written down from memory, before anything was
run. Each list is shuffled with a fixed seed, and the first 15 of each are taken whose newest release for CPython 3.11
is pure Python, has a source distribution and a console script, declares two or more requirements, which resolve to at
most 90 distributions that all have wheels (so that the whole takes an hour at most), and which is not in the corpus of
``accuracy.py``, on which names and tiers were tuned. A hash of the name splits them in ``tuning`` and ``held-out``.
"""

from __future__ import annotations

import argparse
import configparser
import datetime
import email
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
from dataclasses import asdict, dataclass
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
SEED = 20261121
EACH = 15
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
# What the package runs: the console script, as an installer would have written it.
START = """\
import sys
from importlib import import_module
name, place = sys.argv[1:3]
sys.argv[:] = [name, "--help"]
module, _, path = place.partition(":")
call = import_module(module)
for part in path.split("."):
    call = getattr(call, part)
sys.exit(call())
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

    @property
    def half(self) -> str:
        """Return ``tuning`` or ``held-out``."""
        return "held-out" if hashlib.sha256(self.name.encode()).digest()[0] & 1 else "tuning"

    @property
    def project(self) -> Project:
        """Return the project as the corpus knows it."""
        return Project(self.name, self.version, self.kind, 0)


@dataclass(frozen=True)
class Result:
    """What came of one application. ``ours`` and ``declared`` are names; ``said`` is its last line where it did not start."""

    name: str
    version: str
    half: str
    ours: tuple[str, ...]
    declared: tuple[str, ...]
    started: bool
    missing: str
    said: str
    seconds: Mapping[str, float]


def listed() -> list[Application]:
    """Return the applications of the list."""
    lines = (line.split() for line in LIST.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return [Application(*line) for line in lines]


def requirements(release: Release, index: Index) -> list[str]:
    """Return what a release requires at run time, without extras, as its metadata says it."""
    found = []
    wheel = release.plainest_wheel
    for line in email.message_from_string(index.metadata(wheel) if wheel else "").get_all("Requires-Dist") or ():
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate({**corpus.TARGET, "extra": ""}):
            one.marker = None
            found.append(str(one))
    return found


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


def measure(application: Application, index: Index, work: Path, empty: Path) -> Result:
    """Analyse, create and start one application."""
    fetched = corpus.fetch(application.project, index, work)
    site = lay_wheel(application, index, work)
    declared = resolve(requirements(release_of(application, index), index))
    seconds: dict[str, float] = {}
    own = {application.name, "pip"}

    def result(ours: tuple[str, ...], missing: str, said: str) -> Result:
        return Result(
            application.name,
            application.version,
            application.half,
            ours,
            tuple(sorted(set(declared) - own)),
            not (missing or said),
            missing,
            said,
            seconds,
        )

    with tempfile.TemporaryDirectory(dir=work, prefix="run-") as directory:
        here = Path(directory)
        spec, package, lock = here / "spec.json", here / "env.tar.gz", here / "lock.json"
        (here / "start.py").write_text(START)
        bin_ = CHECKOUT / "bin"
        steps: dict[str, list[str | Path]] = {
            "analyze": [sys.executable, bin_ / "poncho_package_analyze", fetched.code, spec, "--prefix", empty],
            "create": [sys.executable, bin_ / "poncho_package_create", spec, package, "--lock", lock],
            "run": [bin_ / "poncho_package_run", "-e", package, "--no-store", "--env", f"PYTHONPATH={site}", "--"],
        }
        steps["run"] += ["python", here / "start.py", application.script, application.place]
        ours: tuple[str, ...] = ()
        for step, command in steps.items():
            began = time.monotonic()
            environ = {**os.environ, "HOME": directory, "TMPDIR": directory, "COLUMNS": "100"}
            done = subprocess.run(
                command, cwd=here, env=environ, capture_output=True, text=True, errors="replace", timeout=900, input=""
            )
            seconds[step] = round(time.monotonic() - began, 1)
            if step == "create" and done.returncode == 0:
                names = {canonical(one["name"]) for one in json.loads(lock.read_text())["pip"]}
                ours = tuple(sorted(names - own))
            text = done.stdout + done.stderr
            missing = next((found[1] for one in _MISSING if (found := one.search(text))), "") if step == "run" else ""
            if missing or done.returncode:
                wrong = [line.strip() for line in done.stderr.splitlines() if line.strip()]
                said = " / ".join(wrong[-1:] if step == "run" else wrong[:3])
                said = said.replace(f"{fetched.code}/", "")
                return result(ours, missing, f"{step}: status {done.returncode}: {said}"[:400])
    return result(ours, "", "")


def table(results: Sequence[Result]) -> str:
    """Return the applications, and the totals of each half, as Markdown."""
    lines = ["| application | half | ours | declared | ratio | started | missing, or what it said |"]
    lines += ["| --- | --- | ---: | ---: | ---: | --- | --- |"]
    for one in results:
        row = [f"{one.name} {one.version}", one.half, len(one.ours), len(one.declared), _ratio([one])]
        lines.append(f"| {' | '.join(map(str, row))} | {'yes' if one.started else 'no'} | {one.missing or one.said} |")
    for half in ("tuning", "held-out", "all"):
        if rows := [one for one in results if half in (one.half, "all")]:
            ours, declared = (sum(len(names) for names in column) for column in _columns(rows))
            started = f"{sum(one.started for one in rows)} of {len(rows)}"
            lines.append(f"| **{half}** | | {ours} | {declared} | {_ratio(rows)} | {started} | |")
    return "\n".join(lines)


def _columns(rows: Sequence[Result]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    rows = [one for one in rows if one.ours]
    return [one.ours for one in rows], [one.declared for one in rows]


def _ratio(rows: Sequence[Result]) -> str:
    ours, declared = (sum(map(len, column)) for column in _columns(rows))
    return f"{ours / declared:.2f}" if declared else ""


def draw(index: Index) -> list[Application]:
    """Return the applications that the draw takes, see above."""
    known = {project.name for project in corpus.listed()}
    found = []
    for kind, names in (("science", SCIENCE.split()), ("general", GENERAL.split())):
        order = sorted(set(names) - known)
        random.Random(SEED).shuffle(order)
        taken = 0
        for name in order:
            if taken == EACH:
                break
            if application := _qualifies(name, kind, index):
                taken += 1
                say(f"{application.name} {application.version} ({application.kind}, {application.half})")
                found.append(application)
    return sorted(found, key=lambda one: one.name)


def _qualifies(name: str, kind: str, index: Index) -> Application | None:
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
    return Application(name, release.version, kind, *script) if script else None


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
    parser.add_argument("--half", choices=("tuning", "held-out", "all"), default="tuning")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this one (repeatable)")
    parser.add_argument("--small", action="store_true", help="two small ones of the tuning half")
    parser.add_argument("--draw", action="store_true", help="write the list instead")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    # The caller's own modules are no part of anything here.
    os.environ.pop("PYTHONPATH", None)
    index, work = Index(), arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    if arguments.draw:
        head = "# name, version, list, console script, what it calls: see applications.py.\n"
        rows = (f"{one.name} {one.version} {one.kind} {one.script} {one.place}\n" for one in draw(index))
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
    for application in wanted:
        try:
            results.append(measure(application, index, work, empty))
            one = results[-1]
            say(
                f"{one.name}: {len(one.ours)} / {len(one.declared)} {'started' if one.started else one.said} {one.seconds}"
            )
        except (PonchoError, subprocess.SubprocessError) as error:
            say(f"left out: {application.name}: {error}")
        if arguments.json:
            facts = {"machine": machine(), "date": f"{datetime.date.today()}"}
            rows = [asdict(one) for one in results]
            arguments.json.write_text(json.dumps(facts | {"results": rows}, indent=1) + "\n")
    shutil.rmtree(empty)
    print(f"{len(results)} applications, {datetime.date.today()}\n\n{table(results)}")


if __name__ == "__main__":
    main()
