"""Make ``poncho/analysis/data/modules.tsv`` again: which projects' wheels hold a module that is not called after them.

    python benchmarks/module_table.py --answers FILE > poncho/analysis/data/modules.tsv

Asks the package index for the newest wheel of each project in ``projects.tsv`` that CPython 3.11 can use, and reads its
list of files (some kilobytes each; six minutes for 22,000 projects). What was answered is kept in FILE, a line of JSON for
each project; only what is not in there is asked for.

A row: a module (or a module of a namespace that several projects share), the projects that hold it. Left out are modules
that the project of their own name holds, or one that ``imports.tsv`` names; those of which such a project has no wheel that
tells (only source, or requirements alone); modules of names that people give their own, modules that more than three
projects hold, namespaces of very many modules, and what a wheel has beside its own (another top module, and neither name
is in the other).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from measure import CHECKOUT, say

sys.path.insert(0, str(CHECKOUT))

from poncho.analysis.editable import canonical
from poncho.analysis.index import Index
from poncho.analysis.known import is_own_name
from poncho.errors import AnalysisError

PYTHON = "3.11"
AT_ONCE = 24
# A module is told by at most this many names; one that more projects hold is nobody's, and a namespace of more modules
# than that is better asked about at the index.
DEPTH, MOST, MODULES = 2, 3, 50
_NAME = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*", re.ASCII)
# What wheels hold by mistake, or for themselves.
_BESIDE = re.compile(
    r"(?i)tests?|docs?|docsrc|examples?|samples?|demos?|bench(?:es|marks?)?|tutorials?|com|ci|\w*__mypyc"
)


def main() -> None:
    """Ask for what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, required=True, metavar="FILE")
    answers: Path = parser.parse_args().answers
    projects = [line.split("\t")[0].strip() for line in (CHECKOUT / "poncho/analysis/data/projects.tsv").open()]
    known = read(answers)
    ask([name for name in projects if name not in known], answers)
    for module, names in sorted(rows(read(answers), maps()).items()):
        print(module, ",".join(names), sep="\t")


def read(answers: Path) -> dict[str, list[str]]:
    """Return the modules of each project that was asked for, none where it has no wheel."""
    if not answers.exists():
        return {}
    return {one["name"]: one.get("modules", []) for one in map(json.loads, answers.open()) if "error" not in one}


def maps() -> dict[str, list[str]]:
    """Return the projects that ``imports.tsv`` names for each import."""
    lines = (CHECKOUT / "poncho/analysis/data/imports.tsv").read_text().splitlines()
    return {module: re.split(r"[\t,]", rest) for module, _, rest in (line.partition("\t") for line in lines)}


def ask(projects: list[str], answers: Path) -> None:
    """Append to the file what the index says about some projects."""
    local, lock = threading.local(), threading.Lock()

    def one(name: str) -> None:
        if not hasattr(local, "index"):
            local.index = Index()
        row: dict[str, Any] = {"name": name}
        try:
            release = local.index.newest(name, PYTHON)
            modules = local.index.modules(release) if release else None
            row["modules"] = sorted(module for module in modules or () if module.count(".") < DEPTH)
        except AnalysisError as error:
            row["error"] = str(error)
        with lock, answers.open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, _ in enumerate(pool.map(one, projects), 1):
            if number % 1000 == 0:
                say(f"{number} of {len(projects)} projects")


def rows(held: dict[str, list[str]], said: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the rows of the table: module, and the projects that hold it, the one whose name is nearest first."""
    holders: defaultdict[str, set[str]] = defaultdict(set)
    tops: defaultdict[str, set[str]] = defaultdict(set)
    for project, modules in held.items():
        for module in modules:
            top = module.partition(".")[0]
            if _NAME.fullmatch(module) and not is_own_name(top) and not _BESIDE.fullmatch(top):
                holders[module].add(project)
                tops[project].add(top)
    sharers: defaultdict[str, set[str]] = defaultdict(set)
    for project, names in tops.items():
        for top in names:
            sharers[top].add(project)
    silent = {project for project, modules in held.items() if not modules}
    found: dict[str, list[str]] = {}
    for module, projects in holders.items():
        top, _, below = module.partition(".")
        own = canonical(top)
        sharing = sharers[top] if below else projects
        likely = {own, *said.get(module, ()), *said.get(top, ())}
        if likely & (silent | projects) or (below and (len(sharing) == 1 or own in sharing)):
            continue
        good = [name for name in projects if tops[name] == {top} or near(top, name)]
        if 0 < len(good) <= MOST and len(projects) <= 2 * MOST:
            found[module] = sorted(good, key=lambda name: (own not in name, len(name), name))
    # What the row of the namespace itself says already is not said again.
    kept = {key: names for key, names in found.items() if "." not in key or found.get(key.partition(".")[0]) != names}
    many = Counter(key.partition(".")[0] for key in kept)
    return {key: names for key, names in kept.items() if many[key.partition(".")[0]] <= MODULES}


def near(top: str, project: str) -> bool:
    """Tell whether one of two names is a part of the other."""
    one, other = (re.sub(r"[^a-z0-9]", "", text.lower()) for text in (top, project))
    return one in other or other in one


if __name__ == "__main__":
    main()
