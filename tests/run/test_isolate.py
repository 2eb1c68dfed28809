"""--isolate: the environment cannot be written, the home is empty, what was asked for is there; or a clear refusal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.runner import Runner, without

SHOW = """
echo "home:" $(ls -A "$HOME")
touch "$CONDA_PREFIX/mark" 2>/dev/null && echo written
touch "$HOME/mark" && say works
id -u
cat "$HOME/given/file" 2>/dev/null
pwd
exit 3
"""


@pytest.fixture(params=["bwrap", "unshare"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a PATH on which only this way to isolate is found."""
    probe = {"bwrap": ["bwrap", "--dev-bind", "/", "/", "true"], "unshare": ["unshare", "-Urm", "true"]}[request.param]
    try:
        subprocess.run(probe, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"{request.param} does not work on this machine")
    return without(
        tmp_path / "bin", *({"bwrap", "unshare"} - {request.param, "unshare" if request.param == "bwrap" else ""})
    )


@pytest.mark.parametrize("inside", [False, True], ids=["store elsewhere", "store in the home"])
def test_home_is_hidden_and_the_environment_is_read_only(
    run: Runner, package: Path, path: str, tmp_path: Path, inside: bool
) -> None:
    home = tmp_path / "my home"
    for name in ("task dir", "secret", "given"):
        (home / name).mkdir(parents=True)
    (home / "given/file").write_text("given\n")
    store = home / "store" if inside else tmp_path / "store"
    env = {"PATH": path, "HOME": str(home), "PONCHO_STORE": str(store)}
    run("-e", package, env=env).ok()
    done = run("-e", package, "--isolate", "--bind", home / "given", "sh", "-c", SHOW, env=env, cwd=home / "task dir")
    assert done.status == 3, done.err
    assert "secret" not in done.out
    assert "written" not in done.out
    lines = done.out.splitlines()
    assert set(lines[0].split()[1:]) == {"given", "task", "dir"} | ({"store"} if inside else set())
    assert lines[1:] == ["works", str(os.geteuid()), "given", str(home / "task dir")]
    assert not (home / "mark").exists()
    assert (home / "secret").is_dir()


def test_what_the_command_writes_in_its_directory_stays(run: Runner, package: Path, path: str) -> None:
    env = {"PATH": path}
    run("-e", package, "--isolate", "sh", "-c", "echo result >out", env=env).ok()
    assert (run.cwd / "out").read_text() == "result\n"
    assert run("-e", package, "--isolate", "no-such-command", env=env).status == 127


def test_it_is_refused_where_it_is_not_possible(run: Runner, package: Path, tmp_path: Path) -> None:
    if run.shell == "busybox":
        pytest.skip("it brings an unshare of its own")
    env = {"PATH": without(tmp_path / "bin", "bwrap", "unshare")}
    run("-e", package, "--isolate", "say", env=env).refused("--isolate is not possible", "hint:")
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("bwrap", "unshare"):
        (broken / name).write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
        (broken / name).chmod(0o755)
    env = {"PATH": f"{broken}:{env['PATH']}"}
    run("-e", package, "--isolate", "say", env=env).refused("not possible", "Operation not permitted")


def test_what_cannot_be_bound_is_named(run: Runner, package: Path) -> None:
    run("-e", package, "--isolate", "--bind", "missing", "say").refused("missing cannot be bound")
