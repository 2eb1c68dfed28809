"""What is cut out of a source file with a function, and what stays behind."""

from __future__ import annotations

import linecache
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from poncho.compat.extract import extract, extract_file, extract_functions
from poncho.errors import AnalysisError


def run(text: str, *names: str) -> dict[str, Any]:
    """Run what was extracted, and nothing else."""
    namespace: dict[str, Any] = {"__name__": "library"}
    exec(compile(extract(textwrap.dedent(text), names).code, "<library>", "exec", dont_inherit=True), namespace)
    return namespace


def test_helpers_classes_and_constants_come_along() -> None:
    text = """
        from math import hypot as length
        UNIT = 1000
        OTHER = 1 / 0

        class Base:
            scale = UNIT

        class Track(Base):
            def size(self, x, y):
                return helper(x, y) * self.scale

        def helper(x, y):
            return length(x, y)

        def fit(x, y, *, kind=Track):
            return kind().size(x, y)

        def unused():
            return OTHER
        """
    found = run(text, "fit")
    assert found["fit"](3, 4) == 5000
    assert "unused" not in found
    assert "OTHER" not in found


def test_a_local_variable_does_not_bring_the_module_s_of_the_same_name() -> None:
    found = run("queue = 1 / 0\ndef f():\n    queue = 3\n    return [queue for queue in range(queue)]\n", "f")
    assert found["f"]() == [0, 1, 2]


def test_global_statements_decorators_and_recursion_are_followed() -> None:
    text = """
        import functools
        calls = 0
        def counted(f):
            @functools.wraps(f)
            def inner(*args):
                global calls
                calls += 1
                return f(*args)
            return inner

        @counted
        @functools.lru_cache(maxsize=None)
        def fibonacci(n):
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
        """
    found = run(text, "fibonacci")
    assert found["fibonacci"](5) == 5
    assert found["calls"] == 9


def test_guarded_imports_and_conditional_definitions_come_whole() -> None:
    text = """
        try:
            import no_such_accelerator as fast
        except ImportError:
            fast = None
        if fast:
            def add(x, y):
                return fast.add(x, y)
        else:
            def add(x, y):
                return x + y
        if __name__ == "__main__":
            def never():
                raise SystemExit
        """
    found = run(text, "add")
    assert found["add"](1, 2) == 3
    assert "never" not in found


def test_comments_and_strings_keep_their_text() -> None:
    text = 'def f():\n    # why\n    return """a\n  b"""\n'
    assert extract(text, ["f"]).code == text


def test_two_statements_on_a_line_are_told_apart() -> None:
    assert run("a = 1; b = 1 / 0\ndef f(): return a\n", "f")["f"]() == 1


def test_future_imports_are_named() -> None:
    assert extract("from __future__ import annotations\ndef f(x: Later): ...\n", ["f"]).futures == ("annotations",)


def test_async_functions_count_as_functions() -> None:
    assert extract("async def f(): ...\n", ["f"]).functions == ("f",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n", "source.py:1: not Python"),
        ("def f(): ...\ndef g(): ...\n", "no function h at module level"),
        ("from .sibling import x\ndef h(): return x\n", "source.py:1: a relative import"),
        ("def h(): ...\n\0", "not Python"),
    ],
)
def test_what_cannot_be_extracted_is_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "source.py").write_text(text)
    with pytest.raises(AnalysisError, match=words):
        extract_file(tmp_path / "source.py", ["h"])


def test_a_missing_file_and_a_binary_one_are_said(tmp_path: Path) -> None:
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    for name in ("missing.py", "binary.py"):
        with pytest.raises(AnalysisError, match=f"{name}: cannot be read"):
            extract_file(tmp_path / name, ["f"])


def helper(x: int) -> int:
    return x + 1


def uses_helper(x: int) -> int:
    return helper(x)


def test_live_functions_come_with_what_they_use_or_alone() -> None:
    def local(x: int) -> int:
        import math

        return math.floor(x)

    found = extract_functions([uses_helper, local])
    namespace: dict[str, Any] = {}
    exec(found.code, namespace)
    assert found.functions == ("uses_helper", "local")
    assert namespace["uses_helper"](1) == 2
    assert namespace["local"](1.5) == 1


def test_live_functions_without_source_are_refused_with_the_other_way() -> None:
    made: dict[str, Any] = {}
    exec("def made(): ...", made)
    with pytest.raises(AnalysisError, match="made") as caught:
        extract_functions([made["made"]])
    assert "generate_library" in str(caught.value.hint)


NOTEBOOK = """
import packaging.version, os.path as osp
from math import hypot
UNIT = {"m": 1000}
class Track:
    scale = UNIT
    def size(self, x):
        return hypot(x, 4) * self.scale["m"]
def helper(x):
    return Track().size(x), packaging.version.Version("1.2").major
def make(n):
    def inner(x):
        return helper(x), n, osp.basename("a/b")
    return inner
inner = make(7)
def other():
    return helper(3)[1]
def holds():
    return STREAM
"""


def cell(name: str) -> dict[str, Any]:
    """Run a notebook's cell as IPython does: the source is in linecache and in no file."""
    linecache.cache[name] = (len(NOTEBOOK), None, NOTEBOOK.splitlines(True), name)
    space: dict[str, Any] = {"__name__": "__main__", "STREAM": sys.stdout}
    exec(compile(NOTEBOOK, name, "exec", dont_inherit=True), space)
    return space


def test_functions_of_a_notebook_bring_its_imports_classes_values_and_closures() -> None:
    space = cell("<ipython-input-7-live>")
    found = extract_functions([space["inner"], space["other"]])
    assert found.code.count("def helper") == 1
    done = subprocess.run(
        [sys.executable, "-I", "-c", found.code + "print(inner(3), other())"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "((5000.0, 1), 7, 'b') 1\n", done.stderr


def test_what_cannot_be_written_as_source_is_refused_by_name() -> None:
    with pytest.raises(AnalysisError, match="holds uses STREAM, a ") as caught:
        extract_functions([cell("<ipython-input-8-live>")["holds"]])
    assert "generate_library" in str(caught.value.hint)


def test_two_meanings_of_one_name_are_refused() -> None:
    space = cell("<ipython-input-9-live>")
    one, two = space["make"](1), space["make"](2)
    two.__name__ = "second"
    with pytest.raises(AnalysisError, match="means something else by n"):
        extract_functions([one, two])
