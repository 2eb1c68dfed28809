"""When two libraries are the same library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from poncho.compat.fingerprint import fingerprint


def define(text: str, **values: Any) -> Callable[..., Any]:
    """Define ``f`` as a notebook would: no source to be found, module ``__main__``."""
    namespace: dict[str, Any] = {"__name__": "__main__", **values}
    exec(text, namespace)
    function = namespace["f"]
    assert isinstance(function, FunctionType)
    return function


ONE = "def f(x):\n    return x + N\n"


def test_the_same_content_is_the_same_function() -> None:
    assert fingerprint(define(ONE, N=1)) == fingerprint(define(ONE, N=1))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("def f(x):\n    return x - N\n", {"N": 1}),
        ("def f(y):\n    return y + N\n", {"N": 1}),
        ("def f(x, z=3):\n    return x + N\n", {"N": 1}),
        (ONE, {"N": 2}),
        (ONE, {"N": 1.0}),
        (ONE, {"N": "1"}),
    ],
)
def test_other_code_defaults_or_globals_make_another_function(text: str, values: dict[str, Any]) -> None:
    assert fingerprint(define(ONE, N=1)) != fingerprint(define(text, **values))


def test_closures_and_helpers_count() -> None:
    def make(n: int) -> Callable[[int], int]:
        return lambda x: x + n

    assert fingerprint(make(1)) != fingerprint(make(2))
    caller = "def f(x):\n    return helper(x)\n"
    helpers = [define("def f(x):\n    return x\n"), define("def f(x):\n    return -x\n")]
    assert fingerprint(define(caller, helper=helpers[0])) != fingerprint(define(caller, helper=helpers[1]))


def test_it_is_the_same_in_every_process() -> None:
    code = (
        "from poncho.compat.fingerprint import fingerprint\n"
        "NAMES = {'a', 'b', 'c'}\nclass C:\n    pass\n"
        "def f(x):\n    return {x, *NAMES, C, recursive}\ndef recursive():\n    return recursive\n"
        "print(fingerprint(f, {'x': {1, 2}}, [1.5, None, b'x']))\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": root, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(answers) == 1


def test_source_that_python_c_shows_for_other_code_does_not_count() -> None:
    """CPython 3.13 and later call code made by exec and what ``-c`` runs ``<string>``, and show the lines of the latter."""
    program = (
        "def f(x): return x\n"
        "from poncho.compat.fingerprint import fingerprint\n"
        "def define(text):\n"
        "    names = {'__name__': '__main__'}\n"
        "    exec(text, names)\n"
        "    return names['f']\n"
        "texts = ['def f(x): return x + 1', 'def f(x): return x - 1', 'def f(y): return y + 1']\n"
        "print(len({fingerprint(define(text)) for text in texts}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"


def test_source_of_something_else_counts_as_none() -> None:
    program = (
        "def g(x): return x\n"
        "from poncho.compat.written import source_of\n"
        "names = {}\n"
        "exec('def f(x): return x + 1', names)\n"
        "try:\n"
        "    print(source_of(names['f']))\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "could not get source code\n"
