"""Hazard 21: whatever a spec, a program, a lock or a name is, only PonchoError comes out. Hypothesis thinks of it.

The archives, headers and manifests of packages have tests of their own.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from poncho._redact import redact, strip_credentials
from poncho.analysis import analyze
from poncho.base.find import parse_version_spec
from poncho.errors import PonchoError
from poncho.fetch.names import UnsafeNameError, check_filename
from poncho.fetch.remote import Remote, check_ref
from poncho.fetch.session import parse
from poncho.fetch.web import default_filename
from poncho.lock import codec as lock_codec
from poncho.spec import as_spec, decode, dumps, loads_spec, portable, spec_digest
from poncho.spec.names import check_variable
from tests.support.faults import FULL, count

FUZZ = settings(
    max_examples=count(120, 20_000),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=not FULL,
)
KEYS = [
    *("conda", "channels", "dependencies", "pip", "python", "pinned", "git", "http", "remote", "ref", "depth"),
    *("submodules", "lfs", "subdirectory", "url", "type", "compression", "sha256", "filename", "headers", "name"),
    *("packages", "version", "size", "DATA", "branch", "PATH", "project", "requires-python", "variables", "specs"),
    *("prefix", "platform", "spec", "spec_digest", "build", "subdir", "channel", "commit", "requirement", "base"),
    *("kind", "poncho", "lock", "format", "md5", "record"),
]
WORDS = [
    *("conda-forge", "numpy", "python=3.11", "numpy>=1.2,<2", "root::numpy", "a b c", "file", "tar", "gzip", "main"),
    *("https://h/x", "git@h:x", "../x", "/", "-e .", "./x[y]", "x @ https://h/x.whl", "-r other.txt", "\0", "\ud800"),
    *("a" * 300, "__glibc", "*", "linux-64", "0" * 64, "0" * 40, "~=", "==", "[", "]", "{", "%(x)s", "${HOME}", "\n"),
    *("\ufeff", "1e999", "٣", "https://[", "https://a:b@c:d/", "ssh://-x/", "C:\\x", "x\u202ey"),
]
texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=20))
keys = st.one_of(st.sampled_from(KEYS), texts)
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
values = st.recursive(
    plain,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=20,
)
# Specs and locks that are right; the nearly right ones are made from these.
GOOD: dict[str, Any] = {
    "conda": {"channels": ["conda-forge"], "dependencies": ["python=3.11", {"pip": ["six"]}]},
    "pip": ["numpy>=1"],
    "pinned": {"conda": {"numpy": "1.26.4"}},
    "git": {"A": {"remote": "https://h/x.git", "ref": "main", "depth": 1}},
    "http": {"B": {"url": "https://h/x", "type": "file", "sha256": "0" * 64, "headers": {"X": "Y"}}},
}


def only_poncho_errors(call: Callable[[], Any]) -> Any:
    """Return what the call returns, None for a PonchoError that can be shown; anything else fails the test."""
    try:
        return call()
    except PonchoError as error:
        shown = error.to_json()
    assert shown["message"]
    json.dumps(shown, default=str)
    return None


def mutated(draw: st.DrawFn, value: Any) -> Any:
    """Return ``value`` with something in it replaced, renamed, left out or added."""
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        other = dict(value)
        match draw(st.integers(0, 5)):
            case 0:
                other[key] = draw(values)
            case 1:
                other[draw(keys)] = other.pop(key)
            case 2:
                del other[key]
            case 3:
                other[draw(keys)] = draw(values)
            case _:
                other[key] = mutated(draw, value[key])
        return other
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], mutated(draw, value[at]), *value[at + 1 :]]
    return draw(values)


@st.composite
def nearly(draw: st.DrawFn, good: dict[str, Any]) -> Any:
    """Return something that is right but for one to three changes."""
    value: Any = good
    for _ in range(draw(st.integers(1, 3))):
        value = mutated(draw, value)
    return value


def read_and_write(make: Callable[[], Any]) -> None:
    """Read a spec; one that is understood can be written, read again, and is the same."""
    spec = only_poncho_errors(make)
    if spec is None:
        return
    text = only_poncho_errors(lambda: dumps(spec))
    if text is not None:
        again = loads_spec(text)
        assert spec_digest(again) == spec_digest(spec)
        only_poncho_errors(lambda: portable(again))


@FUZZ
@given(st.one_of(values, nearly(GOOD)))
@example({"conda": {"dependencies": [{"pip": {"a": 1}}]}})
@example({"git": {"A": {"remote": "https://h/\ud800"}}})
def test_any_json_value_as_a_spec(value: Any) -> None:
    read_and_write(lambda: as_spec(value) if isinstance(value, dict) else loads_spec(json.dumps(value)))


@FUZZ
@given(
    nearly(GOOD), st.floats(0, 1), st.sampled_from(["", "\0", "{", "]", ",", '"', "\\u", "\n- ", ": &a [*a]", "\ud800"])
)
def test_a_spec_that_was_cut_or_changed_somewhere(value: Any, where: float, what: str) -> None:
    text = json.dumps(value, ensure_ascii=False)
    at = int(len(text) * where)
    read_and_write(lambda: loads_spec(text[:at] + what + text[at + 1 :]))
    read_and_write(lambda: loads_spec(text[:at]))


@FUZZ
@given(st.binary())
@example(b"\xff\xfe{\0}\0")
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_as_a_spec(data: bytes) -> None:
    read_and_write(lambda: loads_spec(decode(data, source="spec")))


HEADS = [
    "name: x\ndependencies:\n- ",
    "name: x\nchannels: ",
    '[project]\nname = "x"\ndependencies = ',
    "# /// script\n# dependencies = [",
    "-r ",
    "numpy==",
    "--index-url ",
    "",
]


@FUZZ
@given(st.sampled_from(HEADS), st.one_of(texts, st.text(alphabet="[]{}()'\"#:-&*!|>%@,=<~;\n\t \\ab1.é\u2028\x85")))
@example("name: x\ndependencies:\n- ", "&a [*a, *a]")
@example("", "[" * 3000)
@example("", '{"a":' * 3000)
@example("", "a: " * 1000)
def test_any_text_as_a_spec_of_another_kind(head: str, text: str) -> None:
    read_and_write(lambda: loads_spec(head + text))


def good_lock() -> dict[str, Any]:
    """Return a lock with something of every kind."""
    from poncho.lock.model import Lock, LockedBase, LockedConda, LockedGit, LockedHttp, LockedPip

    url = "https://h/linux-64/a-1-0.conda"
    lock = Lock(
        platform="linux-64",
        spec_digest="0" * 64,
        channels=("https://h",),
        base=LockedBase("3.11.7", "source", "0" * 64),
        conda=(LockedConda("a", "1", "0", "linux-64", "https://h", url, sha256="0" * 64, size=3),),
        pip=(LockedPip("b", "2", "b==2", url="https://h/b-2-py3-none-any.whl", sha256="1" * 64),),
        git={"A": LockedGit("https://h/x.git", "2" * 40, ref="main")},
        http={"B": LockedHttp("https://h/x", "3" * 64, 5, filename="x")},
    )
    return dict(json.loads(lock_codec.dumps(lock)))


@FUZZ
@given(st.one_of(values, nearly(good_lock())))
def test_any_json_value_as_a_lock(value: Any) -> None:
    found = only_poncho_errors(lambda: lock_codec.loads(json.dumps(value)))
    if found is not None:
        text = lock_codec.dumps(found)
        text.encode()
        assert lock_codec.dumps(lock_codec.loads(text)) == text


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with nothing in it: what is tried is the reading of programs."""
    root = tmp_path_factory.mktemp("prefix")
    (root / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to("/bin/true")
    (root / "pyvenv.cfg").write_text("version = 3.11.7\n")
    return root


LINES = st.sampled_from(
    [
        *(
            "import numpy",
            "import a.b.c as d, e",
            "from . import x",
            "from .. import *",
            "from a import (b, c)",
            "try:",
        ),
        *(
            "except ImportError:",
            "if TYPE_CHECKING:",
            "    import b",
            "  import c",
            "\timport d",
            "def f():",
            "class C:",
        ),
        *(
            "    pass",
            "async def g():",
            "__import__('x')",
            "importlib.import_module('y')",
            "importlib.import_module(x)",
        ),
        *("x = '''", 'x = """', "%matplotlib inline", "!ls", "match x:", "    case 1:", "lambda: 0", "f'{x!r:{y}}'"),
        *("type X = int", "print 'old'", "exec('import z')", "\\", "(", ")", "]", "if __name__ == '__main__':", "\x0c"),
        *(
            "# -*- coding: latin-1 -*-",
            "# coding: nonsense",
            "@decorator",
            "with a as b, c:",
            "global x",
            "return",
            "\0",
        ),
        *("é = 1", "import é", "from __future__ import annotations", "import " + "a." * 200 + "b", "x = " + "(" * 150),
        *(
            "while 1: import r",
            "x = " + "-" * 5000 + "1",
            "\ud800",
            "import numpy as np; np.linalg.x",
            "else:",
            "finally:",
        ),
    ]
)
programs = st.one_of(st.lists(LINES, max_size=12).map("\n".join), st.text())


@FUZZ
@given(programs)
def test_any_text_as_a_program(prefix: Path, text: str) -> None:
    found = only_poncho_errors(lambda: analyze(["-"], stdin=text, prefix=prefix))
    if found is not None:
        loads_spec(found.dumps())


@FUZZ
@given(st.one_of(st.binary(), programs.map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example("import a\r\n".encode("utf-16"))
def test_any_bytes_as_a_program_or_a_notebook(prefix: Path, tmp_path: Path, data: bytes) -> None:
    for name in ("program.py", "notebook.ipynb"):
        (tmp_path / name).write_bytes(data)
        only_poncho_errors(lambda name=name: analyze([tmp_path / name], prefix=prefix))


@FUZZ
@given(values, st.lists(LINES, max_size=6))
def test_any_json_value_as_a_notebook(prefix: Path, tmp_path: Path, value: Any, lines: list[str]) -> None:
    cells = [{"cell_type": "code", "source": lines}, value, {"cell_type": "code", "source": value}]
    notebook = {"cells": cells, "metadata": value, "nbformat": 4}
    for one in (notebook, {**notebook, "cells": value}, value):
        (tmp_path / "a.ipynb").write_text(json.dumps(one))
        only_poncho_errors(lambda: analyze([tmp_path / "a.ipynb"], prefix=prefix))


@FUZZ
@given(programs, texts)
def test_any_name_as_a_function_or_in_a_mapping(prefix: Path, text: str, name: str) -> None:
    only_poncho_errors(lambda: analyze(["-"], stdin=text, prefix=prefix, function=name))
    only_poncho_errors(lambda: analyze(["-"], stdin=text, prefix=prefix, mapping={name: name}, extra=(name,)))


SCHEMES = ["https://", "http://", "ssh://", "git://", "file://", "git@", "ext::", "", "//", "-"]
NAMES = st.one_of(
    texts,
    st.text(alphabet="ab./\\-_~:@%#?=&;|$`'\"*!()[]{}<> \t\n\0\u202eé1", max_size=40),
    st.tuples(st.sampled_from(SCHEMES), texts).map("".join),
)


@FUZZ
@given(NAMES)
def test_any_text_as_a_name_an_address_or_a_version(text: str) -> None:
    only_poncho_errors(lambda: check_variable(text))
    only_poncho_errors(lambda: check_ref(text))
    only_poncho_errors(lambda: parse_version_spec(text))
    remote = only_poncho_errors(lambda: Remote.parse(text))
    if remote is not None:
        assert not remote.url.startswith("-")
        only_poncho_errors(lambda: remote.submodule(text))
    with contextlib.suppress(UnsafeNameError):
        check_filename(text)
        assert "/" not in text
        assert text not in ("", ".", "..")
    if only_poncho_errors(lambda: parse(text)):
        default_filename(text, None)
    assert isinstance(redact(text), str)
    assert isinstance(strip_credentials(text), str)


@FUZZ
@given(texts, texts)
def test_a_password_in_an_address_is_never_in_an_error(user: str, host: str) -> None:
    secret = "canary7canary"
    address = f"https://{''.join(char for char in user if char.isalnum())}:{secret}@{host}/x"
    spec = json.dumps({"git": {"A": {"remote": address, "x": 1}}})
    for call in (lambda: parse(address), lambda: Remote.parse(address), lambda: loads_spec(spec)):
        shown: object = None
        try:
            call()
        except PonchoError as error:
            shown = error.to_json()
        assert secret not in json.dumps(shown, default=str)
