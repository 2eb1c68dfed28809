"""benchmarks/module_table.py: which rows what wheels hold gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "module_table.py"
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import module_table
json.dump(module_table.rows(json.loads(sys.argv[2]), json.loads(sys.argv[3])), sys.stdout)
"""


def rows(held: dict[str, list[str]], said: dict[str, list[str]] | None = None) -> dict[str, list[str]]:
    argv = [sys.executable, "-c", RUN, str(SCRIPT.parent), json.dumps(held), json.dumps(said or {})]
    found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    assert isinstance(found, dict)
    return found


def test_a_module_of_another_name_than_its_project() -> None:
    held = {"python-libthing": ["libthing", "libthing._c"], "numpy": ["numpy"], "pything": ["pything", "_private"]}
    assert rows(held) == {"libthing": ["python-libthing"]}


def test_a_project_of_the_module_s_name_counts_as_long_as_nobody_knows_what_it_holds() -> None:
    fork = {"docopt-ng": ["docopt"]}
    assert rows(fork | {"docopt": []}) == {}
    assert rows(fork | {"docopt": ["other"]}) == {"docopt": ["docopt-ng"], "other": ["docopt"]}
    assert rows(fork | {"from-a-map": []}, {"docopt": ["from-a-map"]}) == {}


def test_what_a_wheel_has_beside_its_own_is_left_out() -> None:
    assert rows({"django-quill": ["quill", "playground", "tests"]}) == {"quill": ["django-quill"]}


def test_of_a_namespace_its_modules_are_told() -> None:
    held = {"sky-a": ["sky.a", "sky.shared"], "sky-b": ["sky.b", "sky.shared"]}
    assert rows(held) == {"sky.a": ["sky-a"], "sky.b": ["sky-b"], "sky.shared": ["sky-a", "sky-b"]}


def test_what_many_hold_is_nobody_s() -> None:
    assert rows({f"thing-{number}": ["thing"] for number in range(4)}) == {}
