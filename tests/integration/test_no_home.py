"""A user who is no more than a number, without a home: as containers are started by clusters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from poncho._home import expanded, home
from poncho.engine.pip_settings import read_index_settings
from poncho.engine.select import find_executable
from poncho.errors import BuildError
from poncho.spec import loads_spec
from tests.support.channel import Channel

# What the interpreter asks the system for is answered as it is there: nobody has this number.
PROGRAM = """
import pwd, sys
def nobody(number):
    raise KeyError(number)
pwd.getpwuid = nobody
from poncho.cli.main import main
sys.exit(main())
"""


def _poncho(directory: Path, *words: object, **variables: object) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **{k: str(v) for k, v in variables.items()},
    }
    argv = [sys.executable, "-c", PROGRAM, *map(str, words)]
    return subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, check=False)


def test_without_a_place_for_the_cache_the_hint_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"pip": ["six"]}')
    for words in (["create", "spec.json", "env.tar.gz"], ["cache", "list"], ["lock", "spec.json"]):
        done = _poncho(tmp_path, *words)
        assert done.returncode == 1
        assert "there is no home directory" in done.stderr
        assert "PONCHO_CACHE_DIR" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def test_with_one_a_package_is_built(tmp_path: Path, channel: Channel) -> None:
    spec = {"conda": {"channels": [channel.file_url], "dependencies": ["ladder=1.2"]}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    done = _poncho(
        tmp_path, "create", "spec.json", "env.tar.gz", PONCHO_CACHE_DIR=tmp_path / "cache", PIP_FIND_LINKS="~/x"
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "env.tar.gz", "spec.json"]


def test_nobody_is_asked_where_somebody_lives_who_does_not_exist() -> None:
    assert read_index_settings({"PIP_FIND_LINKS": "~nosuchuser/x"}).find_links == ()
    with pytest.raises(BuildError, match="no such conda command"):
        find_executable("~nosuchuser/conda", {})
    assert expanded("~nosuchuser/x") == Path("~nosuchuser/x")


def test_a_home_is_absolute_always(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert home({"HOME": str(tmp_path)}) == tmp_path
    assert home({"HOME": "relative"}).is_absolute()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loads_spec("~/code", base=Path("/")).pip == (str(tmp_path / "code"),)
