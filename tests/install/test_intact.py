"""What was installed is compared with what its packages say, in whatever way they say it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from poncho.install.intact import wrong_conda_files, wrong_pip_files

SITE = "lib/python3.11/site-packages"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / SITE / "x-1.dist-info").mkdir(parents=True)
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / SITE / "x.py").write_text("x = 1\n")
    (tmp_path / SITE / "x-1.dist-info/METADATA").write_text("Name: x\nVersion: 1\n")
    return tmp_path


def record(prefix: Path, *rows: str) -> None:
    (prefix / SITE / "x-1.dist-info/RECORD").write_text("".join(f"{row}\n" for row in rows))


OWN = ("x-1.dist-info/METADATA,,", "x-1.dist-info/RECORD,,")


@pytest.mark.parametrize(
    "rows",
    [
        ("x.py,,", *OWN),
        ("x.py,sha256=AAAA,6", "/usr/share/none,sha256=AAAA,4"),
        ("x.py,,6", "x-1.dist-info\\METADATA,,", "x-1.dist-info\\RECORD,,"),
        ("x.py,md5=AAAA,6", *OWN),
        ("__pycache__/x.cpython-311.pyc,,", *OWN),
        ("./x.py,,6", *OWN),
        ("x.py,,²", *OWN),
        (f"x.py,,{'9' * 5000}", *OWN),
    ],
    ids=["no digests", "absolute", "of Windows", "another digest", "compiled", "with a dot", "no number", "no size"],
)
def test_rows_that_say_nothing_to_compare_are_passed_over(prefix: Path, rows: tuple[str, ...]) -> None:
    record(prefix, *rows)
    found = [one for one in wrong_pip_files(prefix, {"x"}) if one.path != f"{SITE}/x.py"]
    assert found == []


@pytest.mark.parametrize(
    ("rows", "what", "lost"),
    [
        (("x.py,sha256=AAAA,6", *OWN), "is not what was packed into it", False),
        (("x.py,,7", *OWN), "has 6 bytes instead of 7", False),
        (("y.py,,7", *OWN), "is missing", True),
        (("x.py,,6",), "is cut off", True),
        (("x\0y.py,,6", *OWN), "is missing", True),
        (("../" * 40 + "dev/zero,sha256=AAAA,", *OWN), "is no file", False),
    ],
)
def test_what_is_wrong_is_named(prefix: Path, rows: tuple[str, ...], what: str, lost: bool) -> None:
    record(prefix, *rows)
    (found,) = wrong_pip_files(prefix)
    assert (found.what, found.is_lost, found.package, found.version) == (what, lost, "x", "1")


def test_a_script_of_a_noarch_package_is_found_where_it_was_put(prefix: Path) -> None:
    (prefix / "bin").mkdir()
    (prefix / "bin/tool").write_text("tool\n")
    paths = [
        {"_path": "python-scripts/tool", "path_type": "hardlink", "size_in_bytes": 5},
        {
            "_path": "site-packages/x.py",
            "path_type": "hardlink",
            "sha256": hashlib.sha256(b"x = 1\n").hexdigest(),
            "size_in_bytes": 6,
        },
    ]
    value = {"name": "x", "version": "1", "files": ["bin/tool", f"{SITE}/x.py"], "paths_data": {"paths": paths}}
    (prefix / "conda-meta/x-1-0.json").write_text(json.dumps(value))
    assert wrong_conda_files(prefix) == []
    (prefix / "bin/tool").unlink()
    assert [str(one) for one in wrong_conda_files(prefix)] == ["bin/tool is missing"]
