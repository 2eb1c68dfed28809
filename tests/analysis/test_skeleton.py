"""The skeleton of a file says the same about its imports as the whole file does; nothing in a file ends an analysis."""

from __future__ import annotations

import ast
import os
import random
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from poncho.analysis import analyze
from poncho.analysis.model import Import, Place, Scan
from poncho.analysis.outright import outright
from poncho.analysis.reading import parse, read_unit
from poncho.analysis.scan import scan_module, scan_skeleton
from poncho.analysis.skeleton import skeleton
from poncho.analysis.sources import Unit, UnreadableError, decode, read_text, text_of

FULL = bool(os.environ.get("PONCHO_TEST_FULL"))
VERSION = sys.version_info[:2]


def _files(count: int) -> list[Path]:
    """Return files of the standard library and of what is installed here: always the same, of all kinds."""
    roots = {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    found = sorted({path for root in roots for path in Path(root).rglob("*.py")})
    return found if FULL else random.Random(5).sample(found, min(count, len(found)))


def _whole(text: str) -> Scan | None:
    tree, _ = parse(text)
    return scan_module(tree, text, VERSION) if tree else None


def _reduced(text: str) -> Scan | None:
    reduced = skeleton(text, VERSION)
    if reduced is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(reduced.rest)
    return scan_skeleton(reduced, tree if reduced.rest else None, text, VERSION)


def _said(scan: Scan) -> list[tuple[Any, ...]]:
    return sorted(
        (
            one.line, one.module, one.names, one.level, one.tier, one.why, one.attempt, one.fallback, one.main,
            one.binds, one.scope,
        )
        for one in scan.imports
    )  # fmt: skip


def test_real_files_say_the_same_reduced_and_whole() -> None:
    compared = given_up = 0
    different = []
    for path in _files(400):
        try:
            text = read_text(path)
        except UnreadableError:
            continue
        whole = _whole(text)
        if whole is None:
            continue
        reduced = _reduced(text)
        compared += 1
        if reduced is None:
            given_up += 1
        elif _said(whole) != _said(reduced):
            different.append(str(path))
    assert compared > 300
    assert given_up <= compared * 0.02
    # An address after a string that goes on from the line before is the one thing that is seen twice or not at all.
    assert len(different) <= compared * 0.0005, different


@pytest.mark.parametrize(
    "text",
    [
        "import a, b.c as d; import e",
        "from a import (\n    b,  # one\n    c as d,\n)",
        "from .\\\n  import a",
        "from . import a\nfrom ..b.c import *",
        "if x:\n    import a\nelif y:\n    import b\nelse:\n    import c",
        "try:\n    import a\nexcept ImportError:\n    raise\nelse:\n    import b\nfinally:\n    import c",
        "try:\n    import a\nexcept (ImportError, OSError) as e:\n    a = None\n    import b",
        "try:\n    try:\n        import a\n    except ImportError:\n        import b\nexcept ImportError:\n    import c",
        "def f(\n    a: int = 1,\n    b=lambda: 0,\n) -> None:\n    import a",
        "async def f():\n    async with x, y as z:\n        async for i in j:\n            import a",
        "class A(B):\n    def m(self):\n        '''import x'''\n        import a\n",
        "with suppress(ImportError):\n    import a",
        "while True:\n    import a\nelse:\n    import b",
        'x = """\nimport a\n"""\nimport b',
        "x = '''it's\nimport a'''\ny = \"'''\"\nimport b",
        "# import a '''\nimport b  # '''",
        "def f():\n\timport a\n\tif x:\n\t\timport b",
        "if TYPE_CHECKING:\n    import a\nif __name__ == '__main__':\n    import b",
        "if sys.version_info >= (3, 99):\n    import a\nelse:\n    import b",
        "import importlib\nx = importlib.import_module('a.b')\ndef f():\n    return __import__('c')",
        "a = pytest.importorskip('a')",
        "if importlib.util.find_spec('a'):\n    pass",
        "import runpy\nrunpy.run_module('a')",
        "exec('import a')\ndef f():\n    exec('''\nimport b\nfrom c import d\n''')",
        "x = uproot.open('root://host//file')\ny = open(b's3://x')",
        "frame.to_parquet('x'); pd.read_excel(f)",
        "x = pd.read_csv(f, engine='pyarrow')\nds = xr.open_dataset(f, engine=\"h5netcdf\")",
        "import matplotlib\nmatplotlib.use('Qt5Agg')",
        "plan.use('qt5agg')",
        "def f(x: 'np.ndarray') -> \"pd.DataFrame\":\n    '''\n    >>> import torch\n    '''\n",
        "\fimport a\n\f\ndef f():\n    import b",
        "_np = lazy.load('numpy')\nimport lazy_loader as lazy",
        "import importlib\nM = {'a': '.x'}\ndef __getattr__(n):\n    return importlib.import_module(M[n], __name__)",
        "match x:\n    case 1:\n        import a",
        "if x: import a\ntry: import b\nexcept ImportError: b = None",
        "for a in b: pass\nimport c",
        "x = {'import': 1,\n  'from': 2}\nimport a",
        "f(a,\n  import_module('b'))\nimport_module(\n 'c')",
        "def f():\n    pass\n  # odd\n    import a",
        "if find_spec('a'):\n    x = 1\nwhile find_spec('b'): pass\nif x: find_spec('c')",
        "def f():\n    if x:\n        pass\n    elif find_spec('a'):\n        pass",
        "def f():\n    g(\n        pd.read_parquet(\n            'x',\n        ),\n        'root://host//file',\n    )",
        "x = (\n    frame\n    .to_parquet('x')\n)\ny = f(a,\n  b).to_excel('x')",
        "pd.read_csv(\n    f,\n    sep='(',\n    engine='pyarrow',\n)",
        "def f(\n    a,\n    engine='pyarrow',\n):\n    engine = 'zarr'",
        "class A(B, engine='zarr'):\n    x = f({'a': 1}, g(b),\n          engine='numba')",
        "x = [\n    # a comment\n    f(1,\n      engine='zarr')]",
        "import a\nexec(\n    'import b'\n)\nexec(r'''\nimport c\n''')\nx = '''import d'''",
        "def f(x: importlib.metadata.Distribution): import_it()",
        "try:\n    import a\nexcept ImportError:\n    try:\n        import b\n    except ImportError:\n        raise\n    else:\n"
        "        import c",
        "x = '''\n\\''' ''' + \"\"\"\nimport a\n\"\"\"\nimport b",
        "import a as a, b.c as c, d . e\nimport é\nfrom a.b import (c, d as e,)\nfrom .. a import b",
        "from a import *\nfrom . import (\n  a,\n  b as c\n)\nfrom .a.b import c as d",
        "import a; import b\nimport c as d",
        "from a import b, \\\n    c\nimport d, \\\n  e\ndef f():\n    from .g \\\n      import h",
        "class A:\n    def f(self):\n        import a\n    x = 1\n    def g(self):\n        import b\ndef h():\n    import c",
        "def f():\n    '''it's\n  odd'''\n    import a\n\ndef g():\n    x = [\n  1]\n    import b",
    ],
)  # fmt: skip
def test_every_form_says_the_same_reduced_and_whole(text: str) -> None:
    whole, reduced = _whole(text), _reduced(text)
    if whole is not None and reduced is not None:
        assert _said(reduced) == _said(whole)


@pytest.mark.parametrize(
    ("statement", "plain"),
    [
        ("import a.b as c, d", True),
        ("from ..a.b import c as d, e ", True),
        ("from .a import (\n    b,\n    c as d,\n)", True),
        ("from . import *", True),
        ("from.a import b", True),
        ("from a import(b)", True),
        ("import a;", False),
        ("import é", False),
        ("from a import b; c()", False),
        ("from a import b if c else d", False),
        ("from a \\\n  import b", True),
        ("import while", False),
        ("import 1a", False),
        ("import a,", False),
        ("from a import b,", False),
        ("import a..b", False),
        ("from a import b.c", False),
        ("import a as b.c", False),
        ("from import a", False),
        ("fromage import a", False),
    ],
)
def test_plain_statements_say_the_same_without_the_parser(statement: str, plain: bool) -> None:
    read = outright(statement, 1)
    assert (read is not None) == plain
    if read is not None:
        whole = _whole(statement)
        assert whole is not None
        assert tuple(read) == whole.imports


def test_a_skeleton_is_small_and_keeps_the_lines() -> None:
    text = "import a\n" + "x = [1, 2, 3]\n" * 500 + "def f():\n    y = 1\n    import b; g()\n" + "z = f(1)\n" * 500
    reduced = skeleton(text, VERSION)
    assert reduced is not None
    assert [(one.module, one.line) for one in reduced.read] == [("a", 1)]
    assert reduced.rest == "\n" * 501 + "def f():\n\n    import b; g()"


@pytest.mark.parametrize(
    "text",
    [
        "def f(\n    a: int = 1,\n) -> None:\n    x = 1\n    import a\n\n    async def g():\n        from b import c as d",
        "class A(B):\n    import a\n\n    def m(self):\n        import b\n\n    def n(self):\n        import c",
        "if x:\n    import a\nelif y:\n    import b\nelse:\n    import c",
        "if TYPE_CHECKING:\n    import a\nelse:\n    import b\nif __name__ == '__main__':\n    import c",
        "if sys.version_info >= (3, 99):\n    import a\nelif sys.platform == 'win32':\n    import b\nelse:\n    import c",
        "def f():\n    if (x and\n            y):  # why\n        import a",
        "def f():\n    for a in b:\n        import c\n    else:\n        import d",
        "while x:\n    with y as z, suppress(ImportError):\n        import a",
        "async def f():\n    async with x:\n        import b",
        "try:\n    import a\nexcept ImportError:\n    a = None\n",
        "\n\ntry:\n    import a\nexcept (ImportError, OSError) as e:  # none\n    # so\n    a = b = False\n    import c\nelse:\n"
        "    import d\nfinally:\n    import e",
        "try:\n    import a\nexcept ValueError:\n    import b\nexcept:\n    import c",
        "def f():\n    try:\n        import a\n    except ImportError:\n        import b\n    try:\n        pass\n"
        "    except KeyError:\n        import c",
        "try:\n    import a\n    try:\n        import b\n    except ImportError:\n        b = 1\n"
        "except ImportError:\n    import c",
        "class A:\n    def f(self):\n        class B:\n            def g(self):\n                import a",
    ],
)  # fmt: skip
def test_headers_alone_say_what_the_parser_would(text: str) -> None:
    reduced, whole = skeleton(text, VERSION), _whole(text)
    assert reduced is not None
    assert whole is not None
    assert not reduced.rest
    assert _said(Scan(reduced.read)) == _said(whole)


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    import a\n      import b",
        "def f():\n        import a\n    import b",
        "class A:\n    def f(self):\n        import a\n  def g(self):\n    import b",
        "def f():\n        import a\n\timport b",
        "if x:\n    if y:\n\timport a",
        "if x <> y:\n    import a",
        "def lambda():\n    import a",
        "try:\n    import a\nexcept ImportError e:\n    a = None",
        "try:\n    import a\nexcept ImportError:\n    print 'no a'",
        "try:\n    import a\nexcept ImportError:\n    None = 1",
        "try:\n    import a\nexcept ImportError:\n    class = 1",
        "try:\n    import a\nexcept ImportError:\n    a = None\n  b = None",
        "try:\n    import a\nexcept ImportError:\n    # nothing\nimport b",
        "".join(" " * depth + "if x:\n" for depth in range(120)) + " " * 120 + "import a",
    ],
)
def test_what_no_parser_takes_is_not_read_from_its_headers(text: str) -> None:
    assert _whole(text) is None
    reduced = skeleton(text, VERSION)
    assert reduced is None or parse(reduced.rest)[0] is None


def test_a_handler_that_the_parser_gets_is_read_once() -> None:
    text = "try:\n    import_module('a')\nexcept ImportError:\n    import b\n"
    whole, reduced = _whole(text), _reduced(text)
    assert whole is not None
    assert reduced is not None
    assert _said(reduced) == _said(whole)


def test_what_is_passed_over_is_not_checked_in_the_files_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("import numpy\nprint 'Python 2'\nexec code in x\n")
    analysis = analyze(tmp_path, prefix=Path(sys.prefix), strict=False)
    assert [one.imports for one in analysis.findings] == [("numpy",)]
    assert not analysis.problems


def test_a_file_that_is_named_is_checked(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("import numpy\nprint 'Python 2'\n")
    analysis = analyze(tmp_path / "old.py", prefix=Path(sys.prefix), strict=False)
    assert [one.imports for one in analysis.findings] == [("numpy",)]
    assert [problem.place.line for problem in analysis.problems] == [2]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("lazy import json5\nlazy from a.b import c", {"json5", "a.b"}),
        ("def f():\n    lazy import a\n    print 'x'", {"a"}),
        ("import lazy_loader as lazy\nnp = lazy.load('numpy')", {"lazy_loader", "numpy"}),
        ("tf = LazyLoader('tf', globals(), 'tensorflow')", {"tensorflow"}),
        ("exec('import a\\nimport b.c')", {"a", "b.c"}),
        ("exec(textwrap.dedent('''\n    import a\n'''))", {"a"}),
        ("import matplotlib\nmatplotlib.use('Qt5Agg')", {"matplotlib", "PyQt5"}),
        ("plt.switch_backend('wxagg')  # matplotlib", {"wx"}),
        ("xr.open_zarr(x)\nxr.open_dataset(x, engine='zarr')", {"zarr"}),
        ("def f(x: 'numpy.ndarray'): ...", {"numpy"}),
        ("'''\n>>> import polars as pl\n>>> from a.b import c\n'''", {"polars", "a.b"}),
    ],
)
def test_what_no_statement_imports_is_seen(text: str, modules: set[str], named: bool) -> None:
    unit = Unit("app.py", text, None, (), named=named)
    reading = read_unit(unit, VERSION)
    assert {one.module for one, _ in reading.imports} == modules


def test_a_text_that_was_let_go_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import a\r\n")
    unit = Unit("a.py", "", file, (), kept=False)
    assert text_of(unit) == "import a\n"
    file.unlink()
    assert text_of(unit) == ""
    assert text_of(Unit("<text>", "import b", None, ())) == "import b"


def test_hints_are_hints() -> None:
    text = "import matplotlib\nmatplotlib.use('Qt5Agg')\nf(engine='zarr')\n'''\n>>> import a\n'''"
    reading = read_unit(Unit("app.py", text, None, ()), VERSION)
    assert {one.module: one.tier.label for one, _ in reading.imports} == {
        "matplotlib": "required", "PyQt5": "hint", "zarr": "hint", "a": "hint",
    }  # fmt: skip


def _mutants(count: int) -> Iterator[bytes]:
    chance = random.Random(11)
    originals = [path.read_bytes() for path in _files(60)[:60]]
    pieces = [
        b"'''",
        b'"""',
        b"\\",
        b"(",
        b")",
        b"\n",
        b"\t",
        b"import ",
        b"from ",
        b":",
        b"\0",
        b"\xff",
        b"exec('",
        b"\f",
        b"\r",
    ]
    for number in range(count):
        data = bytearray(originals[number % len(originals)][: chance.choice((200, 2000, 20000))])
        for _ in range(chance.randint(1, 12)):
            at, to = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
            match chance.randint(0, 3):
                case 0:
                    data[at:at] = chance.choice(pieces)
                case 1:
                    del data[at : min(to, at + 40)]
                case 2:
                    data[at:at] = data[at : min(to, at + 200)]
                case _:
                    del data[at:]
        yield bytes(data)


@pytest.mark.filterwarnings("ignore")
def test_no_mutated_file_ends_the_analysis() -> None:
    read = 0
    for data in _mutants(10_000 if FULL else 400):
        try:
            text = decode(data)
        except UnreadableError:
            continue
        for named in (True, False):
            reading = read_unit(Unit("x.py", text, None, (), named=named), VERSION)
            assert all(isinstance(one, Import) and isinstance(place, Place) for one, place in reading.imports)
        read += 1
    assert read > 300


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "import a",
        "-" * 100_000 + "1",
        "if x:\n" * 3,
        "".join(" " * depth + "if x:\n" for depth in range(200)) + " " * 200 + "import a",
        "'" * 100_001,
        '"""' * 33_333,
        "import " + "a." * 5_000 + "b",
        "from a import (" + "b," * 50_000,
        "x = '" + "\\" * 99_999,
        "\\\n" * 10_000 + "import a",
        "import a\\",
        "from",
        "import",
        "from . import",
        "\udc80import a",
    ],
)
def test_hostile_text_ends_no_analysis(text: str) -> None:
    for named in (True, False):
        read_unit(Unit("x.py", text, None, (), named=named), VERSION)


def test_the_standard_library_is_analysed(look: Callable[..., Any]) -> None:
    parts = ["asyncio", "email", "unittest", "xml"] if not FULL else ["."]
    library = Path(sysconfig.get_path("stdlib"))
    analysis = analyze([library / part for part in parts], prefix=Path(sys.prefix), strict=False)
    assert not [one for one in analysis.problems if "lib2to3" not in one.place.file and "test" not in one.place.file]
