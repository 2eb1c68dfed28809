"""What 48 live functions need: found by PONCHO's walk, beside what cloudpickle and dill bring along.

Each case of ``function_cases`` runs as a program of its own. PONCHO analyses its ``target`` there: found is a case whose modules
are exactly those expected. cloudpickle and dill pickle it, and a clean process (same interpreter, not the program's directory)
unpickles it: found is a case after which every expected module is loaded. They are made to move functions, not to list
modules; that is how functions reach nodes when nobody lists them.

    python benchmarks/functions.py [--cases] [--json FILE]

Needs dill beside what the tests need (parsl, dask, numpy, IPython); a case whose library is missing is said and left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from function_cases import CASES, LANGUAGE, NOTEBOOK, PLAIN, WORKFLOWS, Case

_GROUPS = (("plain", PLAIN), ("workflows", WORKFLOWS), ("notebooks", NOTEBOOK), ("language", LANGUAGE))
_TOOLS = ("poncho", "cloudpickle", "dill")
_FOOTERS = {
    "poncho": """
import json as _json, poncho.analysis as _poncho
_found = _poncho.analyze(target, strict=False)
_names = {_name.partition('.')[0] for _one in _found.findings if _one.included for _name in _one.imports}
with open(RESULT, 'w') as _stream:
    _json.dump({'found': sorted(_names), 'local': [_one.name for _one in _found.local_modules]}, _stream)
""",
    "cloudpickle": "\nimport cloudpickle as _pickle\nopen(RESULT, 'wb').write(_pickle.dumps(target))\n",
    "dill": "\nimport dill as _pickle\nopen(RESULT, 'wb').write(_pickle.dumps(target, recurse=True))\n",
}
_LOADER = """
import json, sys
tool, file, result = sys.argv[1:]
pickle = __import__(tool)
before = set(sys.modules)
error = ''
try:
    pickle.loads(open(file, 'rb').read())
except BaseException as caught:
    error = '%s: %s' % (type(caught).__name__, caught)
found = sorted({name.partition('.')[0] for name in set(sys.modules)})
json.dump({'found': found, 'error': error}, open(result, 'w'))
"""


def look(case: Case, tool: str, directory: Path) -> tuple[bool, str]:
    """Return whether ``tool`` finds what a case needs, and what is wrong if not."""
    made = directory / "made"
    for name, text in case.files.items():
        (directory / name).write_text(text)
    (directory / "program.py").write_text(case.source + _FOOTERS[tool].replace("RESULT", repr(str(made))))
    root = str(Path(__file__).resolve().parents[1])
    environ = {**os.environ, "PYTHONPATH": root, "IPYTHONDIR": str(directory / "ipython")}
    run = subprocess.run(
        [sys.executable, "program.py"], cwd=directory, env=environ, capture_output=True, text=True, check=False
    )
    if run.returncode or not made.exists():
        return False, (run.stderr.strip().splitlines() or ["no result"])[-1]
    if tool == "poncho":
        found = json.loads(made.read_text())
        local = set(found["local"]) - {"program.py"}
        wrong = set(found["found"]) ^ case.expected | (local ^ case.local)
        return not wrong, f"differs in {', '.join(sorted(wrong))}"
    (directory / "elsewhere").mkdir()
    (directory / "load.py").write_text(_LOADER)
    result = directory / "result.json"
    argv = [sys.executable, "-I", str(directory / "load.py"), tool, str(made), str(result)]
    run = subprocess.run(argv, cwd=directory / "elsewhere", capture_output=True, text=True, check=False)
    if not result.exists():
        return False, (run.stderr.strip().splitlines() or ["no result"])[-1]
    loaded = json.loads(result.read_text())
    missing = case.expected - set(loaded["found"])
    return not (missing or loaded["error"]), loaded["error"] or f"not loaded: {', '.join(sorted(missing))}"


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", action="store_true", help="a row for each case too")
    parser.add_argument("--json", type=Path, help="every answer to this file")
    arguments = parser.parse_args()
    answers: dict[str, dict[str, tuple[bool, str]]] = {}
    for case in CASES:
        absent = [name for name in case.uses if importlib.util.find_spec(name) is None]
        if absent:
            print(f"left out: {case.name}: {', '.join(absent)} is not installed", file=sys.stderr)
            continue
        answers[case.name] = {}
        for tool in _TOOLS:
            with tempfile.TemporaryDirectory() as directory:
                answers[case.name][tool] = look(case, tool, Path(directory))
        print(case.name, {tool: right for tool, (right, _) in answers[case.name].items()}, file=sys.stderr)
    if arguments.cases:
        print("| case | " + " | ".join(_TOOLS) + " |\n|---|" + "---|" * len(_TOOLS))
        for name, row in answers.items():
            print(f"| {name} | " + " | ".join("found" if right else words for right, words in row.values()) + " |")
        print()
    print("| | " + " | ".join(name for name, _ in _GROUPS) + " | all |\n|---|" + "---|" * (len(_GROUPS) + 1))
    for tool in _TOOLS:
        label = "PONCHO" if tool == "poncho" else f"{tool} {version(tool)}"
        cells = []
        for _, group in (*_GROUPS, ("all", CASES)):
            counted = [answers[case.name][tool][0] for case in group if case.name in answers]
            cells.append(f"{sum(counted)} of {len(counted)}")
        print(f"| {label} | " + " | ".join(cells) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main()
