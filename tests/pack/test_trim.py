"""What need not travel is left out, kind by kind; what is used stays."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from poncho.errors import UsageError
from poncho.pack import PackedPackage
from poncho.pack.trim import KINDS, parse_kinds
from poncho.package import verify
from tests.support.packages import members, read_member, tree_state, unpack
from tests.support.prefixes import conda_record, packed, small_prefix, wheel

SITE = "lib/python3.11/site-packages"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return a prefix with something of each kind, and its look-alikes."""
    prefix = small_prefix(tmp_path / "env")
    for name in (
        *(
            "lib/libx.a",
            "lib/libx.la",
            "include/x.h",
            "include/COPYING",
            "lib/pkgconfig/x.pc",
            f"{SITE}/num/core/include/num.h",
        ),
        *("share/man/man1/x.1", "share/doc/x/README", "share/doc/x/LICENSE.txt", f"{SITE}/num/docs/guide.html"),
        *("share/locale/de.mo", "etc/x.conf", f"{SITE}/num/docs_with_code.py", f"{SITE}/num/licenses/doc/NOTICE"),
        f"{SITE}/num/data/test/reference.csv",
        f"{SITE}/web/docs/page.html",
    ):
        write(prefix, name, "text\n")
    (prefix / "lib/liby.a").symlink_to("libx.a")
    python = {
        "num/__init__.py": "from num import testing\n",
        "num/testing/__init__.py": "VALUE = 1\n",
        "num/tests/__init__.py": "",
        "num/tests/test_num.py": "import num\n",
        "num/tests/data/reference.txt": "x",
        "used/__init__.py": "",
        "used/code.py": "def check():\n    from .tests import helpers\n    return helpers\n",
        "used/tests/__init__.py": "from other.tests import more\n",
        "used/tests/test_used.py": "",
        "used/tests/helpers.py": "",
        "other/__init__.py": "",
        "other/tests/__init__.py": "",
        "other/tests/test_other.py": "",
        "other/tests/more.py": "",
        "byname/__init__.py": "import importlib\nmodule = importlib.import_module('byname.tests.data')\n",
        "byname/tests/test_byname.py": "",
        "bypath/__init__.py": "import os\nhere = os.path.join(os.path.dirname(__file__), 'tests', 'data')\n",
        "bypath/tests/test_bypath.py": "",
        "onlymain/__init__.py": "if __name__ == '__main__':\n    import onlymain.tests\n",
        "onlymain/tests/test_onlymain.py": "",
        "django/__init__.py": "",
        "django/test/__init__.py": "",
        "django/test/client.py": "",
        "web/docs/conf.py": "",
        "num/__pycache__/__init__.cpython-311.opt-1.pyc": "",
        "num/__pycache__/__init__.cpython-310.pyc": "",
    }
    for name, text in python.items():
        write(prefix, f"{SITE}/{name}", text)
    wheel(prefix, "num", "1.0", [name for name in python if name.startswith("num/")])
    return prefix


def write(prefix: Path, name: str, text: str) -> None:
    (prefix / name).parent.mkdir(parents=True, exist_ok=True)
    (prefix / name).write_text(text)


def trimmed(prefix: Path, tmp_path: Path, kinds: str) -> tuple[PackedPackage, set[str]]:
    """Pack with trimming; return the package and what is missing in it of a whole one."""
    whole = packed(prefix, tmp_path / "whole.tar.gz")
    package = packed(prefix, tmp_path / "env.tar.gz", trim=parse_kinds(kinds))
    verify(package.path)
    gone = members(whole.path).keys() - members(package.path).keys()
    return package, {name.removeprefix(f"{SITE}/") for name in gone}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("static", {"lib/libx.a", "lib/libx.la", "lib/liby.a"}),
        ("headers", {"include/x.h", "lib/pkgconfig/x.pc", "num/core/include/num.h"}),
        ("docs", {"share/man/man1/x.1", "share/doc/x/README", "num/docs/guide.html"}),
        (
            "tests",
            {
                *("num/tests/__init__.py", "num/tests/test_num.py", "num/tests/data/reference.txt"),
                "onlymain/tests/test_onlymain.py",
            },
        ),
    ],
)
def test_one_kind_takes_just_that(kind: str, expected: set[str], prefix: Path, tmp_path: Path) -> None:
    before = tree_state(prefix)
    package, gone = trimmed(prefix, tmp_path, kind)
    assert gone == expected
    assert tree_state(prefix) == before
    assert package.trimmed is not None
    assert package.trimmed.saved.keys() == {kind}
    assert package.trimmed.saved[kind][0] == len(expected)


def test_what_other_code_uses_of_tests_stays_and_is_named(prefix: Path, tmp_path: Path) -> None:
    package, gone = trimmed(prefix, tmp_path, "tests")
    assert not [
        name for name in gone if name.startswith(("used", "other", "byname", "bypath", "django", "num/testing"))
    ]
    assert package.trimmed is not None
    assert package.trimmed.kept == (
        "tests: byname.tests, bypath.tests, other.tests, used.tests, which other code uses",
    )


def test_programs_that_compile_keep_their_headers(prefix: Path, tmp_path: Path) -> None:
    conda_record(prefix, "root_base", [], {})
    package, gone = trimmed(prefix, tmp_path, "all")
    assert not [name for name in gone if name.endswith((".h", ".a"))]
    assert package.trimmed is not None
    assert "headers, static: root_base compiles with them" in package.trimmed.kept


def test_records_stay_true(prefix: Path, tmp_path: Path) -> None:
    record = json.loads((prefix / "conda-meta/thing-tools-2-h1_0.json").read_text())
    record["files"].append("lib/libx.a")
    (prefix / "conda-meta/thing-tools-2-h1_0.json").write_text(json.dumps(record))
    package, _ = trimmed(prefix, tmp_path, "all")
    assert "lib/libx.a" not in json.loads(read_member(package.path, "conda-meta/thing-tools-2-h1_0.json"))["files"]
    there = unpack(package.path, tmp_path / "there")
    rows = list(csv.reader((there / SITE / "num-1.0.dist-info/RECORD").read_text().splitlines()))
    assert [row for row in rows if not (there / SITE / row[0]).exists()] == []
    assert [row[0] for row in rows if row[0].startswith("num/")] == ["num/__init__.py", "num/testing/__init__.py"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_debugging_information_is_cut_off_and_the_rest_runs(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "l.c").write_text("int answer(void) { return 42; }\nstatic int unused(void) { return 1; }\n")
    (tmp_path / "m.c").write_text(
        '#include <stdio.h>\nint answer(void);\nint main(void) { printf("%d\\n", answer()); }\n'
    )
    library, program = prefix / "lib/libanswer.so", prefix / "bin/answer"
    build = ["gcc", "-g3", "-O0"]
    subprocess.run([*build, "-shared", "-fPIC", "-o", library, tmp_path / "l.c"], check=True)
    subprocess.run(
        [*build, "-o", program, tmp_path / "m.c", f"-L{library.parent}", "-lanswer", "-Wl,-rpath,$ORIGIN/../lib"],
        check=True,
    )
    with_more = prefix / "bin/with-archive"
    with_more.write_bytes(program.read_bytes() + b"PK\x03\x04 an archive behind the program")
    with_more.chmod(0o755)
    before = program.read_bytes()
    (prefix / SITE / "answer-1.0.dist-info").parent.mkdir(exist_ok=True)
    wheel(prefix, "answer", "1.0", ["../../../bin/answer", "../../libanswer.so"])
    package, gone = trimmed(prefix, tmp_path, "debug")
    assert gone == set()
    assert program.read_bytes() == before
    assert package.trimmed is not None
    files, size = package.trimmed.saved["debug"]
    assert files == 2
    there = unpack(package.path, tmp_path / "there")
    assert (
        (program.stat().st_size - (there / "bin/answer").stat().st_size)
        + (library.stat().st_size - (there / "lib/libanswer.so").stat().st_size)
        == size
        > 1000
    )
    assert b".debug_info" not in (there / "bin/answer").read_bytes().split(b".shstrtab")[0]
    assert subprocess.run([there / "bin/answer"], capture_output=True, text=True, check=True).stdout == "42\n"
    assert (there / "bin/with-archive").read_bytes() == with_more.read_bytes()
    rows = {row[0]: row for row in csv.reader((there / SITE / "answer-1.0.dist-info/RECORD").read_text().splitlines())}
    assert rows["../../../bin/answer"][2] == str((there / "bin/answer").stat().st_size)


def test_a_large_library_is_cut_as_a_small_one(tmp_path: Path) -> None:
    """What is streamed in pieces, because it is large, has the same bytes as what is read whole."""
    from poncho.base.elf import Cut
    from poncho.pack.model import Entry
    from poncho.pack.reading import Source, read_whole

    (tmp_path / "file").write_bytes(bytes(range(256)) * 40)
    cut = Cut(b"HEAD", 5000, b"the tail")
    entry = Entry("file", source=str(tmp_path / "file"), size=cut.size, cut=cut)
    whole = read_whole(entry)
    assert whole == b"HEAD" + (bytes(range(256)) * 40)[4:5000] + b"the tail"
    source = Source(entry)
    for offset, size in (
        (0, 2),
        (0, 10),
        (2, 2),
        (2, 9000),
        (3, 4),
        (4990, 10),
        (4990, 12),
        (5000, 3),
        (5002, 99),
        (5008, 5),
    ):
        assert source.read(offset, size) == whole[offset : offset + size], (offset, size)
    source.close()


def test_compiled_files_of_others_and_doubles_go(prefix: Path, tmp_path: Path) -> None:
    """They are files of conda packages in practice; these here are no valid ones, and are left out anyway."""
    package, _ = trimmed(prefix, tmp_path, "pycache")
    assert package.trimmed is not None
    assert package.trimmed.saved["pycache"][0] == 2


def test_the_same_environment_is_trimmed_to_the_same_bytes(prefix: Path, tmp_path: Path) -> None:
    for name in [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink()]:
        if os.fsencode(prefix) in name.read_bytes():
            name.unlink()
    (prefix / "lib/absolute").unlink()
    other = tmp_path / "elsewhere/env"
    shutil.copytree(prefix, other, symlinks=True)
    digests = {
        hashlib.sha256(
            packed(place, tmp_path / f"{n}.tar.gz", trim=parse_kinds("all"), threads=n + 1).path.read_bytes()
        ).digest()
        for n, place in enumerate((prefix, other))
    }
    assert len(digests) == 1


def test_kinds_are_named_and_a_wrong_one_is_refused() -> None:
    assert parse_kinds("all") == frozenset(KINDS)
    assert parse_kinds("tests, docs") == {"tests", "docs"}
    for text in ("", "test", "tests,everything"):
        with pytest.raises(UsageError, match="--trim"):
            parse_kinds(text)
