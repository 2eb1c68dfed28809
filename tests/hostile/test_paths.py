"""A path that cannot be looked at is one line: in a directory that may not be entered, or of a name that is too long.

``Path.is_dir`` and its like raise for these before Python 3.14, so every path of a user's is a place where that can get out.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import poncho
from poncho.errors import PonchoError
from poncho.look.source import open_source
from poncho.package import verify
from poncho.package.unpack import unpack
from poncho.store.node import NodeStore, node_store_path
from tests.support.cli import command_path, environment
from tests.support.handmade import plain

LONG = "/tmp/" + 300 * "d"

COMMANDS = """
    create X out.tar.gz
    create spec.json X
    create --lock X spec.json out.tar.gz
    create --lock X --locked spec.json out.tar.gz
    create --format dir spec.json X
    lock X
    lock spec.json -o X
    inspect X
    diff X X
    verify X
    sbom X
    unpack X new
    unpack env.tar.gz X
    store list --store X
    store prune --store X
    cache list --cache X
    cache prune --cache X --max-age 1
    cache verify --cache X
    analyze X -
    analyze app.py X
    analyze --prefix X app.py -
    analyze --trace X app.py -
    trace -o X -- python3 -c pass
    submit slurm -e X --tasks 2 -- true
""".strip().splitlines()


@pytest.fixture(params=["a closed directory", "a long name"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[str]]:
    """Return a path, and what a command has to be started by so that it cannot look at it."""
    if request.param == "a long name":
        return Path(LONG), []
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    if os.geteuid() != 0:
        return closed / "x", []
    if not shutil.which("setpriv"):
        pytest.skip("root may enter every directory, and there is no setpriv")
    return closed / "x", ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize("line", [line.strip() for line in COMMANDS])
def test_no_command_calls_it_its_own_fault(tmp_path: Path, odd: tuple[Path, list[str]], line: str) -> None:
    path, lead = odd
    (tmp_path / "spec.json").write_text('{"pip": ["six"]}')
    (tmp_path / "app.py").write_text("import sys\n")
    plain().write(tmp_path / "env.tar.gz")
    before = sorted(os.listdir(tmp_path))
    words = [str(path) if word == "X" else word for word in shlex.split(line)]
    argv = [*lead, str(command_path("poncho")), *words]
    done = subprocess.run(argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2), done.stderr
    assert "error: " in done.stderr
    assert "fault of PONCHO" not in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda path: poncho.create(path, "out.tar.gz"),
        lambda path: poncho.create({"pip": ["six"]}, path),
        lambda path: poncho.create({}, "out.tar.gz", options=poncho.CreateOptions(lock=path, locked=True)),
        lambda path: poncho.resolve(path),
        lambda path: poncho.analyze([path]),
        lambda path: poncho.analyze([__file__], prefix=path),
        lambda path: poncho.open_package(path),
        open_source,
        verify,
        lambda path: unpack(path, path),
        lambda path: NodeStore(path).entries(),
        lambda path: NodeStore(path).prune(),
    ],
)
def test_the_library_raises_its_own_errors(call: Callable[[Path], Any]) -> None:
    with pytest.raises(PonchoError) as caught:
        call(Path(LONG))
    # Since Python 3.14, pathlib says that there is no such directory.
    assert "too long" in caught.value.message or "is no directory" in caught.value.message


def test_a_scratch_directory_that_cannot_be_looked_at_is_passed_over() -> None:
    assert node_store_path({"TMPDIR": LONG}).name == f"poncho-{os.geteuid()}"
